{{/*
What a template makes of the values, made once for each rendering: many templates ask for the entries of the release, and to
parse all their sources takes long where there are hundreds. It is kept in the root context, which all templates of a chart share,
and in which nothing else is looked for under such a name. As it is text, nobody can change what others get.
Given a dict: root, of (the name of a template that is given the root context, and nothing else).
*/}}
{{- define "llmkube.once.text" -}}
{{- $name := printf "once: %s" .of -}}
{{- if not (hasKey .root $name) }}{{ $_ := set .root $name (include .of .root) }}{{ end -}}
{{- get .root $name -}}
{{- end -}}
