{{/*
The section of values that owns the number of pods: an autoscaler's, or nothing.
Given the root context.
*/}}
{{- define "llmkube.scaling.autoscaler" -}}
{{- if .Values.server.autoscaling.enabled -}}
server.autoscaling
{{- else if .Values.server.keda.enabled -}}
server.keda
{{- end -}}
{{- end -}}

{{/*
The number of pods that the Deployment asks for; nothing when something else owns it. An upgrade that wrote a number would
undo what an autoscaler did, and with server-side apply fail, because the field is the autoscaler's.
Given the root context.
*/}}
{{- define "llmkube.scaling.replicas" -}}
{{- if not (or (include "llmkube.scaling.autoscaler" .) (kindIs "invalid" .Values.server.replicas)) -}}
{{- int64 .Values.server.replicas -}}
{{- end -}}
{{- end -}}

{{/*
How many pods there are at a quiet time and at a busy one, as far as the values tell. While there is none, nothing can be asked of
them, so an autoscaler that goes to zero counts as one that keeps one.
Given the root context. Returns JSON: fewest, most (of pods), or nothing in it.
*/}}
{{- define "llmkube.scaling.bounds" -}}
{{- $scaled := include "llmkube.scaling.autoscaler" . -}}
{{- if eq $scaled "server.autoscaling" -}}
{{- dict "fewest" .Values.server.autoscaling.minReplicas "most" .Values.server.autoscaling.maxReplicas | toJson -}}
{{- else if $scaled -}}
{{- dict "fewest" (max 1 .Values.server.keda.minReplicaCount) "most" .Values.server.keda.maxReplicaCount | toJson -}}
{{- else if .Values.server.replicas -}}
{{- dict "fewest" .Values.server.replicas "most" .Values.server.replicas | toJson -}}
{{- else -}}
{{- dict | toJson -}}
{{- end -}}
{{- end -}}

{{/*
What an autoscaler scales.
Given the root context.
*/}}
{{- define "llmkube.scaling.target" -}}
apiVersion: apps/v1
kind: Deployment
name: {{ include "llmkube.names.fullname" . | quote }}
{{- end -}}
