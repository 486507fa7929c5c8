{{/*
The image of SGLang's server for NVIDIA GPUs, the one that LLMKube pins.
Given the root context. Returns JSON: repository, tag.
*/}}
{{- define "llmkube.runtime-sglang.image" -}}
{{- dict "repository" "lmsysorg/sglang" "tag" "v0.5.15.post1-cu129" | toJson -}}
{{- end -}}

{{/*
What is run in place of the image's entry point, which starts no server.
Given the root context. Returns JSON: a list under "items".
*/}}
{{- define "llmkube.runtime-sglang.command" -}}
{{- dict "items" (list "python3" "-m" "sglang.launch_server") | toJson -}}
{{- end -}}

{{/*
The arguments of SGLang's server. It reads a key for clients from an argument only: Kubernetes puts it there from the
environment when the container starts, so that it is in no object. The drafted tokens are said in its three terms: so many
steps, one branch, and the token that the model itself adds.
Given the root context. Returns JSON: a list of texts under "items", and one in which variables are expanded under "expanded".
*/}}
{{- define "llmkube.runtime-sglang.args" -}}
{{- $runtime := .Values.runtime -}}
{{- $extras := include "llmkube.beside.paths" . | fromJson -}}
{{- $split := include "llmkube.runtime.parallelism" . | fromJson -}}
{{- $drafted := $runtime.draftTokens | default nil -}}
{{- $flags := include "llmkube.runtime.flags" (list
      (list "--model-path" (include "llmkube.cache.modelPath" .))
      (list "--served-model-name" ($runtime.servedModelName | default (include "llmkube.names.fullname" .)))
      (list "--host" $runtime.host)
      (list "--port" $runtime.port)
      (list "--is-embedding" (ne $runtime.task "generate"))
      (list "--context-length" ($runtime.contextSize | default nil))
      (list "--max-running-requests" $runtime.parallel)
      (list "--tp-size" $split.tensor)
      (list "--pp-size" $split.pipeline)
      (list "--quantization" $runtime.quantization)
      (list "--dtype" $runtime.dtype)
      (list "--kv-cache-dtype" $runtime.kvCacheType)
      (list "--mem-fraction-static" $runtime.gpuMemoryUtilization)
      (list "--trust-remote-code" $runtime.trustRemoteCode)
      (list "--weight-loader-disable-mmap" (eq (toString $runtime.loader.mmap) "false"))
      (list "--weight-loader-prefetch-checkpoints" (eq $runtime.loader.strategy "prefetch"))
      (list "--chat-template" (include "llmkube.runtime.chatTemplatePath" .))
      (list "--speculative-algorithm" (empty $extras.draft | ternary "" "STANDALONE"))
      (list "--speculative-draft-model-path" $extras.draft)
      (list "--speculative-num-steps" $drafted)
      (list "--speculative-eagle-topk" (empty $drafted | ternary nil 1))
      (list "--speculative-num-draft-tokens" (empty $drafted | ternary nil (add1 (int64 $drafted))))
      (list "--enable-metrics" $runtime.metrics)
      (list "--enable-lora" (not (empty $extras.loras)))) -}}
{{- $args := get (fromJson $flags) "items" -}}
{{- with $extras.loras -}}
{{- $args = append $args "--lora-paths" -}}
{{- range . }}{{ $args = append $args (printf "%s=%s" .name .file) }}{{ end -}}
{{- end -}}
{{- $key := empty $runtime.apiKey.existingSecret | ternary list (list "--api-key=$(LLMKUBE_API_KEY)") -}}
{{- dict "items" $args "expanded" $key | toJson -}}
{{- end -}}

{{/*
The environment of SGLang's server: no network.
Given the root context. Returns JSON: a map.
*/}}
{{- define "llmkube.runtime-sglang.env" -}}
{{- include "llmkube.runtime.pythonEnv" . -}}
{{- end -}}

{{/*
The variable that holds the key that clients of SGLang's server have to show, for its argument.
Given the root context.
*/}}
{{- define "llmkube.runtime-sglang.keyVariable" -}}
LLMKUBE_API_KEY
{{- end -}}

{{/*
The path at which SGLang's server says that it is well: paths that begin so ask for no key. It generates a token to know.
Given the root context.
*/}}
{{- define "llmkube.runtime-sglang.health" -}}
/health
{{- end -}}

{{/*
The values that SGLang's server has nothing for, with the reason and what to do.
Given the root context. Returns JSON: a map from value to text.
*/}}
{{- define "llmkube.runtime-sglang.refused" -}}
{{- dict
      "threads" "SGLang has no such flag: remove it, or set OMP_NUM_THREADS in server.env"
      "gpuLayers" "SGLang keeps the whole model on the GPUs: remove it, or move a part with --cpu-offload-gb in runtime.args"
      "mmproj" "SGLang finds the projector in the model's own repository: remove it and name the repository in model.source"
    | toJson -}}
{{- end -}}
