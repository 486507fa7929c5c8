{{/*
How new pods replace old ones. A pod that holds a GPU, or a volume that only one node can have, has to go before the next can
start: with a rolling update the new one would wait for the old one for ever. The numbers of a rolling update are written
out, because a field that Kubernetes filled in by itself is owned by nobody, stays when the type changes to Recreate, and
then the object is refused.
Given the root context.
*/}}
{{- define "llmkube.server-pod.strategy" -}}
{{- $type := "RollingUpdate" -}}
{{- if or (include "llmkube.cache.oneNode" .) (include "llmkube.gpu.held" . | fromJson) }}{{ $type = "Recreate" }}{{ end -}}
{{- $rolling := dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" "25%" "maxUnavailable" "25%") -}}
{{- eq $type "Recreate" | ternary (dict "type" $type) $rolling | toYaml -}}
{{- end -}}
