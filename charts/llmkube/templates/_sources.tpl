{{/*
The claim in a source; nothing when the source is none.
Given the source.
*/}}
{{- define "llmkube.sources.claim" -}}
{{- if hasPrefix "pvc://" . -}}
{{- trimPrefix "pvc://" . | splitList "/" | first -}}
{{- end -}}
{{- end -}}

{{/*
The claims that a download reads from, beside the cache it writes to: those that pvc:// sources name, and caches that are asked
before the origin.
Given a dict: root, entries (what is fetched), upstream (whether anything is).
Returns JSON: maps of name (of the volume), claim, path (where it is mounted), subPath; a list under "items".
*/}}
{{- define "llmkube.sources.claims" -}}
{{- $items := list -}}
{{- $seen := dict -}}
{{- range .entries }}{{ if and .claim (not (hasKey $seen .claim)) -}}
{{- $_ := set $seen .claim true -}}
{{- $items = append $items (dict "name" (printf "pvc-%s" (sha256sum .claim | trunc 8)) "claim" .claim "path" (printf "/pvc/%s" .claim)) -}}
{{- end }}{{ end -}}
{{- if .upstream }}{{ range $name, $upstream := .root.Values.modelCache.upstream }}{{ if $upstream -}}
{{- $items = append $items (dict "name" (printf "upstream-%s" $name) "claim" $upstream.claimName
      "path" (printf "/upstream/%s" $name) "subPath" ($upstream.subPath | default "")) -}}
{{- end }}{{ end }}{{ end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/*
The roots of the caches that are asked before the origin, each on a line, in the order in which they are asked: that of their
names.
Given the root context.
*/}}
{{- define "llmkube.sources.upstream" -}}
{{- $roots := list -}}
{{- range $name, $upstream := .Values.modelCache.upstream }}{{ if $upstream -}}
{{- $roots = append $roots (printf "/upstream/%s" $name) -}}
{{- end }}{{ end -}}
{{- join "\n" $roots -}}
{{- end -}}

{{/*
The volumes of these claims. They are read-only as volumes, not only where they are mounted, so that the kubelet does not give the
files of others to fsGroup.
Given what llmkube.sources.claims is given.
*/}}
{{- define "llmkube.sources.volumes" -}}
{{- range get (include "llmkube.sources.claims" . | fromJson) "items" }}
- name: {{ .name }}
  persistentVolumeClaim:
    claimName: {{ quote .claim }}
    readOnly: true
{{- end }}
{{- end -}}

{{/*
Where a downloader sees these claims.
Given what llmkube.sources.claims is given.
*/}}
{{- define "llmkube.sources.mounts" -}}
{{- range get (include "llmkube.sources.claims" . | fromJson) "items" }}
- name: {{ .name }}
  mountPath: {{ .path }}
  readOnly: true
  {{- with .subPath }}
  subPath: {{ quote . }}
  {{- end }}
{{- end }}
{{- end -}}
