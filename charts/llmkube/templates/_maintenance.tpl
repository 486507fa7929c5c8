{{/*
When a CronJob runs. It never runs twice at a time: both would work on the same files. Of what ran, the last success and the
last failure stay to be looked at.
Given a dict: root, schedule.
*/}}
{{- define "llmkube.maintenance.schedule" -}}
schedule: {{ quote .schedule }}
{{- with .root.Values.downloader.timeZone }}
timeZone: {{ quote . }}
{{- end }}
concurrencyPolicy: Forbid
successfulJobsHistoryLimit: 1
failedJobsHistoryLimit: 1
{{- end -}}

{{/*
"true" when this release may work on the volume as a whole: it owns the claim, or the claim is the user's own; nothing otherwise.
Given the root context.
*/}}
{{- define "llmkube.maintenance.allowed" -}}
{{- if or (include "llmkube.cache.owned" .) (eq (include "llmkube.cache.mode" .) "existingClaim") -}}
true
{{- end -}}
{{- end -}}

{{/*
The Jobs that a CronJob makes to work on the volume. A Job that failed is not tried again: what is damaged stays damaged, and
all else is tried again at the next time. A drained node is no failure.
Given a dict: root, component, name (of the container), args, secret (name of the Secret with credentials, empty: none).
*/}}
{{- define "llmkube.maintenance.jobTemplate" -}}
metadata:
  labels:
    {{- include "llmkube.labels.pod" . | nindent 4 }}
  annotations:
    {{- include "llmkube.labels.annotations" . | nindent 4 }}
spec:
  backoffLimit: 0
  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
  template:
    {{- include "llmkube.downloader.template" . | nindent 4 }}
{{- end -}}

{{/*
The command line that prunes.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.maintenance.pruneArgs" -}}
{{- $prune := .Values.modelCache.prune -}}
{{- $args := list "prune" -}}
{{- with $prune.olderThan }}{{ $args = append $args (printf "--older-than=%s" .) }}{{ end -}}
{{- with $prune.maxBytes }}{{ $args = append $args (printf "--max-bytes=%s" .) }}{{ end -}}
{{- with $prune.minFree }}{{ $args = append $args (printf "--min-free=%s" .) }}{{ end -}}
{{- if $prune.unused }}{{ $args = append $args "--unused" }}{{ end -}}
{{- dict "items" $args | toJson -}}
{{- end -}}
