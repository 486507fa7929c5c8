{{/*
The image of vLLM's server for NVIDIA GPUs, the one that LLMKube pins.
Given the root context. Returns JSON: repository, tag.
*/}}
{{- define "llmkube.runtime-vllm.image" -}}
{{- dict "repository" "vllm/vllm-openai" "tag" "v0.25.1" | toJson -}}
{{- end -}}

{{/*
What is run in place of the image's entry point, which was another one in older images of vLLM and is in those of others.
Given the root context. Returns JSON: a list under "items".
*/}}
{{- define "llmkube.runtime-vllm.command" -}}
{{- dict "items" (list "vllm" "serve") | toJson -}}
{{- end -}}

{{/*
The arguments of vLLM's server.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.runtime-vllm.args" -}}
{{- $runtime := .Values.runtime -}}
{{- $extras := include "llmkube.beside.paths" . | fromJson -}}
{{- $split := include "llmkube.runtime.parallelism" . | fromJson -}}
{{- $speculative := "" -}}
{{- with $extras.draft -}}
{{- $speculative = dict "method" "draft_model" "model" . "num_speculative_tokens" (int64 $runtime.draftTokens) | toJson -}}
{{- end -}}
{{- $flags := include "llmkube.runtime.flags" (list
      (list "--served-model-name" ($runtime.servedModelName | default (include "llmkube.names.fullname" .)))
      (list "--host" $runtime.host)
      (list "--port" $runtime.port)
      (list "--runner" (eq $runtime.task "generate" | ternary "" "pooling"))
      (list "--max-model-len" ($runtime.contextSize | default nil))
      (list "--max-num-seqs" $runtime.parallel)
      (list "--tensor-parallel-size" $split.tensor)
      (list "--pipeline-parallel-size" $split.pipeline)
      (list "--quantization" $runtime.quantization)
      (list "--dtype" $runtime.dtype)
      (list "--kv-cache-dtype" $runtime.kvCacheType)
      (list "--gpu-memory-utilization" $runtime.gpuMemoryUtilization)
      (list "--trust-remote-code" $runtime.trustRemoteCode)
      (list "--safetensors-load-strategy" $runtime.loader.strategy)
      (list "--chat-template" (include "llmkube.runtime.chatTemplatePath" .))
      (list "--speculative-config" $speculative)
      (list "--enable-lora" (not (empty $extras.loras)))) -}}
{{- $args := prepend (get (fromJson $flags) "items") (include "llmkube.cache.modelPath" .) -}}
{{- with $extras.loras -}}
{{- $args = append $args "--lora-modules" -}}
{{- range . }}{{ $args = append $args (printf "%s=%s" .name .file) }}{{ end -}}
{{- end -}}
{{- dict "items" $args | toJson -}}
{{- end -}}

{{/*
The environment of vLLM's server: no network, and no statistics of use sent to its makers.
Given the root context. Returns JSON: a map.
*/}}
{{- define "llmkube.runtime-vllm.env" -}}
{{- merge (dict "VLLM_NO_USAGE_STATS" "1" "DO_NOT_TRACK" "1") (include "llmkube.runtime.pythonEnv" . | fromJson) | toJson -}}
{{- end -}}

{{/*
The variable from which vLLM's server reads the key that clients have to show.
Given the root context.
*/}}
{{- define "llmkube.runtime-vllm.keyVariable" -}}
VLLM_API_KEY
{{- end -}}

{{/*
The path at which vLLM's server says that it is well. Only paths below /v1, /v2 and /inference ask for a key.
Given the root context.
*/}}
{{- define "llmkube.runtime-vllm.health" -}}
/health
{{- end -}}

{{/*
The values that vLLM's server has nothing for, with the reason and what to do.
Given the root context. Returns JSON: a map from value to text.
*/}}
{{- define "llmkube.runtime-vllm.refused" -}}
{{- dict
      "threads" "vLLM has no such flag: remove it, or set OMP_NUM_THREADS in server.env"
      "gpuLayers" "vLLM keeps the whole model on the GPUs: remove it, or move a part with --cpu-offload-gb in runtime.args"
      "mmproj" "vLLM finds the projector in the model's own repository: remove it and name the repository in model.source"
      "loader.mmap" "is for llama.cpp and SGLang: remove it and use runtime.loader.strategy"
      "metrics" "vLLM always serves metrics: remove it"
    | toJson -}}
{{- end -}}
