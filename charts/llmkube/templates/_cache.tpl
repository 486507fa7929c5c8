{{/*
Who owns the volume: perModel, shared, existingClaim or ephemeral. modelCache.enabled=false is another spelling of ephemeral.
Given the root context.
*/}}
{{- define "llmkube.cache.mode" -}}
{{- .Values.modelCache.enabled | ternary .Values.modelCache.mode "ephemeral" -}}
{{- end -}}

{{/*
The name of the claim that pods mount; nothing when the cache is a directory of the pod.
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
{{- if and (include "llmkube.cache.claim" .) (eq .Values.modelCache.accessMode "ReadWriteOnce") -}}
true
{{- end -}}
{{- end -}}

{{/*
One entry of the cache with all that its pods need.
Given a dict: root, path (where the values are, for messages), spec (as `model`).
Returns JSON: what llmkube.key.parse returns, and path, selects (whether only a part of the source is wanted), hashes (expected
SHA-256), secret, args (of the downloader), directory (of the entry in the containers).
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
{{- $selects := or .spec.include .spec.exclude .spec.files | empty | not -}}
{{- merge (dict "path" .path "selects" $selects "hashes" $hashes "args" $args
      "secret" (.spec.existingSecret | default .root.Values.model.existingSecret)
      "directory" (printf "%s/%s" .root.Values.modelCache.mountPath $entry.key)) $entry | toJson -}}
{{- end -}}

{{/*
The entry of the model that is served. Only to be used when model.source is set.
Given the root context.
*/}}
{{- define "llmkube.cache.model" -}}
{{- include "llmkube.cache.entry" (dict "root" . "path" "model" "spec" .Values.model) -}}
{{- end -}}

{{/*
All entries that this release downloads into its cache, the model first.
Given the root context. Returns JSON: a list of entries under "items".
*/}}
{{- define "llmkube.cache.entries" -}}
{{- $items := list -}}
{{- if .Values.model.source }}{{ $items = append $items (include "llmkube.cache.model" . | fromJson) }}{{ end -}}
{{- range $name, $spec := .Values.preload.models }}{{ if not (kindIs "invalid" $spec) -}}
{{- $given := dict "root" $ "path" (printf "preload.models.%s" $name) "spec" $spec -}}
{{- $items = append $items (include "llmkube.cache.entry" $given | fromJson) -}}
{{- end }}{{ end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/*
What the server loads: a file where the values name it, the entry's directory otherwise. An entry of one GGUF file holds it as
model.gguf, other files keep their paths in the repository. What include patterns add to named files is only known while
downloading, so with them nothing is known. Of several files the first is the one to load: llama.cpp finds the other parts of
a model beside it. The first part alone stands for all of them, which then keep their names.
Given the root context.
*/}}
{{- define "llmkube.cache.modelPath" -}}
{{- $entry := include "llmkube.cache.model" . | fromJson -}}
{{- $name := "" -}}
{{- if $entry.files }}{{ $name = first $entry.files }}
{{- else if has $entry.scheme (list "https" "http") }}{{ $name = regexReplaceAll "[?#].*$" .Values.model.source "" }}
{{- else if has $entry.scheme (list "s3" "gs" "az" "file") }}{{ $name = .Values.model.source }}{{ end -}}
{{- $parts := and (has $entry.scheme (list "hf" "file" "https" "http")) (regexMatch "-0*1-of-0*([2-9]|[1-9][0-9]+)[.]gguf$" $name) -}}
{{- if .Values.model.include -}}
{{- $entry.directory -}}
{{- else if and $parts (not $entry.files) -}}
{{- printf "%s/%s" $entry.directory (base $name) -}}
{{- else if and (not $parts) (hasSuffix ".gguf" $name) (le (len (uniq $entry.files)) 1) -}}
{{- printf "%s/model.gguf" $entry.directory -}}
{{- else if and $entry.files (or (hasSuffix ".gguf" $name) (eq (len (uniq $entry.files)) 1)) -}}
{{- printf "%s/%s" $entry.directory (first $entry.files) -}}
{{- else -}}
{{- $entry.directory -}}
{{- end -}}
{{- end -}}
