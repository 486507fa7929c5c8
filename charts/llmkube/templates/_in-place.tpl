{{/*
"true" when the model is served from where it is: pvc:// is a claim, oci:// an image, and both can be mounted. Nothing otherwise.
Given the root context.
*/}}
{{- define "llmkube.in-place.model" -}}
{{- if or (hasPrefix "pvc://" .Values.model.source) (hasPrefix "oci://" .Values.model.source) -}}
true
{{- end -}}
{{- end -}}

{{/*
"true" when the release needs no cache at all: its model is served in place, nothing else is downloaded, and it does not own the
cache of others. Nothing otherwise. It is asked for every object, so it parses no list of models that can be long.
Given the root context.
*/}}
{{- define "llmkube.in-place.only" -}}
{{- if include "llmkube.in-place.model" . -}}
{{- $cache := .Values.modelCache -}}
{{- $others := or (include "llmkube.in-place.preloads" .) (and $cache.enabled (eq $cache.mode "shared") $cache.create) -}}
{{- if and (not $others) (empty (get (include "llmkube.cache.entries" . | fromJson) "items")) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
"true" when the preload list has an entry; nothing otherwise.
Given the root context.
*/}}
{{- define "llmkube.in-place.preloads" -}}
{{- $found := false -}}
{{- range .Values.preload.models }}{{ if not (kindIs "invalid" .) }}{{ $found = true }}{{ end }}{{ end -}}
{{- if $found -}}
true
{{- end -}}
{{- end -}}

{{/*
The name of the claim that the model is served from; nothing when it is not served from a claim.
Given the root context.
*/}}
{{- define "llmkube.in-place.claim" -}}
{{- include "llmkube.sources.claim" .Values.model.source -}}
{{- end -}}

{{/*
What the server loads: what the source names, and in it the first of model.files.
Given the root context. Only to be used when the model is served in place.
*/}}
{{- define "llmkube.in-place.path" -}}
{{- $path := "/oci" -}}
{{- if include "llmkube.in-place.claim" . -}}
{{- $path = printf "/pvc/%s" (trimPrefix "pvc://" .Values.model.source | trimSuffix "/") -}}
{{- end -}}
{{- list $path (.Values.model.files | default list | first) | compact | join "/" -}}
{{- end -}}

{{/*
The volume with a model that is served in place. The volume itself is read-only, not only its mounts, so that the kubelet does
not give the files of others to fsGroup. An image is pulled again at each start where model.refresh asks for newer contents.
Given the root context. Only to be used when the model is served in place.
*/}}
{{- define "llmkube.in-place.volume" -}}
- name: model-source
{{- with include "llmkube.in-place.claim" . }}
  persistentVolumeClaim:
    claimName: {{ quote . }}
    readOnly: true
{{- else }}
  image:
    reference: {{ trimPrefix "oci://" .Values.model.source | quote }}
    pullPolicy: {{ eq (.Values.model.refresh | default "never") "never" | ternary "IfNotPresent" "Always" }}
{{- end }}
{{- end -}}

{{/*
Where the server sees a model that is served in place: a claim below /pvc, as for the downloader, an image at /oci.
Given the root context. Only to be used when the model is served in place.
*/}}
{{- define "llmkube.in-place.mount" -}}
- name: model-source
  mountPath: {{ with include "llmkube.in-place.claim" . }}/pvc/{{ . }}{{ else }}/oci{{ end }}
  readOnly: true
{{- end -}}
