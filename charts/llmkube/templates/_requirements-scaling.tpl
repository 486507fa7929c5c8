{{/*
What the values of the number of pods have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-scaling.check" -}}
{{- if .Values.model.source }}
{{- include "llmkube.requirements-scaling.hpa" .Values.server }}
{{- include "llmkube.requirements-scaling.keda" .Values.server.keda }}
{{- include "llmkube.requirements-scaling.budget" . }}
{{- end }}
{{- end -}}

{{/*
The HorizontalPodAutoscaler.
Given the values of the server. Renders nothing.
*/}}
{{- define "llmkube.requirements-scaling.hpa" -}}
{{- $scaling := .autoscaling }}
{{- if $scaling.enabled }}
{{- if .keda.enabled }}
{{- fail "server.keda.enabled: and server.autoscaling.enabled would both change the number of pods: set one of them to false" }}
{{- end }}
{{- if not $scaling.metrics }}
{{- fail "server.autoscaling.metrics: is empty, so there is nothing to scale by: name a metric, docs/serving.md has one for each runtime" }}
{{- end }}
{{- if gt (int64 $scaling.minReplicas) (int64 $scaling.maxReplicas) }}
{{- fail (printf "server.autoscaling.minReplicas: is %d, more than server.autoscaling.maxReplicas, %d: change one of them" (int64 $scaling.minReplicas) (int64 $scaling.maxReplicas)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The ScaledObject.
Given the values of KEDA. Renders nothing.
*/}}
{{- define "llmkube.requirements-scaling.keda" -}}
{{- if .enabled }}
{{- if not .triggers }}
{{- fail "server.keda.triggers: is empty, so there is nothing to scale by: name a trigger, docs/serving.md has an example" }}
{{- end }}
{{- if gt (int64 .minReplicaCount) (int64 .maxReplicaCount) }}
{{- fail (printf "server.keda.minReplicaCount: is %d, more than server.keda.maxReplicaCount, %d: change one of them" (int64 .minReplicaCount) (int64 .maxReplicaCount)) }}
{{- end }}
{{- if not (kindIs "invalid" .idleReplicaCount) }}
{{- if ge (int64 .idleReplicaCount) (int64 .minReplicaCount) }}
{{- fail (printf "server.keda.idleReplicaCount: is %d, but has to be less than server.keda.minReplicaCount, %d: change one of them, or unset it" (int64 .idleReplicaCount) (int64 .minReplicaCount)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The PodDisruptionBudget. One that leaves no pod to evict blocks the drain of a node until somebody deletes the pod by hand. Parts
are rounded up, as Kubernetes does.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-scaling.budget" -}}
{{- $budget := .Values.server.podDisruptionBudget }}
{{- if $budget.enabled }}
{{- $least := $budget.minAvailable }}
{{- $most := $budget.maxUnavailable }}
{{- if not (or (kindIs "invalid" $least) (kindIs "invalid" $most)) }}
{{- fail "server.podDisruptionBudget.minAvailable: and maxUnavailable are both set, and Kubernetes takes one: remove one of them" }}
{{- end }}
{{- if has (toString $most) (list "0" "0%") }}
{{- fail (printf "server.podDisruptionBudget.maxUnavailable: is %v, so no pod may ever be evicted and no node with one drained: allow one" $most) }}
{{- end }}
{{- with (include "llmkube.scaling.bounds" . | fromJson).fewest }}
{{- $pods := int64 . }}
{{- $needed := $least | default 0 }}
{{- if kindIs "string" $needed }}{{ $needed = div (add (mul (trimSuffix "%" $needed | int64) $pods) 99) 100 }}{{ end }}
{{- if ge (int64 $needed) $pods }}
{{- fail (printf "server.podDisruptionBudget.minAvailable: is %v, and of %d pods that leaves none to evict, so no node with one can be drained: run more pods, or use maxUnavailable" $least $pods) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
