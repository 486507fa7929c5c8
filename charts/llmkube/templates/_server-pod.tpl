{{/*
How new pods replace old ones. A pod that holds a GPU, or a volume that only one node can have, has to go before the next can
start: with a rolling update the new one would wait for the old one for ever. The numbers of a rolling update are written
out, because a field that Kubernetes filled in by itself is owned by nobody, stays when the type changes to Recreate, and
then the object is refused.
Given the root context.
*/}}
{{- define "llmkube.server-pod.strategy" -}}
{{- $holds := or (include "llmkube.cache.oneNode" .) (include "llmkube.artifacts.oneNode" .) (include "llmkube.gpu.held" . | fromJson)
      (include "llmkube.map.compact" .Values.server.resourceClaims) -}}
{{- $given := .Values.server.strategy | default (dict "type" ($holds | empty | ternary "RollingUpdate" "Recreate")) -}}
{{- $strategy := dict "type" ($given.type | default "RollingUpdate") -}}
{{- if eq $strategy.type "RollingUpdate" -}}
{{- $numbers := include "llmkube.map.overlay" (dict "base" (dict "maxSurge" "25%" "maxUnavailable" "25%") "over" $given.rollingUpdate) -}}
{{- $strategy = set $strategy "rollingUpdate" (fromYaml $numbers) -}}
{{- end -}}
{{- toYaml $strategy -}}
{{- end -}}

{{/*
What of a pod's fields only the server has: on which nodes and how it runs there says the user, and a download needs neither a
GPU's runtime nor a place of its own in the topology.
Given a dict: root, component. Renders nothing when there is nothing.
*/}}
{{- define "llmkube.server-pod.fields" -}}
{{- $server := .root.Values.server -}}
{{- $fields := pick $server "runtimeClassName" "priorityClassName" "schedulerName" -}}
{{- range $name, $text := $fields }}{{ if not $text }}{{ $fields = omit $fields $name }}{{ end }}{{ end -}}
{{- $pods := dict "matchLabels" (include "llmkube.labels.selector" . | fromYaml) -}}
{{- $spread := list -}}
{{- range $server.topologySpreadConstraints -}}
{{- $spread = append $spread (set (deepCopy .) "labelSelector" (.labelSelector | default $pods)) -}}
{{- end -}}
{{- $claims := list -}}
{{- range $name, $claim := $server.resourceClaims }}{{ if $claim -}}
{{- $claims = append $claims (merge (dict "name" $name) (omit $claim "request")) -}}
{{- end }}{{ end -}}
{{- with $spread }}{{ $fields = set $fields "topologySpreadConstraints" . }}{{ end -}}
{{- with $claims }}{{ $fields = set $fields "resourceClaims" . }}{{ end -}}
{{- with $fields }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
Containers of the user beside the server. They get the server's security context unless they have one of their own, or a
namespace with Pod Security "restricted" would refuse the whole pod.
Given a dict: root, containers.
*/}}
{{- define "llmkube.server-pod.containers" -}}
{{- $context := include "llmkube.map.compact" .root.Values.securityContext | fromYaml -}}
{{- $containers := list -}}
{{- range .containers -}}
{{- $containers = append $containers (hasKey . "securityContext" | ternary . (set (deepCopy .) "securityContext" $context)) -}}
{{- end -}}
{{- toYaml $containers -}}
{{- end -}}
