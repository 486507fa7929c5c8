{{/*
What the values of the program that serves have to say together. What a runtime has nothing for is refused, not left out: the user
would believe that it counts.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-runtime.check" -}}
{{- $runtime := .Values.runtime }}
{{- $refused := include (printf "llmkube.runtime-%s.refused" $runtime.name) . | fromJson }}
{{- $given := include "llmkube.requirements-runtime.given" . | fromJson }}
{{- range $name, $text := $refused }}
{{- if get $given $name }}
{{- fail (printf "runtime.%s: %s" $name $text) }}
{{- end }}
{{- end }}
{{- include "llmkube.requirements-runtime.extras" . }}
{{- include "llmkube.requirements-runtime.weights" . }}
{{- include "llmkube.requirements-runtime.gpus" . }}
{{- $template := $runtime.chatTemplate }}
{{- if and $template.inline $template.configMap }}
{{- fail "runtime.chatTemplate.configMap: is set, and so is runtime.chatTemplate.inline: remove one of them" }}
{{- end }}
{{- if and (eq $runtime.name "sglang") $runtime.loader.strategy (ne $runtime.loader.strategy "prefetch") }}
{{- fail "runtime.loader.strategy: SGLang has only prefetch: take that, or use runtime.loader.mmap" }}
{{- end }}
{{- end -}}

{{/*
Which values were given, by the names of what a runtime may refuse.
Given the root context. Returns JSON: a map from name to true or false.
*/}}
{{- define "llmkube.requirements-runtime.given" -}}
{{- $runtime := .Values.runtime -}}
{{- $given := dict "task" (ne $runtime.task "generate") "metrics" (not $runtime.metrics)
      "chatTemplate" (not (empty (include "llmkube.runtime.chatTemplatePath" .)))
      "loader.mmap" (not (kindIs "invalid" $runtime.loader.mmap)) "loader.strategy" (not (empty $runtime.loader.strategy)) -}}
{{- range list "contextSize" "parallel" "threads" "tensorParallel" "pipelineParallel" "gpuLayers" "gpuMemoryUtilization" "draftTokens" -}}
{{- $_ := set $given . (and (hasKey $runtime .) (not (kindIs "invalid" (get $runtime .)))) -}}
{{- end -}}
{{- range list "servedModelName" "quantization" "dtype" "kvCacheType" "trustRemoteCode" "mmproj" "draftModel" -}}
{{- $_ := set $given . (not (empty (get $runtime .))) -}}
{{- end -}}
{{- $given | toJson -}}
{{- end -}}

{{/*
What is loaded beside the model.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-runtime.extras" -}}
{{- $runtime := .Values.runtime }}
{{- $specs := dict "mmproj" $runtime.mmproj "draftModel" $runtime.draftModel }}
{{- range $name, $spec := $runtime.loraAdapters }}
{{- $_ := set $specs (printf "loraAdapters.%s" $name) $spec }}
{{- if not (regexMatch "^[A-Za-z0-9][A-Za-z0-9._-]*$" $name) }}
{{- fail (printf "runtime.loraAdapters.%s: is no name that clients can ask for: begin with a letter or digit and use only these, dots, - and _" $name) }}
{{- end }}
{{- end }}
{{- range $name, $spec := $specs }}{{ if $spec }}
{{- if not $.Values.model.source }}
{{- fail (printf "runtime.%s: is set without model.source, so nothing loads it: set the source, or list it in preload.models" $name) }}
{{- end }}
{{- end }}{{ end }}
{{- if and $runtime.draftTokens (not $runtime.draftModel) }}
{{- fail "runtime.draftTokens: is set without runtime.draftModel: set the draft model or remove it" }}
{{- end }}
{{- if and (eq $runtime.name "vllm") $runtime.draftModel (not $runtime.draftTokens) }}
{{- fail "runtime.draftTokens: is unset, and vLLM has no default for a draft model: say how many tokens it drafts at a time, for example 5" }}
{{- end }}
{{- end -}}

{{/*
That each source is of the kind that the server loads: llama.cpp takes GGUF files, the others take repositories.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-runtime.weights" -}}
{{- if .Values.model.source }}
{{- $name := .Values.runtime.name }}
{{- if eq $name "llamacpp" }}
{{- if not (hasSuffix ".gguf" (include "llmkube.cache.modelPath" .)) }}
{{- fail "model.source: llama.cpp loads one GGUF file, and these values do not say which: name it in the source (hf://org/repo/file.gguf) or first in model.files, without model.include" }}
{{- end }}
{{- range get (include "llmkube.beside.items" . | fromJson) "items" }}
{{- if not (hasSuffix ".gguf" .file) }}
{{- fail (printf "%s.source: llama.cpp loads one GGUF file, and these values do not say which: name it in the source, hf://org/repo/file.gguf" .path) }}
{{- end }}
{{- end }}
{{- else if ne $name "custom" }}
{{- $model := include "llmkube.cache.model" . | fromJson }}
{{- range prepend (get (include "llmkube.beside.items" . | fromJson) "items") $model }}
{{- /* What lies on a claim or in an image, only its owner knows. */}}
{{- $whole := or (has .scheme (list "pvc" "oci")) (and (eq .file .directory) (not (has .scheme (list "https" "http")))) }}
{{- if not (or $whole (and (has $name (list "vllm" "sglang")) (hasSuffix ".gguf" .file))) }}
{{- fail (printf "%s.source: the runtime %s loads the files of a repository together, and this is one file: name the repository, hf://org/repo" .path $name) }}
{{- end }}
{{- end }}
{{- else if not (and .Values.runtime.image.repository (or .Values.runtime.image.tag .Values.runtime.image.digest)) }}
{{- fail "runtime.image: the runtime custom has no image of its own: set runtime.image.repository, and runtime.image.tag or runtime.image.digest" }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
That the pod has the GPUs over which the model is split. Where the values do not ask for GPUs, somebody else may.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-runtime.gpus" -}}
{{- $runtime := .Values.runtime }}
{{- $count := int64 (include "llmkube.gpu.count" .) }}
{{- $parts := mul (int64 ($runtime.tensorParallel | default 1)) (int64 ($runtime.pipelineParallel | default 1)) }}
{{- $name := kindIs "invalid" $runtime.tensorParallel | ternary "pipelineParallel" "tensorParallel" }}
{{- if and (gt $count 0) (gt $parts $count) }}
{{- fail (printf "runtime.%s: splits the model into %d, but server.gpu.count is %d: ask for as many GPUs, or split less" $name $parts $count) }}
{{- end }}
{{- end -}}
