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
    {{- include "llmkube.pod.common" .root | nindent 4 }}
    containers:
      - {{ include "llmkube.downloader.fetch" . | indent 8 | trim }}
    volumes:
      {{- include "llmkube.pod.volumes" (dict "root" .root "secret" .entry.secret) | nindent 6 }}
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
