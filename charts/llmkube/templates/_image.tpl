{{/*
An image reference. A digest wins over the tag, because it says exactly what runs.
Given a dict: image (repository, tag, digest as in values), repository and tag (what to take where the values are empty).
*/}}
{{- define "llmkube.image.reference" -}}
{{- $repository := .image.repository | default .repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.image.tag | default .tag) -}}
{{- end -}}
{{- end -}}

{{/*
The downloader's image: of the chart's own version unless told otherwise, as the two agree on arguments.
Given the root context.
*/}}
{{- define "llmkube.image.downloader" -}}
{{- include "llmkube.image.reference" (dict "image" .Values.downloader.image "tag" .Chart.AppVersion) -}}
{{- end -}}

{{/*
The server's image. The tag of llama.cpp is a build, not a moving name: b10068 is the build that LLMKube pins for CUDA, so a
model that is moved between the two meets the same server.
Given the root context.
*/}}
{{- define "llmkube.image.runtime" -}}
{{- $default := dict "image" .Values.runtime.image -}}
{{- if eq .Values.runtime.name "llamacpp" -}}
{{- $default = merge $default (dict "repository" "ghcr.io/ggml-org/llama.cpp" "tag" "server-b10068") -}}
{{- end -}}
{{- include "llmkube.image.reference" $default -}}
{{- end -}}
