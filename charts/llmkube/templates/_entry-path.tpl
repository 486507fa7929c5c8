{{/*
What a server loads of an entry: a file where the values name it, the entry's directory otherwise. An entry of one GGUF file holds it as
model.gguf, other files keep their paths in the repository. What include patterns add to named files is only known while
downloading, so with them nothing is known. Of several files the first is the one to load: llama.cpp finds the other parts of
a model beside it. The first part alone stands for all of them, which then keep their names. Whether the file of a URL is a part
is seen in the URL as it is written; its name in the entry is the decoded one.
Given a dict: spec (as `model`), files, scheme, directory (of the entry in the containers).
*/}}
{{- define "llmkube.entry-path.file" -}}
{{- $written := "" -}}
{{- if .files }}{{ $written = first .files }}
{{- else if has .scheme (list "https" "http") }}{{ $written = regexReplaceAll "[?#].*$" .spec.source "" | base }}
{{- else if has .scheme (list "s3" "gs" "az" "file") }}{{ $written = .spec.source }}{{ end -}}
{{- $parts := and (has .scheme (list "hf" "file" "https" "http")) (regexMatch "-0*1-of-0*([2-9]|[1-9][0-9]+)[.]gguf$" $written) -}}
{{- $name := $written -}}
{{- if has .scheme (list "https" "http") }}{{ $name = include "llmkube.entry-path.decoded" $written }}{{ end -}}
{{- if .spec.include -}}
{{- .directory -}}
{{- else if and $parts (not .files) -}}
{{- printf "%s/%s" .directory (base $name) -}}
{{- else if and (not $parts) (hasSuffix ".gguf" $name) (le (len (uniq .files)) 1) -}}
{{- printf "%s/model.gguf" .directory -}}
{{- else if and .files (or (hasSuffix ".gguf" $name) (eq (len (uniq .files)) 1)) -}}
{{- printf "%s/%s" .directory (first .files) -}}
{{- else -}}
{{- .directory -}}
{{- end -}}
{{- end -}}

{{/*
The last part of a URL with %XX read as the characters they stand for. A % before anything else stands for itself.
Given the text.
*/}}
{{- define "llmkube.entry-path.decoded" -}}
{{- $pieces := splitList "%" . -}}
{{- $valid := list (first $pieces) -}}
{{- range rest $pieces }}{{ $valid = append $valid (printf "%s%s" (regexMatch "^[0-9a-fA-F]{2}" . | ternary "%" "%25") .) }}{{ end -}}
{{- get (urlParse (printf "https://host/%s" (join "" $valid))) "path" | trimPrefix "/" -}}
{{- end -}}
