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
