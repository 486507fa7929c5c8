{{/*
What the values of the served model and of the preload list have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-sources.check" -}}
{{- $mode := include "llmkube.cache.mode" . }}
{{- $entries := get (include "llmkube.cache.entries" . | fromJson) "items" }}
{{- if not .Values.model.source }}
{{- range $name := list "revision" "include" "exclude" "files" "sha256" }}
{{- if get $.Values.model $name }}
{{- fail (printf "model.%s: is set without model.source: set the source or remove it" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- $seen := dict }}
{{- range $entries }}
{{- $path := .path }}
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
