{{/*
The image of a custom runtime: only the user knows it.
Given the root context. Returns JSON: repository, tag.
*/}}
{{- define "llmkube.runtime-custom.image" -}}
{{- dict "repository" "" "tag" "" | toJson -}}
{{- end -}}

{{/*
The arguments of a custom runtime that the chart sets: none.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.runtime-custom.args" -}}
{{- dict "items" list | toJson -}}
{{- end -}}
