{{/*
The paths that `helm test` asks the server for: whether it is well, and where there is the API of OpenAI, which models it has.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.tests.paths" -}}
{{- $paths := .Values.tests.paths -}}
{{- if not $paths -}}
{{- $paths = include "llmkube.server.healthPath" . | list | compact -}}
{{- if ne .Values.runtime.name "custom" }}{{ $paths = append $paths "/v1/models" }}{{ end -}}
{{- end -}}
{{- dict "items" $paths | toJson -}}
{{- end -}}

{{/*
The environment of the pod of `helm test`.
Given the root context. Returns YAML: a map.
*/}}
{{- define "llmkube.tests.env" -}}
{{- $address := printf "http://%s:%d" (include "llmkube.names.fullname" .) (int64 .Values.server.service.port) -}}
LLMKUBE_TEST_ADDRESS: {{ quote $address }}
LLMKUBE_TEST_PATHS: {{ get (include "llmkube.tests.paths" . | fromJson) "items" | join " " | quote }}
LLMKUBE_TEST_SECONDS: {{ int64 .Values.tests.timeoutSeconds | quote }}
{{- with .Values.runtime.apiKey }}{{ if .existingSecret }}
LLMKUBE_TEST_KEY:
  valueFrom:
    secretKeyRef:
      name: {{ quote .existingSecret }}
      key: {{ quote .key }}
{{- end }}{{ end }}
{{- end -}}
