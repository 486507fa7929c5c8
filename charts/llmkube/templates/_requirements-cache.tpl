{{/*
What the values of the volume have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-cache.check" -}}
{{- $mode := include "llmkube.cache.mode" . }}
{{- $cache := .Values.modelCache }}
{{- $entries := get (include "llmkube.cache.entries" . | fromJson) "items" }}
{{- if and (or (include "llmkube.cache.owned" .) (eq $mode "ephemeral")) (not $cache.size) }}
{{- fail "modelCache.size: is empty: say how large the volume is, for example 20Gi: the sum of the weights and a tenth more" }}
{{- end }}
{{- if and (eq $mode "existingClaim") (not $cache.claimName) }}
{{- fail "modelCache.claimName: is empty, but modelCache.mode is existingClaim: name the claim to use" }}
{{- end }}
{{- if and $cache.enabled $cache.claimName (ne $mode "existingClaim") }}
{{- fail (printf "modelCache.claimName: is only for modelCache.mode existingClaim, and the mode is %s: remove it or change the mode" $mode) }}
{{- end }}
{{- if and $cache.enabled $cache.create (ne $mode "shared") }}
{{- fail (printf "modelCache.create: is only for modelCache.mode shared, and the mode is %s: remove it or change the mode" $mode) }}
{{- end }}
{{- if and (eq $mode "ephemeral") (not .Values.model.source) }}
{{- fail "modelCache.mode: is ephemeral without a model.source, so there is nothing to serve and nothing to keep: set model.source or another mode" }}
{{- end }}
{{- if and (eq $mode "shared") (not $cache.create) (not $entries) }}
{{- fail "model.source: is empty, and so is preload.models: a user of a shared cache needs one of them; to create the cache, set modelCache.create" }}
{{- end }}
{{- end -}}
