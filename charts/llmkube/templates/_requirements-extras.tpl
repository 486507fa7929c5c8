{{/*
What volumes and containers that the user adds to the server's pods may not be called, and what they may not mount. Kubernetes
refuses two of one name only when the pod is made, in a place where nobody looks; and only downloads write to the cache and
see credentials.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-extras.check" -}}
{{- if .Values.model.source }}
{{- $server := .Values.server }}
{{- $given := dict "root" . "component" "server" "entry" (include "llmkube.cache.model" . | fromJson) }}
{{- $volumes := include "llmkube.server-volumes.volumes" $given | fromYamlArray }}
{{- $mounts := include "llmkube.server-volumes.mounts" . | fromYamlArray }}
{{- include "llmkube.requirements-extras.names" (dict "path" "server.extraVolumes" "own" $volumes "extra" $server.extraVolumes) }}
{{- $containers := list (dict "name" "server") (dict "name" "fetch") (dict "name" "hold") }}
{{- range get (include "llmkube.beside.names" . | fromJson) "items" }}{{ $containers = append $containers (dict "name" .) }}{{ end }}
{{- include "llmkube.requirements-extras.names" (dict "path" "server.extraContainers" "own" $containers "extra" $server.extraContainers) }}
{{- $containers = concat $containers $server.extraContainers }}
{{- include "llmkube.requirements-extras.names" (dict "path" "server.extraInitContainers" "own" $containers "extra" $server.extraInitContainers) }}
{{- $known := list }}
{{- range concat $volumes $server.extraVolumes }}{{ $known = append $known .name }}{{ end }}
{{- include "llmkube.requirements-extras.mounts" (dict "path" "server.extraVolumeMounts" "known" $known "own" $mounts "extra" $server.extraVolumeMounts) }}
{{- range $path, $list := dict "server.extraContainers" $server.extraContainers "server.extraInitContainers" $server.extraInitContainers }}
{{- range $list }}
{{- $path := printf "%s: in %s" $path .name }}
{{- include "llmkube.requirements-extras.mounts" (dict "path" $path "known" $known "own" list "extra" (.volumeMounts | default list)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
No name twice, and none of the chart's.
Given a dict: path, own, extra (lists of things with names). Renders nothing.
*/}}
{{- define "llmkube.requirements-extras.names" -}}
{{- $taken := list }}
{{- range .own }}{{ $taken = append $taken .name }}{{ end }}
{{- range .extra }}
{{- if has .name $taken }}
{{- fail (printf "%s: the name %s is taken: choose another" $.path .name) }}
{{- end }}
{{- $taken = append $taken .name }}
{{- end }}
{{- end -}}

{{/*
Only volumes that are there, each path once, the cache read-only, and no credentials.
Given a dict: path, known (names of volumes), own (the chart's mounts), extra (the user's). Renders nothing.
*/}}
{{- define "llmkube.requirements-extras.mounts" -}}
{{- $taken := list }}
{{- range .own }}{{ $taken = append $taken .mountPath }}{{ end }}
{{- range .extra }}
{{- $mountPath := regexReplaceAll "(.)/+$" .mountPath "${1}" }}
{{- if has $mountPath $taken }}
{{- $remedy := eq $mountPath "/dev/shm" | ternary "choose another, or set server.sharedMemory.enabled to false" "choose another" }}
{{- fail (printf "%s: something is mounted at %s already: %s" $.path $mountPath $remedy) }}
{{- else if not (has .name $.known) }}
{{- fail (printf "%s: there is no volume %s: add it to server.extraVolumes" $.path .name) }}
{{- else if regexMatch "^credentials(-[0-9a-f]{8})?$" .name }}
{{- fail (printf "%s: the volume %s is for downloads alone: mount the Secret as a volume of its own" $.path .name) }}
{{- else if and (eq .name "model-cache") (not .readOnly) }}
{{- fail (printf "%s: only downloads write to the volume model-cache: mount it with readOnly: true" $.path) }}
{{- end }}
{{- $taken = append $taken $mountPath }}
{{- end }}
{{- end -}}
