{{/*
The arguments of the server, each on its own line: the runtime's own, in which nothing is expanded, and those of the user. What
the user gives comes last, because of a repeated flag the last wins.
Given the root context. Returns JSON: a list under "items".
*/}}
{{- define "llmkube.server.args" -}}
{{- $args := list -}}
{{- range get (include (printf "llmkube.runtime-%s.args" .Values.runtime.name) . | fromJson) "items" -}}
{{- $args = append $args (include "llmkube.pod.literal" .) -}}
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
The container that serves the model.
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
{{- with include "llmkube.gpu.resources" . | fromJson }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "llmkube.map.compact" .Values.server.lifecycle }}
lifecycle:
  {{- . | nindent 2 }}
{{- end }}
terminationMessagePolicy: FallbackToLogsOnError
{{- with include "llmkube.map.compact" .Values.securityContext }}
securityContext:
  {{- . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "llmkube.server-volumes.mounts" . | nindent 2 }}
  {{- with .Values.server.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
