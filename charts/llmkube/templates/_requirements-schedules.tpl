{{/*
What the values of everything that runs by itself, on a schedule or beside the server, have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-schedules.check" -}}
{{- include "llmkube.requirements-schedules.preload" . }}
{{- include "llmkube.requirements-schedules.maintenance" . }}
{{- include "llmkube.requirements-schedules.hold" . }}
{{- end -}}

{{/*
Newer weights are fetched only into a cache that stays, and only by a release that preloads.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-schedules.preload" -}}
{{- $ephemeral := eq (include "llmkube.cache.mode" .) "ephemeral" }}
{{- $entries := get (include "llmkube.cache.entries" . | fromJson) "items" }}
{{- if and .Values.preload.schedule $ephemeral }}
{{- fail "preload.schedule: fetches newer weights into a cache that stays, and this one is ephemeral: remove it or set modelCache.mode to perModel, shared or existingClaim" }}
{{- end }}
{{- if and .Values.preload.schedule (not $entries) }}
{{- fail "preload.schedule: is set, but there is nothing to download: set model.source or preload.models, or remove it" }}
{{- end }}
{{- if not .Values.preload.enabled }}
{{- if .Values.preload.schedule }}
{{- fail "preload.schedule: is set, but preload.enabled is false: set preload.enabled to true or remove the schedule" }}
{{- end }}
{{- range $entries }}
{{- if include "llmkube.preload.schedule" (dict "root" $ "entry" .) }}
{{- fail (printf "%s.schedule: is set, but preload.enabled is false: set preload.enabled to true or remove the schedule" .path) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Who may prune and verify, and what they have to be told.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-schedules.maintenance" -}}
{{- $prune := .Values.modelCache.prune }}
{{- $verify := .Values.modelCache.verify }}
{{- if ne (include "llmkube.cache.mode" .) "inPlace" }}
{{- range $name, $schedule := dict "prune" $prune.schedule "verify" $verify.schedule }}
{{- if and $schedule (eq (include "llmkube.cache.mode" $) "ephemeral") }}
{{- fail (printf "modelCache.%s.schedule: works on a cache that stays, and this one is ephemeral: remove it or set modelCache.mode to perModel, shared or existingClaim" $name) }}
{{- end }}
{{- if and $schedule (not (include "llmkube.maintenance.allowed" $)) }}
{{- fail (printf "modelCache.%s.schedule: the claim llmkube-model-cache belongs to another release: set it in the release with modelCache.create" $name) }}
{{- end }}
{{- end }}
{{- $criterion := or $prune.olderThan $prune.maxBytes $prune.minFree $prune.unused }}
{{- if and $prune.schedule (not $criterion) }}
{{- fail "modelCache.prune.schedule: is set, but nothing says what to remove: set modelCache.prune.olderThan, maxBytes, minFree or unused" }}
{{- end }}
{{- if not $prune.schedule }}
{{- range $name := list "olderThan" "maxBytes" "minFree" "unused" }}
{{- if get $prune $name }}
{{- fail (printf "modelCache.prune.%s: is set without modelCache.prune.schedule: set the schedule or remove it" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $verify.repair (not $verify.schedule) }}
{{- fail "modelCache.verify.repair: is set without modelCache.verify.schedule: set the schedule or remove it" }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
A server that a scheduled prune of its own release could take for gone has to say that it is there.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-schedules.hold" -}}
{{- $cache := .Values.modelCache }}
{{- if include "llmkube.in-place.model" . }}{{ $cache = dict "prune" dict }}{{ end }}
{{- if and $cache.hold (not .Values.model.source) }}
{{- fail "modelCache.hold: is set without model.source, so there is no server to say that it uses weights: set it in the releases that serve" }}
{{- end }}
{{- if and $cache.hold (eq (include "llmkube.cache.mode" .) "ephemeral") }}
{{- fail "modelCache.hold: is of no use to an ephemeral cache, which nobody else sees: remove it or set modelCache.mode to perModel, shared or existingClaim" }}
{{- end }}
{{- if and $cache.prune.schedule .Values.model.source (not $cache.hold) }}
{{- fail "modelCache.hold: is false, but modelCache.prune.schedule is set: a server that runs for more than 7 days would count as gone, and lose its weights: set modelCache.hold to true" }}
{{- end }}
{{- end -}}
