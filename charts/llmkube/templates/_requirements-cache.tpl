{{/*
What the values of the volume have to say together. A release without a cache of its own is asked nothing: what is said of one does
not concern it.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-cache.check" -}}
{{- $mode := include "llmkube.cache.mode" . }}
{{- $cache := .Values.modelCache }}
{{- if ne $mode "inPlace" }}
{{- include "llmkube.requirements-cache.size" . }}
{{- include "llmkube.requirements-cache.claim" . }}
{{- include "llmkube.requirements-cache.upstream" . }}
{{- $entries := get (include "llmkube.cache.entries" . | fromJson) "items" }}
{{- if and (eq $mode "ephemeral") (not .Values.model.source) }}
{{- fail "modelCache.mode: is ephemeral without a model.source, so there is nothing to serve and nothing to keep: set model.source or another mode" }}
{{- end }}
{{- if and (eq $mode "shared") (not $cache.create) (not $entries) }}
{{- fail "model.source: is empty, and so is preload.models: a user of a shared cache needs one of them; to create the cache, set modelCache.create" }}
{{- end }}
{{- if include "llmkube.claim.readOnly" . }}
{{- $writes := dict "preload.enabled" (and $entries .Values.preload.enabled) "modelCache.prune.schedule" $cache.prune.schedule
      "modelCache.verify.repair" $cache.verify.repair "modelCache.hold" $cache.hold }}
{{- range $path, $value := $writes }}{{ if $value }}
{{- fail (printf "%s: writes to the cache, which nobody can with modelCache.accessMode ReadOnlyMany: switch it off, or choose another mode" $path) }}
{{- end }}{{ end }}
{{- end }}
{{- end }}
{{- include "llmkube.requirements-cache.alone" (dict "root" . "path" "modelCache" "claim" (include "llmkube.claim.gathered" .)) }}
{{- include "llmkube.requirements-cache.alone" (dict "root" . "path" "artifactCache" "claim" (include "llmkube.artifacts.claim" .)) }}
{{- include "llmkube.requirements-cache.places" . }}
{{- if and .Values.artifactCache.enabled (not .Values.model.source) }}
{{- fail "artifactCache.enabled: keeps what a server compiles, and without model.source there is none: set the source or switch it off" }}
{{- end }}
{{- with include "llmkube.artifacts.claim" . }}
{{- if has . (list (include "llmkube.cache.claim" $) (include "llmkube.in-place.claim" $)) }}
{{- fail (printf "artifactCache.claimName: %s holds the weights, which a server must not be able to change: name another claim" .) }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
How large the volume is has to be known, from the values or from the catalog.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-cache.size" -}}
{{- $renders := or (include "llmkube.cache.owned" .) (eq (include "llmkube.cache.mode" .) "ephemeral") }}
{{- if and $renders (not .Values.modelCache.size) }}
{{- $entries := get (include "llmkube.size.entries" . | fromJson) "items" }}
{{- range $entries }}
{{- if not .bytes }}
{{- fail (printf "modelCache.size: is empty, and the size of %s is not known: set modelCache.size, for example to 20Gi, or %s.size to what the weights take" .path .path) }}
{{- end }}
{{- end }}
{{- if and (not $entries) (or .Values.model.source (include "llmkube.cache.owned" .)) }}
{{- fail "modelCache.size: is empty, and there are no weights to compute it from: say how large the volume is, for example 20Gi" }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
What is said of the claim has to fit who makes it.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-cache.claim" -}}
{{- $mode := include "llmkube.cache.mode" . }}
{{- $cache := .Values.modelCache }}
{{- if and (eq $mode "existingClaim") (not $cache.claimName) }}
{{- fail "modelCache.claimName: is empty, but modelCache.mode is existingClaim: name the claim to use" }}
{{- end }}
{{- if and $cache.enabled $cache.claimName (ne $mode "existingClaim") }}
{{- fail (printf "modelCache.claimName: is only for modelCache.mode existingClaim, and the mode is %s: remove it or change the mode" $mode) }}
{{- end }}
{{- if and $cache.enabled $cache.create (ne $mode "shared") }}
{{- fail (printf "modelCache.create: is only for modelCache.mode shared, and the mode is %s: remove it or change the mode" $mode) }}
{{- end }}
{{- $filled := false }}
{{- range $name := list "selector" "volumeName" "dataSource" "dataSourceRef" }}
{{- if get $cache $name }}
{{- $filled = true }}
{{- if and $cache.enabled (not (include "llmkube.cache.owned" $)) }}
{{- fail (printf "modelCache.%s: is for a claim that this release makes, and with modelCache.mode %s it makes none: remove it" $name $mode) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $cache.dataSource $cache.dataSourceRef }}
{{- fail "modelCache.dataSourceRef: is set beside modelCache.dataSource, of which it is another spelling: remove one of them" }}
{{- end }}
{{- if and (include "llmkube.cache.owned" .) (eq $cache.accessMode "ReadOnlyMany") (not $filled) }}
{{- fail "modelCache.accessMode: is ReadOnlyMany for a new claim, which would stay empty: say in modelCache.volumeName, selector, dataSource or dataSourceRef what is on it, or choose another mode" }}
{{- end }}
{{- end -}}

{{/*
A cache is not asked by itself, nor twice.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-cache.upstream" -}}
{{- $own := include "llmkube.cache.claim" . }}
{{- $seen := dict }}
{{- range $name, $upstream := .Values.modelCache.upstream }}{{ if $upstream }}
{{- if eq $upstream.claimName $own }}
{{- fail (printf "modelCache.upstream.%s.claimName: %s is the cache itself: name another claim or remove the entry" $name $own) }}
{{- end }}
{{- $subPath := $upstream.subPath | default "" }}
{{- if regexMatch "(^|/)[.][.](/|$)" $subPath }}
{{- fail (printf "modelCache.upstream.%s.subPath: leads out of the claim: write it without .." $name) }}
{{- end }}
{{- $place := printf "%s/%s" $upstream.claimName (trimSuffix "/" $subPath) }}
{{- with get $seen $place }}
{{- fail (printf "modelCache.upstream.%s: is the same cache as modelCache.upstream.%s: remove one of them" $name .) }}
{{- end }}
{{- $_ := set $seen $place $name }}
{{- end }}{{ end }}
{{- end -}}

{{/*
A claim that one pod alone may have serves one pod.
Given a dict: root, path (modelCache or artifactCache), claim (its name, empty: none). Renders nothing.
*/}}
{{- define "llmkube.requirements-cache.alone" -}}
{{- $most := (include "llmkube.scaling.bounds" .root | fromJson).most | int64 }}
{{- if and .claim (eq (get .root.Values .path).accessMode "ReadWriteOncePod") .root.Values.model.source (gt $most 1) }}
{{- $paths := dict "" "server.replicas" "server.autoscaling" "server.autoscaling.maxReplicas" "server.keda" "server.keda.maxReplicaCount" }}
{{- $path := get $paths (include "llmkube.scaling.autoscaler" .root) }}
{{- fail (printf "%s: is %d, but with %s.accessMode ReadWriteOncePod only one pod can have the claim %s: set it to 1, or another access mode" $path $most .path .claim) }}
{{- end }}
{{- end -}}

{{/*
Nothing may be mounted over something else.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-cache.places" -}}
{{- $own := list "/tmp" "/pvc" "/oci" "/upstream" "/entries" "/dev" "/proc" "/sys" "/var/run/secrets/llmkube" }}
{{- $places := dict "modelCache.mountPath" .Values.modelCache.mountPath }}
{{- if include "llmkube.artifacts.claim" . }}
{{- $_ := set $places "artifactCache.mountPath" .Values.artifactCache.mountPath }}
{{- end }}
{{- range $path, $place := $places }}
{{- range $own }}
{{- if or (hasPrefix (printf "%s/" .) (printf "%s/" $place)) (hasPrefix (printf "%s/" $place) (printf "%s/" .)) }}
{{- fail (printf "%s: %s is in the way of %s, which is used already: choose another directory" $path $place .) }}
{{- end }}
{{- end }}
{{- $own = append $own $place }}
{{- end }}
{{- end -}}
