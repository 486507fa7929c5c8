{{/*
One object of the user, its template expressions evaluated, with the labels and annotations of all objects under its own.
Given a dict: root, name (its key in extraObjects), manifest (a map or a text).
*/}}
{{- define "llmkube.extra-objects.manifest" -}}
{{- $text := kindIs "string" .manifest | ternary .manifest (toYaml .manifest) -}}
{{- $object := tpl $text .root | fromYaml -}}
{{- if $object.Error -}}
{{- fail (printf "extraObjects.%s: is no YAML once its templates are evaluated: %v" .name $object.Error) -}}
{{- end -}}
{{- $metadata := $object.metadata | default dict -}}
{{- if not (and $object.apiVersion $object.kind $metadata.name) -}}
{{- fail (printf "extraObjects.%s: is no object that Kubernetes could take: give it apiVersion, kind and metadata.name" .name) -}}
{{- end -}}
{{- range $field, $common := dict "labels" .root.Values.commonLabels "annotations" .root.Values.commonAnnotations -}}
{{- with include "llmkube.map.overlay" (dict "base" $common "over" (get $metadata $field | default dict)) | fromYaml -}}
{{- $_ := set $metadata $field . -}}
{{- end -}}
{{- end -}}
{{- toYaml $object -}}
{{- end -}}
