{{/*
Labels and annotations that the user may not give, because the chart does: by them Deployments and Services find their pods, Helm
its objects and the plugin the caches.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-metadata.check" -}}
{{- $server := .Values.server }}
{{- $own := include "llmkube.labels.own" (dict "root" . "component" "cache") | fromYaml }}
{{- $labels := dict "commonLabels" .Values.commonLabels "server.podLabels" $server.podLabels }}
{{- range $path, $given := $labels }}{{ range $name, $value := $given }}
{{- if or (hasKey $own $name) (hasPrefix "llmkube.dev/" $name) }}
{{- fail (printf "%s: the label %s is set by the chart, which finds its objects by it: remove it" $path $name) }}
{{- end }}
{{- end }}{{ end }}
{{- $annotations := dict "commonAnnotations" .Values.commonAnnotations "server.podAnnotations" $server.podAnnotations
      "server.annotations" $server.annotations "serviceAccount.annotations" .Values.serviceAccount.annotations }}
{{- range $path, $given := $annotations }}{{ range $name, $value := $given }}
{{- if hasPrefix "llmkube.dev/" $name }}
{{- fail (printf "%s: the annotation %s is set by the chart, and the plugin reads it: remove it" $path $name) }}
{{- end }}
{{- end }}{{ end }}
{{- end -}}
