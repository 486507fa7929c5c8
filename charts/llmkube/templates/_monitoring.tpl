{{/*
How Prometheus asks the server for its measurements. Where the server wants a key, Prometheus sends it: llama.cpp answers
/metrics only to those who have it, and the others do not mind.
Given a dict: root, monitor (server.podMonitor or server.serviceMonitor).
*/}}
{{- define "llmkube.monitoring.endpoint" -}}
port: http
path: {{ quote .monitor.path }}
{{- range $name := list "interval" "scrapeTimeout" }}
{{- with get $.monitor $name }}
{{ $name }}: {{ . }}
{{- end }}
{{- end }}
{{- with .root.Values.runtime.apiKey }}{{ if .existingSecret }}
authorization:
  type: Bearer
  credentials:
    name: {{ quote .existingSecret }}
    key: {{ quote .key }}
{{- end }}{{ end }}
{{- range $name := list "relabelings" "metricRelabelings" }}
{{- with get $.monitor $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
