{{/*
The labels by which a Deployment and a Service find pods. A Deployment's selector can not be changed, so nothing that a user
may edit is in it.
Given a dict: root, component (one of cache, preload, server, maintenance, artifacts).
*/}}
{{- define "llmkube.labels.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/*
The key of the cache entry that an object is about. A model that is served in place is no entry: its pods may have any file of
their claim open, and without a key the plugin takes them for users of everything on it.
Given a dict: entry (optional).
*/}}
{{- define "llmkube.labels.key" -}}
{{- if .entry }}{{ if not .entry.inPlace }}{{ .entry.key }}{{ end }}{{ end -}}
{{- end -}}

{{/*
The labels of an object: those of commonLabels, and the chart's own, by which Helm and the plugin find it.
Given a dict: root, component, entry (optional: the cache entry the object is about).
*/}}
{{- define "llmkube.labels.object" -}}
{{- $own := include "llmkube.labels.own" . | fromYaml -}}
{{- include "llmkube.map.overlay" (dict "base" .root.Values.commonLabels "over" $own) -}}
{{- end -}}

{{/*
The labels that the chart gives an object.
Given a dict: root, component, entry (optional).
*/}}
{{- define "llmkube.labels.own" -}}
{{ include "llmkube.labels.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
llmkube.dev/release: {{ .root.Release.Name | quote }}
{{- with include "llmkube.labels.key" . }}
llmkube.dev/key: {{ quote . }}
{{- end }}
{{- end -}}

{{/*
The labels of a pod. Versions are left out: a new chart version must neither restart a server nor make a new Job.
llmkube.dev/claim-hash lets pods of one claim find each other across releases; a hash, because a claim's name may be longer
than a label.
Given a dict: root, component, entry (optional).
*/}}
{{- define "llmkube.labels.pod" -}}
{{ include "llmkube.labels.selector" . }}
llmkube.dev/release: {{ .root.Release.Name | quote }}
{{- with include "llmkube.labels.key" . }}
llmkube.dev/key: {{ quote . }}
{{- end }}
{{- with include "llmkube.claim.gathered" .root }}
llmkube.dev/claim-hash: {{ sha256sum . | trunc 8 | quote }}
{{- end }}
{{- end -}}

{{/*
The annotations of an object: those of commonAnnotations, over them the chart's own, over these what the user says about this
object. Pods do not get the common ones: a changed one would start servers again and make new Jobs.
Given a dict: root, own (a map, optional), user (a map, optional). Renders nothing when there are none.
*/}}
{{- define "llmkube.labels.objectAnnotations" -}}
{{- $own := include "llmkube.map.overlay" (dict "base" .root.Values.commonAnnotations "over" .own) | fromYaml -}}
{{- with include "llmkube.map.overlay" (dict "base" $own "over" .user) | fromYaml }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The annotations through which the plugin understands workloads and their pods. What has to do with compiled artefacts alone has
none: their claim is no cache of models.
Given a dict: root, component, entry (optional).
*/}}
{{- define "llmkube.labels.annotations" -}}
{{- if ne .component "artifacts" -}}
{{- $mode := include "llmkube.cache.mode" .root -}}
{{- $claim := include "llmkube.cache.claim" .root -}}
{{- if .entry }}{{ if and .entry.inPlace (empty (get (include "llmkube.beside.items" .root | fromJson) "items")) -}}
{{- $mode = "inPlace" }}{{ $claim = .entry.claim -}}
{{- end }}{{ end -}}
llmkube.dev/cache-mode: {{ $mode }}
{{- with $claim }}
llmkube.dev/claim: {{ . | quote }}
{{- end }}
{{- with .entry }}
llmkube.dev/source: {{ .source | quote }}
{{- with .revision }}
llmkube.dev/revision: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
