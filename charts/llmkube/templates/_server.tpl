{{/*
The arguments of the server, each on its own line. What the user gives comes last, because of a repeated flag the last wins.
Given the root context. Returns JSON: a list under "items".
*/}}
{{- define "llmkube.server.args" -}}
{{- $args := list -}}
{{- if eq .Values.runtime.name "llamacpp" -}}
{{- $alias := .Values.runtime.servedModelName | default (include "llmkube.names.fullname" .) -}}
{{- $args = list "--model" (include "llmkube.cache.modelPath" .) "--alias" $alias "--host" .Values.runtime.host
      "--port" (.Values.runtime.port | int64 | toString) -}}
{{- range $flag, $number := dict "--ctx-size" .Values.runtime.contextSize "--parallel" .Values.runtime.parallel "--threads" .Values.runtime.threads -}}
{{- if not (kindIs "invalid" $number) }}{{ $args = concat $args (list $flag ($number | int64 | toString)) }}{{ end -}}
{{- end -}}
{{- $literal := list -}}
{{- range $args }}{{ $literal = append $literal (include "llmkube.pod.literal" .) }}{{ end -}}
{{- $args = $literal -}}
{{- end -}}
{{- dict "items" (concat $args .Values.runtime.args) | toJson -}}
{{- end -}}

{{/*
A probe of the server: how to ask, and the numbers the user gave.
Given a dict: root, probe (numbers by name).
*/}}
{{- define "llmkube.server.probe" -}}
{{- with .root.Values.server.probes.path -}}
httpGet:
  path: {{ . | quote }}
  port: http
{{- else -}}
tcpSocket:
  port: http
{{- end }}
{{ include "llmkube.map.overlay" (dict "over" .probe) }}
{{- end -}}

{{/*
The container that serves the model. It can read the cache and nothing else of the volume's life: only downloads write.
Given the root context.
*/}}
{{- define "llmkube.server.container" -}}
{{- $env := dict "HOME" "/tmp" "LLMKUBE_MODEL_PATH" (include "llmkube.pod.literal" (include "llmkube.cache.modelPath" .)) -}}
name: server
image: {{ include "llmkube.image.runtime" . | quote }}
imagePullPolicy: {{ .Values.runtime.image.pullPolicy }}
{{- with .Values.runtime.command }}
command:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with get (include "llmkube.server.args" . | fromJson) "items" }}
args:
  {{- range . }}
  - {{ quote . }}
  {{- end }}
{{- end }}
env:
  {{- include "llmkube.pod.env" (dict "base" $env "over" .Values.server.env) | nindent 2 }}
ports:
  - name: http
    containerPort: {{ int64 .Values.runtime.port }}
{{- range $name := list "startup" "readiness" "liveness" }}
{{- with get $.Values.server.probes $name }}
{{ $name }}Probe:
  {{- include "llmkube.server.probe" (dict "root" $ "probe" .) | nindent 2 }}
{{- end }}
{{- end }}
{{- with .Values.server.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "llmkube.map.overlay" (dict "over" .Values.securityContext) | nindent 2 }}
volumeMounts:
  - name: model-cache
    mountPath: {{ .Values.modelCache.mountPath }}
    readOnly: true
  - name: tmp
    mountPath: /tmp
{{- end -}}
