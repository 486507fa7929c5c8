{{/*
What the environment of the downloader may not say, because the chart does.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-downloader.check" -}}
{{- $own := dict "LLMKUBE_ROOT" "modelCache.mountPath" "LLMKUBE_SOURCE" "model.source" "LLMKUBE_REVISION" "model.revision"
      "LLMKUBE_INCLUDE" "model.include" "LLMKUBE_EXCLUDE" "model.exclude" "LLMKUBE_FILE" "model.files"
      "LLMKUBE_SHA256" "model.sha256" "LLMKUBE_CREDENTIALS" "model.existingSecret"
      "LLMKUBE_ALLOW_HTTP" "downloader.allowHttp" "HF_ENDPOINT" "downloader.hfEndpoint" }}
{{- range $name, $value := .Values.downloader.env }}
{{- with get $own $name }}
{{- fail (printf "downloader.env.%s: is set by the chart: use %s" $name .) }}
{{- end }}
{{- if eq $name "LLMKUBE_REPORT" }}
{{- fail "downloader.env.LLMKUBE_REPORT: is set by the chart, because the plugin reads the report from there: remove it" }}
{{- end }}
{{- if has $name (list "LLMKUBE_POD_UID" "LLMKUBE_NODE_NAME") }}
{{- fail (printf "downloader.env.%s: is set by the chart, where the pod itself knows it: remove it" $name) }}
{{- end }}
{{- end }}
{{- end -}}
