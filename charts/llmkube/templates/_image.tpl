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
The server's image: the runtime's own unless told otherwise.
Given the root context.
*/}}
{{- define "llmkube.image.runtime" -}}
{{- $own := include (printf "llmkube.runtime-%s.image" .Values.runtime.name) . | fromJson -}}
{{- include "llmkube.image.reference" (merge (dict "image" .Values.runtime.image) $own) -}}
{{- end -}}
