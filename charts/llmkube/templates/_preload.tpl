{{/*
The part of a preload Job that may not change once it exists, and from which its name is made.
Given a dict: root, component, entry.
*/}}
{{- define "llmkube.preload.spec" -}}
{{- /* A failure that would only repeat ends the Job at once; an eviction does not count as a try. */ -}}
podFailurePolicy:
  rules:
    - action: FailJob
      onExitCodes:
        containerName: fetch
        operator: In
        values: {{ include "llmkube.preload.finalCodes" .entry }}
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          status: "True"
template:
  metadata:
    labels:
      {{- include "llmkube.labels.pod" . | nindent 6 }}
    annotations:
      {{- include "llmkube.labels.annotations" . | nindent 6 }}
  spec:
    restartPolicy: Never
    {{- with .root.Values.downloader.priorityClassName }}
    priorityClassName: {{ quote . }}
    {{- end }}
    {{- include "llmkube.pod.common" .root | nindent 4 }}
    containers:
      - {{ include "llmkube.downloader.fetch" . | indent 8 | trim }}
    volumes:
      {{- include "llmkube.pod.volumes" (dict "root" .root "secret" .entry.secret "entries" (list .entry) "upstream" true) | nindent 6 }}
{{- end -}}

{{/*
The downloader's exit codes after which another try is pointless, as in tests/contract/exit-codes.yaml: usage, auth, not-found,
no-space, tls, file-system, policy. A damaged transfer (13, integrity) is tried again, unless the user gave the hash: then
the origin has other bytes than expected, and will have them the next time.
Given an entry.
*/}}
{{- define "llmkube.preload.finalCodes" -}}
{{- empty .hashes | ternary (list 10 11 12 14 18 19 21) (list 10 11 12 13 14 18 19 21) | toJson -}}
{{- end -}}

{{/*
When to ask the source of an entry for newer weights, nothing for never: what the entry itself says, else what counts for all.
Given a dict: root, entry.
*/}}
{{- define "llmkube.preload.schedule" -}}
{{- $schedule := .root.Values.preload.schedule | default "" -}}
{{- if hasPrefix "preload.models." .entry.path -}}
{{- $spec := get .root.Values.preload.models (trimPrefix "preload.models." .entry.path) -}}
{{- if not (kindIs "invalid" $spec.schedule) }}{{ $schedule = $spec.schedule }}{{ end -}}
{{- end -}}
{{- $schedule -}}
{{- end -}}

{{/*
The name of the CronJob that asks for newer weights of an entry. It is made of the name that the user gave the entry, so that
another revision or another place of the weights changes the CronJob that is there. A name that Kubernetes would not take is
changed, and then ends in a hash, because two names may become one.
Given a dict: root, entry.
*/}}
{{- define "llmkube.preload.scheduleName" -}}
{{- $given := ternary "" (trimPrefix "preload.models." .entry.path) (eq .entry.path "model") -}}
{{- $safe := regexReplaceAll "[^a-z0-9]+" (lower $given) "-" | trimAll "-" -}}
{{- if ne $safe $given }}{{ $safe = list $safe (sha256sum $given | trunc 8) | compact | join "-" }}{{ end -}}
{{- $name := list (include "llmkube.names.fullname" .root) "refresh" $safe | compact | join "-" -}}
{{- include "llmkube.names.bounded" (dict "name" $name "max" 52) -}}
{{- end -}}

{{/*
An entry as its schedule fetches it: what has changed, or everything where the values say that the origin would not tell.
Given an entry. Returns JSON: an entry.
*/}}
{{- define "llmkube.preload.refreshing" -}}
{{- $args := list -}}
{{- range .args }}{{ if not (hasPrefix "--refresh=" .) }}{{ $args = append $args . }}{{ end }}{{ end -}}
{{- $refresh := has "--refresh=always" .args | ternary "always" "on-change" -}}
{{- set (deepCopy .) "args" (append $args (printf "--refresh=%s" $refresh)) | toJson -}}
{{- end -}}
