{{/*
What the values of the served model and of the preload list have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-sources.check" -}}
{{- $mode := include "llmkube.cache.mode" . }}
{{- $entries := get (include "llmkube.cache.entries" . | fromJson) "items" }}
{{- if not .Values.model.source }}
{{- range $name := list "revision" "include" "exclude" "files" "sha256" "size" }}
{{- if get $.Values.model $name }}
{{- fail (printf "model.%s: is set without model.source: set the source or remove it" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "llmkube.in-place.model" . }}
{{- include "llmkube.requirements-sources.inPlace" . }}
{{- end }}
{{- $seen := dict }}
{{- range $entries }}
{{- $path := .path }}
{{- include "llmkube.requirements-sources.scheme" (dict "root" $ "entry" .) }}
{{- if and (eq $mode "ephemeral") (hasPrefix "preload." .path) }}
{{- fail (printf "%s: can not be kept in an ephemeral cache: remove it or set modelCache.mode to perModel, shared or existingClaim" .path) }}
{{- end }}
{{- with get $seen .key }}
{{- fail (printf "%s: is the same source as %s: remove one of them" $path .) }}
{{- end }}
{{- $_ := set $seen .key .path }}
{{- if and (has .scheme (list "https" "http")) .selects }}
{{- fail (printf "%s.source: is the address of one file, from which nothing can be selected: remove files, include and exclude" .path) }}
{{- end }}
{{- if eq .scheme "http" }}
{{- $host := regexReplaceAll "^http://(?:\\[([^/?]*)\\]|([^/?:]*)).*$" .source "${1}${2}" | lower }}
{{- $match := false }}
{{- range $.Values.downloader.allowHttp }}{{ if has (lower .) (list "*" $host) }}{{ $match = true }}{{ end }}{{ end }}
{{- if not $match }}
{{- fail (printf "%s.source: comes over http://, without encryption: use https:// or add %q to downloader.allowHttp" .path $host) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Not every source that has a key can be downloaded by this version. Said here, it is not the end of a pod.
Given a dict: root, entry. Renders nothing.
*/}}
{{- define "llmkube.requirements-sources.scheme" -}}
{{- $entry := .entry }}
{{- if has $entry.scheme (list "s3" "gs" "az" "ms") }}
{{- fail (printf "%s.source: this version does not download %s://: write the https:// address of the file, or put the files on a claim and write pvc://claim/path" $entry.path $entry.scheme) }}
{{- else if eq $entry.scheme "oci" }}
{{- fail (printf "%s.source: this version does not copy oci:// into a cache: an image can be model.source, which serves it from where it is" $entry.path) }}
{{- else if eq $entry.scheme "file" }}
{{- fail (printf "%s.source: file:// is a path in the downloader's container, which has no files of yours: put them on a claim and write pvc://claim/path" $entry.path) }}
{{- else if eq $entry.scheme "pvc" }}
{{- include "llmkube.requirements-sources.claim" (dict "path" $entry.path "source" $entry.source) }}
{{- if eq $entry.claim (include "llmkube.cache.claim" .root) }}
{{- fail (printf "%s.source: is on the claim of the cache itself, where nothing has to be copied: remove the entry" $entry.path) }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
A pvc:// source names a claim, and a path that stays on it.
Given a dict: path (where the values are, for messages), source. Renders nothing.
*/}}
{{- define "llmkube.requirements-sources.claim" -}}
{{- if not (regexMatch "^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/|$)" .source) }}
{{- fail (printf "%s.source: names no claim: write pvc://claim/path" .path) }}
{{- end }}
{{- if regexMatch "/[.][.](/|$)" .source }}
{{- fail (printf "%s.source: leads out of the claim: write the path without .." .path) }}
{{- end }}
{{- end -}}

{{/*
What is said of a download means nothing for a model that is served from where it is.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-sources.inPlace" -}}
{{- $model := .Values.model }}
{{- $scheme := splitList "://" $model.source | first }}
{{- if eq $scheme "pvc" }}
{{- include "llmkube.requirements-sources.claim" (dict "path" "model" "source" $model.source) }}
{{- else if not (regexMatch "^oci://[^/@:]+" $model.source) }}
{{- fail "model.source: names no image: write oci://registry/repository:tag" }}
{{- end }}
{{- $said := pick $model "include" "exclude" "sha256" "mirrors" }}
{{- if include "llmkube.in-place.only" . }}{{ $_ := set $said "existingSecret" $model.existingSecret }}{{ end }}
{{- if ne ($model.verifyOnStart | default "size") "size" }}{{ $_ := set $said "verifyOnStart" true }}{{ end }}
{{- if and (eq $scheme "pvc") (ne ($model.refresh | default "never") "never") }}{{ $_ := set $said "refresh" true }}{{ end }}
{{- range $name, $value := $said }}
{{- if $value }}
{{- fail (printf "model.%s: is about downloads, and a model of %s:// is served from where it is: remove it" $name $scheme) }}
{{- end }}
{{- end }}
{{- range $model.files }}
{{- if regexMatch "(^|/)[.][.](/|$)" . }}
{{- fail "model.files: leads out of what model.source names: write the path without .." }}
{{- end }}
{{- end }}
{{- end -}}
