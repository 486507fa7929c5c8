{{/*
The image of llama.cpp's server. The tag is a build, not a moving name: b10068 is the build that LLMKube pins for CUDA, so a
model that is moved between the two meets the same server.
Given the root context. Returns JSON: repository, tag.
*/}}
{{- define "llmkube.runtime-llamacpp.image" -}}
{{- dict "repository" "ghcr.io/ggml-org/llama.cpp" "tag" "server-b10068" | toJson -}}
{{- end -}}

{{/*
The arguments of llama.cpp's server.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.runtime-llamacpp.args" -}}
{{- $runtime := .Values.runtime -}}
{{- $alias := $runtime.servedModelName | default (include "llmkube.names.fullname" .) -}}
{{- $args := list "--model" (include "llmkube.cache.modelPath" .) "--alias" $alias "--host" $runtime.host
      "--port" ($runtime.port | int64 | toString) -}}
{{- range $flag, $number := dict "--ctx-size" $runtime.contextSize "--parallel" $runtime.parallel "--threads" $runtime.threads -}}
{{- if not (kindIs "invalid" $number) }}{{ $args = concat $args (list $flag ($number | int64 | toString)) }}{{ end -}}
{{- end -}}
{{- dict "items" $args | toJson -}}
{{- end -}}
