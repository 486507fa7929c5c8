{{/*
Which pods of the release a NetworkPolicy is about.
Given a dict: root, components (list).
*/}}
{{- define "llmkube.network.pods" -}}
matchLabels:
  app.kubernetes.io/name: {{ .root.Chart.Name | quote }}
  app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
matchExpressions:
  - key: app.kubernetes.io/component
    operator: In
    values: {{ toJson .components }}
{{- end -}}

{{/*
Who may ask the server. `helm test` may whatever the values say, or it would test the policy in place of the server. A rule
without peers would let everybody in, so without peers there is no rule.
Given the root context. Returns JSON: a list of rules under "items".
*/}}
{{- define "llmkube.network.serverIngress" -}}
{{- $policy := .Values.networkPolicy.server -}}
{{- $peers := $policy.from -}}
{{- if .Values.tests.enabled -}}
{{- $pods := include "llmkube.network.pods" (dict "root" . "components" (list "test")) | fromYaml -}}
{{- $peers = append $peers (dict "podSelector" $pods) -}}
{{- end -}}
{{- $rules := $policy.extraIngress -}}
{{- if $peers -}}
{{- $ports := list (dict "port" (int64 .Values.runtime.port) "protocol" "TCP") -}}
{{- $rules = prepend $rules (dict "from" $peers "ports" $ports) -}}
{{- end -}}
{{- dict "items" $rules | toJson -}}
{{- end -}}

{{/*
What the server's pods may reach. A policy is about a pod and not about a container, and the pod's init container downloads what
the cache lacks.
Given the root context. Returns JSON: a list of rules under "items".
*/}}
{{- define "llmkube.network.serverEgress" -}}
{{- $policy := .Values.networkPolicy -}}
{{- $rules := $policy.server.egress -}}
{{- if $policy.server.mayDownload }}{{ $rules = concat $policy.downloader.egress $policy.downloader.extraEgress $rules }}{{ end -}}
{{- dict "items" $rules | toJson -}}
{{- end -}}
