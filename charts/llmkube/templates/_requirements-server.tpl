{{/*
What the values of the server have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-server.check" -}}
{{- if .Values.model.source }}
{{- $name := include "llmkube.names.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- fail (printf "fullnameOverride: a Service can not be called %q: set a name that begins with a letter and has only lower-case letters, digits and -" $name) }}
{{- end }}
{{- if and (eq .Values.runtime.name "llamacpp") (not (hasSuffix ".gguf" (include "llmkube.cache.modelPath" .))) }}
{{- fail "model.source: llama.cpp loads one GGUF file, and these values do not say which: name it in the source (hf://org/repo/file.gguf) or first in model.files, without model.include" }}
{{- end }}
{{- if eq .Values.runtime.name "custom" }}
{{- $image := .Values.runtime.image }}
{{- if not (and $image.repository (or $image.tag $image.digest)) }}
{{- fail "runtime.image: the runtime custom has no image of its own: set runtime.image.repository, and runtime.image.tag or runtime.image.digest" }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
