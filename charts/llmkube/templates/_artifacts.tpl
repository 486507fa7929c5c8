{{/*
The name of the claim that keeps what servers compile; nothing when none is kept. Without a server nothing is compiled.
Given the root context.
*/}}
{{- define "llmkube.artifacts.claim" -}}
{{- if and .Values.artifactCache.enabled .Values.model.source -}}
{{- $own := printf "%s-artifact-cache" (include "llmkube.names.fullname" .) -}}
{{- .Values.artifactCache.claimName | default (include "llmkube.names.bounded" (dict "name" $own "max" 63)) -}}
{{- end -}}
{{- end -}}

{{/*
The same when this release renders the claim; nothing otherwise.
Given the root context.
*/}}
{{- define "llmkube.artifacts.owned" -}}
{{- if not .Values.artifactCache.claimName }}{{ include "llmkube.artifacts.claim" . }}{{ end -}}
{{- end -}}

{{/*
Where the programs of all runtimes keep what they compile: compiled graphs (vLLM, SGLang, PyTorch's Inductor), kernels (Triton,
FlashInfer, DeepGEMM, PyTorch's extensions) and what the CUDA driver compiles for its GPU. By name, and not by XDG_CACHE_HOME, in
which they would keep other things as well.
Given the root context. Returns JSON: a map from variable to directory.
*/}}
{{- define "llmkube.artifacts.env" -}}
{{- $env := dict -}}
{{- if include "llmkube.artifacts.claim" . -}}
{{- range $name, $directory := dict "VLLM_CACHE_ROOT" "vllm" "SGLANG_CACHE_DIR" "sglang" "SGLANG_JIT_CACHE_DIR" "sglang/jit"
      "SGLANG_DG_CACHE_DIR" "sglang/deep_gemm" "TORCHINDUCTOR_CACHE_DIR" "torchinductor" "TORCH_EXTENSIONS_DIR" "torch_extensions"
      "TRITON_CACHE_DIR" "triton" "FLASHINFER_WORKSPACE_BASE" "flashinfer" "CUDA_CACHE_PATH" "cuda" -}}
{{- $_ := set $env $name (printf "%s/%s" $.Values.artifactCache.mountPath $directory) -}}
{{- end -}}
{{- end -}}
{{- toJson $env -}}
{{- end -}}

{{/*
"true" when all servers of the claim have to be on one node; nothing otherwise.
Given the root context.
*/}}
{{- define "llmkube.artifacts.oneNode" -}}
{{- if and (include "llmkube.artifacts.claim" .) (hasPrefix "ReadWriteOnce" .Values.artifactCache.accessMode) -}}
true
{{- end -}}
{{- end -}}
