{{/*
An image reference. A digest wins over the tag, because it says exactly what runs.
Given a dict: root, image (repository, tag, digest as in values), repository and tag (what to take where the values are empty).
*/}}
{{- define "llmkube.image.reference" -}}
{{- $name := .image.repository | default .repository -}}
{{- with .root.Values.global.imageRegistry }}{{ $name = include "llmkube.image.moved" (dict "registry" . "name" $name) }}{{ end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .tag) -}}
{{- end -}}
{{- end -}}

{{/*
The name of an image in another registry. The first part of a name is a registry when it looks like a host, as with Docker;
a name without one is of Docker's own registry, and keeps all its parts.
Given a dict: registry, name.
*/}}
{{- define "llmkube.image.moved" -}}
{{- $host := regexFind "^([^/]*[.:][^/]*|localhost)/" .name -}}
{{- printf "%s/%s" (trimSuffix "/" .registry) (trimPrefix $host .name) -}}
{{- end -}}

{{/*
The Secrets for pulling images: this chart's and those that a parent shares, each once.
Given the root context. Renders nothing when there are none.
*/}}
{{- define "llmkube.image.pullSecrets" -}}
{{- $secrets := .Values.imagePullSecrets -}}
{{- range .Values.global.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with uniq $secrets }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The downloader's image: of the chart's own version unless told otherwise, as the two agree on arguments.
Given the root context.
*/}}
{{- define "llmkube.image.downloader" -}}
{{- include "llmkube.image.reference" (dict "root" . "image" .Values.downloader.image "tag" .Chart.AppVersion) -}}
{{- end -}}

{{/*
The server's image: the runtime's own unless told otherwise.
Given the root context.
*/}}
{{- define "llmkube.image.runtime" -}}
{{- $own := include (printf "llmkube.runtime-%s.image" .Values.runtime.name) . | fromJson -}}
{{- include "llmkube.image.reference" (merge (dict "root" . "image" .Values.runtime.image) $own) -}}
{{- end -}}
