{{/*
The image of llama.cpp's server. The tag is a build, not a moving name: b10068 is the build that LLMKube pins for CUDA, so a
model that is moved between the two meets the same server.
Given the root context. Returns JSON: repository, tag.
*/}}
{{- define "llmkube.runtime-llamacpp.image" -}}
{{- dict "repository" "ghcr.io/ggml-org/llama.cpp" "tag" "server-b10068" | toJson -}}
{{- end -}}

{{/*
What is run in place of the image's entry point: nothing, it is the server.
Given the root context. Returns JSON: a list under "items".
*/}}
{{- define "llmkube.runtime-llamacpp.command" -}}
{{- dict "items" list | toJson -}}
{{- end -}}

{{/*
The arguments of llama.cpp's server. The context has a default of the chart's: the model's own can be 128k, and needs more memory
than the weights then. A draft model is named with its type, without which llama.cpp loads it and does not use it.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.runtime-llamacpp.args" -}}
{{- $runtime := .Values.runtime -}}
{{- $extras := include "llmkube.beside.paths" . | fromJson -}}
{{- $context := kindIs "invalid" $runtime.contextSize | ternary 8192 $runtime.contextSize -}}
{{- $lora := list -}}
{{- range $extras.loras }}{{ $lora = append $lora .file }}{{ end -}}
{{- $template := include "llmkube.runtime.chatTemplatePath" . -}}
{{- include "llmkube.runtime.flags" (list
      (list "--model" (include "llmkube.cache.modelPath" .))
      (list "--alias" ($runtime.servedModelName | default (include "llmkube.names.fullname" .)))
      (list "--host" $runtime.host)
      (list "--port" $runtime.port)
      (list "--ctx-size" $context)
      (list "--parallel" $runtime.parallel)
      (list "--threads" $runtime.threads)
      (list "--n-gpu-layers" $runtime.gpuLayers)
      (list "--cache-type-k" $runtime.kvCacheType)
      (list "--cache-type-v" $runtime.kvCacheType)
      (list "--embeddings" (eq $runtime.task "embed"))
      (list "--reranking" (eq $runtime.task "rerank"))
      (list "--mmproj" $extras.mmproj)
      (list "--spec-type" (empty $extras.draft | ternary "" "draft-simple"))
      (list "--spec-draft-model" $extras.draft)
      (list "--spec-draft-n-max" $runtime.draftTokens)
      (list "--lora" (join "," $lora))
      (list "--jinja" (not (empty $template)))
      (list "--chat-template-file" $template)
      (list "--metrics" $runtime.metrics)) -}}
{{- end -}}

{{/*
The environment of llama.cpp's server. How weights are read is said here, because builds differ in the flag (--no-mmap until 2026,
then --load-mode) and each ignores the variable of the other.
Given the root context. Returns JSON: a map.
*/}}
{{- define "llmkube.runtime-llamacpp.env" -}}
{{- $mmap := .Values.runtime.loader.mmap -}}
{{- if kindIs "invalid" $mmap -}}
{{- dict | toJson -}}
{{- else -}}
{{- dict "LLAMA_ARG_MMAP" ($mmap | ternary "1" "0") "LLAMA_ARG_LOAD_MODE" ($mmap | ternary "mmap" "none") | toJson -}}
{{- end -}}
{{- end -}}

{{/*
The variable from which llama.cpp's server reads the key that clients have to show.
Given the root context.
*/}}
{{- define "llmkube.runtime-llamacpp.keyVariable" -}}
LLAMA_API_KEY
{{- end -}}

{{/*
The path at which llama.cpp's server says that it is well, also without a key. It answers 503 while the model is loading.
Given the root context.
*/}}
{{- define "llmkube.runtime-llamacpp.health" -}}
/health
{{- end -}}

{{/*
The values that llama.cpp's server has nothing for, with the reason and what to do.
Given the root context. Returns JSON: a map from value to text.
*/}}
{{- define "llmkube.runtime-llamacpp.refused" -}}
{{- dict
      "tensorParallel" "llama.cpp splits a model over all GPUs of the pod by itself: remove it, or say how with --split-mode in runtime.args"
      "pipelineParallel" "llama.cpp splits a model over all GPUs of the pod by itself: remove it, or say how with --split-mode in runtime.args"
      "quantization" "a GGUF file is quantized as it is: remove it and name another file in model.source"
      "dtype" "a GGUF file has the types it was made with: remove it and name another file in model.source"
      "gpuMemoryUtilization" "llama.cpp takes what the model needs: remove it and use runtime.gpuLayers or runtime.contextSize"
      "trustRemoteCode" "a GGUF file holds no code: remove it"
      "loader.strategy" "is for safetensors: remove it and use runtime.loader.mmap"
    | toJson -}}
{{- end -}}
