{{/*
One map laid over another, entry by entry. `merge` of the template language takes an empty text or null for "not given"; here
they are what the user said: null takes an entry away.
Given a dict: base, over (maps, or nothing). Returns YAML.
*/}}
{{- define "llmkube.map.overlay" -}}
{{- $result := dict -}}
{{- range $map := list .base .over }}{{ range $name, $value := $map }}
{{- if kindIs "invalid" $value }}{{ $_ := unset $result $name }}{{ else }}{{ $_ := set $result $name $value }}{{ end -}}
{{- end }}{{ end -}}
{{- toYaml $result -}}
{{- end -}}

{{/*
A map of the user without what is null or empty in it, however deep: such a field says nothing, but who applies it owns it, and
Argo CD shows a difference for ever. Lists are taken as they are: in them an empty map may mean "all".
Given a map, or nothing. Returns YAML, or nothing when nothing is left.
*/}}
{{- define "llmkube.map.compact" -}}
{{- $result := dict -}}
{{- range $name, $value := . -}}
{{- if kindIs "map" $value }}{{ $value = include "llmkube.map.compact" $value | fromYaml }}{{ end -}}
{{- $empty := or (kindIs "invalid" $value) (and (or (kindIs "map" $value) (kindIs "slice" $value)) (empty $value)) -}}
{{- if not $empty }}{{ $_ := set $result $name $value }}{{ end -}}
{{- end -}}
{{- with $result }}{{ toYaml . }}{{ end -}}
{{- end -}}
