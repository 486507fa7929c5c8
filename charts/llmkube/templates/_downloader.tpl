{{/*
A container that runs the downloader with the cache mounted for writing, where that is possible.
Given a dict: root, name, component, args (list of texts), secret (name of the Secret with credentials, empty: none), credentials
(optional: name of the volume with them), resources (optional: other ones than those of the values), offline (optional: whether
it asks no origin), entries (optional: what it fetches), upstream (optional: whether it asks other caches).
*/}}
{{- define "llmkube.downloader.container" -}}
name: {{ .name }}
image: {{ include "llmkube.image.downloader" .root | quote }}
imagePullPolicy: {{ .root.Values.downloader.image.pullPolicy }}
args:
  {{- range .args }}
  - {{ include "llmkube.pod.literal" . | quote }}
  {{- end }}
env:
  {{- include "llmkube.pod.env" (dict "base" (include "llmkube.downloader.env" . | fromYaml) "over" .root.Values.downloader.env) | nindent 2 }}
{{- /* The report of the downloader is what `kubectl describe` and the plugin show; a container that could not write one shows
the end of its log. */}}
terminationMessagePolicy: FallbackToLogsOnError
{{- with include "llmkube.map.compact" (.resources | default .root.Values.downloader.resources) }}
resources:
  {{- . | nindent 2 }}
{{- end }}
{{- with include "llmkube.map.compact" .root.Values.securityContext }}
securityContext:
  {{- . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: model-cache
    mountPath: {{ .root.Values.modelCache.mountPath }}
    {{- if include "llmkube.claim.readOnly" .root }}
    readOnly: true
    {{- end }}
  {{- with include "llmkube.sources.mounts" . }}
  {{- . | indent 2 }}
  {{- end }}
  - name: tmp
    mountPath: /tmp
  {{- if and (eq .component "server") .entries }}
  - name: entries
    mountPath: /entries
  {{- end }}
  {{- if .secret }}
  - name: {{ .credentials | default "credentials" }}
    mountPath: /var/run/secrets/llmkube
    readOnly: true
  {{- end }}
  {{- if and (not .offline) (include "llmkube.downloader-network.volume" .root) }}
  - name: ca-bundle
    mountPath: /var/run/llmkube/ca
    readOnly: true
  {{- end }}
{{- end -}}

{{/*
The environment the chart gives the downloader, as a map. Names in here are refused in downloader.env.
Only a server's pod is told its UID, under which a fetch says for a week that the pod uses the entry. The pod of a Job uses
none, and would keep it from being removed; nor does a second process ever start in it, to go on with what the first one left.
Given a dict: root, component, secret, offline (optional), entries (optional: what is fetched), upstream (optional: whether other
caches are asked).
*/}}
{{- define "llmkube.downloader.env" -}}
HOME: /tmp
LLMKUBE_NODE_NAME:
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- if eq .component "server" }}
LLMKUBE_POD_UID:
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
{{- with .entries }}
{{- /* The server is told one path, whichever content of the entry its pod then has. */}}
LLMKUBE_LINK: {{ get (first .) "directory" }}
{{- end }}
{{- end }}
LLMKUBE_ROOT: {{ .root.Values.modelCache.mountPath }}
LLMKUBE_REPORT: /dev/termination-log
{{- if .upstream }}
{{- with include "llmkube.sources.upstream" .root }}
LLMKUBE_UPSTREAM: {{ quote . }}
{{- end }}
{{- with include "llmkube.size.bytes" (dict "size" .root.Values.modelCache.budget) | int64 }}
LLMKUBE_BUDGET: {{ printf "%d" . | quote }}
{{- end }}
{{- end }}
{{- with .root.Values.downloader.allowHttp }}
LLMKUBE_ALLOW_HTTP: {{ join "," . | quote }}
{{- end }}
{{- with .root.Values.downloader.hfEndpoint }}
HF_ENDPOINT: {{ . | quote }}
{{- end }}
{{- if .secret }}
LLMKUBE_CREDENTIALS: /var/run/secrets/llmkube
{{- end }}
{{- if not .offline }}
{{ include "llmkube.downloader-network.env" .root }}
{{- end }}
{{- end -}}

{{/*
The container that fetches one entry, in the server's pod and in preload Jobs alike.
Given a dict: root, component, entry.
*/}}
{{- define "llmkube.downloader.fetch" -}}
{{- include "llmkube.downloader.container" (dict "root" .root "name" "fetch" "component" .component "args" .entry.args
      "secret" .entry.secret "entries" (list .entry) "upstream" true) -}}
{{- end -}}

{{/*
The container that says every hour that its pod uses the entry. It stands behind the one that fetches, so that the entry is
there, and lasts as long as the server.
Given a dict: root, component, entry.
*/}}
{{- define "llmkube.downloader.hold" -}}
{{ include "llmkube.downloader.container" (dict "root" .root "name" "hold" "component" .component
      "args" (list "hold" .entry.key) "resources" .root.Values.downloader.holdResources "offline" true) }}
restartPolicy: Always
{{- end -}}

{{/*
The part of a Job that works on the claim: maintenance, and the first use of a new claim. Credentials that are not there do not
keep it from starting: most of this work asks nobody.
Given a dict: root, name (of the container), component, args, secret (optional), offline (optional), upstream (optional: whether
other caches are asked), claim (optional: another one in the cache's place).
*/}}
{{- define "llmkube.downloader.template" -}}
metadata:
  labels:
    {{- include "llmkube.labels.pod" . | nindent 4 }}
  {{- with include "llmkube.labels.annotations" . }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  restartPolicy: Never
  {{- with .root.Values.downloader.priorityClassName }}
  priorityClassName: {{ quote . }}
  {{- end }}
  {{- include "llmkube.pod.common" .root | nindent 2 }}
  containers:
    - {{ include "llmkube.downloader.container" . | indent 6 | trim }}
  volumes:
    {{- include "llmkube.pod.volumes" (dict "root" .root "secret" .secret "optional" true "offline" .offline
      "upstream" .upstream "claim" .claim) | nindent 4 }}
{{- end -}}
