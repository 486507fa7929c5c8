{{/*
Who owns the volume: perModel, shared, existingClaim or ephemeral; inPlace when the release has no cache, because its model is
served from where it is and nothing else is downloaded. modelCache.enabled=false is another spelling of ephemeral.
Given the root context.
*/}}
{{- define "llmkube.cache.mode" -}}
{{- if include "llmkube.in-place.only" . -}}
inPlace
{{- else -}}
{{- .Values.modelCache.enabled | ternary .Values.modelCache.mode "ephemeral" -}}
{{- end -}}
{{- end -}}

{{/*
The name of the claim that holds the cache; nothing when the cache is a directory of the pod, or when there is none.
Given the root context.
*/}}
{{- define "llmkube.cache.claim" -}}
{{- $mode := include "llmkube.cache.mode" . -}}
{{- if eq $mode "perModel" -}}
{{- include "llmkube.names.bounded" (dict "name" (printf "%s-model-cache" (include "llmkube.names.fullname" .)) "max" 63) -}}
{{- else if eq $mode "shared" -}}
llmkube-model-cache
{{- else if eq $mode "existingClaim" -}}
{{- .Values.modelCache.claimName -}}
{{- end -}}
{{- end -}}

{{/*
"true" when this release renders the claim; nothing otherwise.
Given the root context.
*/}}
{{- define "llmkube.cache.owned" -}}
{{- $mode := include "llmkube.cache.mode" . -}}
{{- if or (eq $mode "perModel") (and (eq $mode "shared") .Values.modelCache.create) -}}
true
{{- end -}}
{{- end -}}

{{/*
"true" when all pods of the claim have to be on one node; nothing otherwise.
Given the root context.
*/}}
{{- define "llmkube.cache.oneNode" -}}
{{- if and (include "llmkube.claim.gathered" .) (has .Values.modelCache.accessMode (list "ReadWriteOnce" "ReadWriteOncePod")) -}}
true
{{- end -}}
{{- end -}}

{{/*
One entry of the cache with all that its pods need.
Given a dict: root, path (where the values are, for messages), spec (as `model`).
Returns JSON: what llmkube.key.parse returns, and path, selects (whether only a part of the source is wanted), hashes (expected
SHA-256), size (declared bytes, 0: not declared), secret, args (of the downloader), directory (where the server finds the entry), file
(what a server loads of it), claim (that the source names, empty: none), inPlace (whether it is served from there).
*/}}
{{- define "llmkube.cache.entry" -}}
{{- $entry := include "llmkube.key.parse" . | fromJson -}}
{{- $hashes := kindIs "string" .spec.sha256 | ternary (list .spec.sha256) (.spec.sha256 | default list) | compact -}}
{{- $args := list "fetch" .spec.source -}}
{{- with .spec.revision }}{{ $args = append $args (printf "--revision=%s" .) }}{{ end -}}
{{- range .spec.include }}{{ $args = append $args (printf "--include=%s" .) }}{{ end -}}
{{- range .spec.exclude }}{{ $args = append $args (printf "--exclude=%s" .) }}{{ end -}}
{{- range .spec.files }}{{ $args = append $args (printf "--file=%s" .) }}{{ end -}}
{{- range $hashes }}{{ $args = append $args (printf "--sha256=%s" .) }}{{ end -}}
{{- range .spec.mirrors }}{{ $args = append $args (printf "--mirror=%s" .) }}{{ end -}}
{{- with .spec.refresh }}{{ if ne . "never" }}{{ $args = append $args (printf "--refresh=%s" .) }}{{ end }}{{ end -}}
{{- with .spec.verifyOnStart }}{{ if ne . "size" }}{{ $args = append $args (printf "--verify-on-start=%s" .) }}{{ end }}{{ end -}}
{{- $size := include "llmkube.size.bytes" (dict "path" (printf "%s.size" .path) "size" .spec.size) -}}
{{- with int64 $size }}{{ $args = append $args (printf "--expect-size=%d" .) }}{{ end -}}
{{- $selects := or .spec.include .spec.exclude .spec.files | empty | not -}}
{{- $inPlace := and (eq .path "model") (has $entry.scheme (list "pvc" "oci")) -}}
{{- /* A link, because newer contents are other directories of the cache. */}}
{{- $directory := printf "/entries/%s" $entry.key -}}
{{- $file := include "llmkube.entry-path.file" (merge (dict "spec" .spec "directory" $directory) $entry) -}}
{{- if $inPlace }}{{ $file = include "llmkube.in-place.path" .root }}{{ end -}}
{{- merge (dict "path" .path "selects" $selects "hashes" $hashes "size" (int64 $size) "args" $args "directory" $directory
      "file" $file "claim" (include "llmkube.sources.claim" .spec.source) "inPlace" $inPlace
      "secret" (.spec.existingSecret | default .root.Values.model.existingSecret)) $entry | toJson -}}
{{- end -}}

{{/*
The entry of the model that is served. Only to be used when model.source is set.
Given the root context.
*/}}
{{- define "llmkube.cache.model" -}}
{{- include "llmkube.once.text" (dict "root" . "of" "llmkube.cache.parsedModel") -}}
{{- end -}}

{{/*
What llmkube.cache.model says, made anew.
Given the root context.
*/}}
{{- define "llmkube.cache.parsedModel" -}}
{{- include "llmkube.cache.entry" (dict "root" . "path" "model" "spec" .Values.model) -}}
{{- end -}}

{{/*
All entries that this release downloads into its cache, the model and what is loaded beside it first. A model that is served in
place is none of them.
Given the root context. Returns JSON: a list of entries under "items".
*/}}
{{- define "llmkube.cache.entries" -}}
{{- include "llmkube.once.text" (dict "root" . "of" "llmkube.cache.parsedEntries") -}}
{{- end -}}

{{/*
What llmkube.cache.entries says, made anew.
Given the root context.
*/}}
{{- define "llmkube.cache.parsedEntries" -}}
{{- $items := list -}}
{{- if and .Values.model.source (not (include "llmkube.in-place.model" .)) }}{{ $items = append $items (include "llmkube.cache.model" . | fromJson) }}{{ end -}}
{{- $items = concat $items (get (include "llmkube.beside.items" . | fromJson) "items") -}}
{{- range $name, $spec := .Values.preload.models }}{{ if not (kindIs "invalid" $spec) -}}
{{- $given := dict "root" $ "path" (printf "preload.models.%s" $name) "spec" $spec -}}
{{- $items = append $items (include "llmkube.cache.entry" $given | fromJson) -}}
{{- end }}{{ end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/*
What the server loads: a file of the model's entry, or its directory.
Given the root context.
*/}}
{{- define "llmkube.cache.modelPath" -}}
{{- get (include "llmkube.cache.model" . | fromJson) "file" -}}
{{- end -}}
