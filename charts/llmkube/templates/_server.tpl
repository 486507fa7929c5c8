{{/*
The arguments of the server, each on its own line: the runtime's own, in which nothing is expanded but what it asks for, and those
of the user. What the user gives comes last, because of a repeated flag the last wins.
Given the root context. Returns JSON: a list under "items".
*/}}
{{- define "llmkube.server.args" -}}
{{- $own := include (printf "llmkube.runtime-%s.args" .Values.runtime.name) . | fromJson -}}
{{- $args := list -}}
{{- range $own.items }}{{ $args = append $args (include "llmkube.pod.literal" .) }}{{ end -}}
{{- dict "items" (concat $args ($own.expanded | default list) .Values.runtime.args) | toJson -}}
{{- end -}}

{{/*
The path at which the server says that it is well: the user's, or the runtime's own. Nothing when only the port is asked.
Given the root context.
*/}}
{{- define "llmkube.server.healthPath" -}}
{{- if kindIs "invalid" .Values.server.probes.path -}}
{{- include (printf "llmkube.runtime-%s.health" .Values.runtime.name) . -}}
{{- else -}}
{{- .Values.server.probes.path -}}
{{- end -}}
{{- end -}}

{{/*
A probe of the server: how to ask, and the numbers the user gave.
Given a dict: root, probe (numbers by name).
*/}}
{{- define "llmkube.server.probe" -}}
{{- with include "llmkube.server.healthPath" .root -}}
httpGet:
  path: {{ quote . }}
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
{{- $env := merge (include "llmkube.artifacts.env" . | fromJson) (include "llmkube.runtime.env" . | fromJson) -}}
{{- $command := get (include (printf "llmkube.runtime-%s.command" .Values.runtime.name) . | fromJson) "items" -}}
name: server
image: {{ include "llmkube.image.runtime" . | quote }}
imagePullPolicy: {{ .Values.runtime.image.pullPolicy }}
{{- with .Values.runtime.command | default $command }}
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
{{- $probe := eq $name "startup" | ternary (include "llmkube.budget.probe" $ | fromYaml) . }}
{{ $name }}Probe:
  {{- include "llmkube.server.probe" (dict "root" $ "probe" $probe) | nindent 2 }}
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
  {{- include "llmkube.server-volumes.mounts" . | trim | nindent 2 }}
  {{- with .Values.server.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
