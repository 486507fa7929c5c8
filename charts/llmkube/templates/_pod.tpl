{{/*
What all pods of the release have in common.
Given the root context.
*/}}
{{- define "llmkube.pod.common" -}}
serviceAccountName: {{ include "llmkube.names.serviceAccount" . | quote }}
automountServiceAccountToken: false
{{- /* The variables of a Service that happens to be called like a program's own settings would change them. */}}
enableServiceLinks: false
{{- with include "llmkube.image.pullSecrets" . }}
imagePullSecrets:
  {{- . | nindent 2 }}
{{- end }}
{{- with include "llmkube.map.compact" .Values.podSecurityContext }}
securityContext:
  {{- . | nindent 2 }}
{{- end }}
{{- with include "llmkube.map.compact" .Values.server.nodeSelector }}
nodeSelector:
  {{- . | nindent 2 }}
{{- end }}
{{- with include "llmkube.pod.affinity" . }}
affinity:
  {{- . | nindent 2 }}
{{- end }}
{{- with include "llmkube.pod.tolerations" . }}
tolerations:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The user's tolerations, and those for GPU nodes that they do not cover already.
Given the root context.
*/}}
{{- define "llmkube.pod.tolerations" -}}
{{- $tolerations := .Values.server.tolerations -}}
{{- range $own := get (include "llmkube.gpu.tolerations" . | fromJson) "items" -}}
{{- $covered := false -}}
{{- range $.Values.server.tolerations -}}
{{- $sameKey := has (.key | default "") (list "" $own.key) -}}
{{- $sameEffect := has (.effect | default "") (list "" $own.effect) -}}
{{- if and (eq (.operator | default "Equal") "Exists") $sameKey $sameEffect }}{{ $covered = true }}{{ end -}}
{{- end -}}
{{- if not $covered }}{{ $tolerations = append $tolerations $own }}{{ end -}}
{{- end -}}
{{- with $tolerations }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The user's affinity, a preference for nodes with the GPUs that the server asks for, and for a claim that only one node can
have, a preference for the node where it already is.
The first pod of a claim may run anywhere. Block storage is bound to a zone rather than a node, so without this the
scheduler may put a second pod (the server beside a preload Job, another release of a shared claim) on another node, where it
waits for a volume that is attached elsewhere. Only preferred: pods that are gone must not keep others from starting.
Given the root context.
*/}}
{{- define "llmkube.pod.affinity" -}}
{{- $affinity := include "llmkube.map.compact" .Values.server.affinity | fromYaml -}}
{{- with get (include "llmkube.gpu.preferences" . | fromJson) "items" -}}
{{- $node := $affinity.nodeAffinity | default dict -}}
{{- $wanted := concat ($node.preferredDuringSchedulingIgnoredDuringExecution | default list) . -}}
{{- $affinity = set $affinity "nodeAffinity" (set $node "preferredDuringSchedulingIgnoredDuringExecution" $wanted) -}}
{{- end -}}
{{- if include "llmkube.cache.oneNode" . -}}
{{- $hash := include "llmkube.claim.gathered" . | sha256sum | trunc 8 -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (dict "llmkube.dev/claim-hash" $hash)) -}}
{{- $near := $affinity.podAffinity | default dict -}}
{{- $preferred := $near.preferredDuringSchedulingIgnoredDuringExecution | default list -}}
{{- $preferred = append $preferred (dict "weight" 100 "podAffinityTerm" $term) -}}
{{- $near = set $near "preferredDuringSchedulingIgnoredDuringExecution" $preferred -}}
{{- $affinity = set $affinity "podAffinity" $near -}}
{{- end -}}
{{- with $affinity }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
A list of environment variables, sorted, no name twice: server-side apply refuses a name that is there twice.
Given a dict: base (what the chart sets), over (what the user sets, wins): maps from name to a text or to {valueFrom: ...}.
*/}}
{{- define "llmkube.pod.env" -}}
{{- $lines := list -}}
{{- range $name, $value := include "llmkube.map.overlay" . | fromYaml -}}
{{- $variable := dict "name" $name -}}
{{- if kindIs "map" $value }}{{ $variable = merge $variable $value }}
{{- else if kindIs "string" $value }}{{ $_ := set $variable "value" $value }}
{{- else }}{{ $_ := set $variable "value" (toJson $value) }}{{ end -}}
{{- $lines = append $lines $variable -}}
{{- end -}}
{{- toYaml $lines -}}
{{- end -}}

{{/*
Keep Kubernetes from expanding $(NAME) in a text that a user gave, which could print a token.
Given the text.
*/}}
{{- define "llmkube.pod.literal" -}}
{{- replace "$" "$$" . -}}
{{- end -}}

{{/*
The volumes of a pod.
Given a dict: root, secret (name of the Secret with credentials, empty: none), optional (whether a pod may start without it),
offline (optional: whether nothing in the pod asks an origin), entries (optional: what is fetched), upstream (optional: whether
other caches are asked), claim (optional: another one than the cache's in its place), uncached (optional: without the cache).
*/}}
{{- define "llmkube.pod.volumes" -}}
{{- if not .uncached -}}
{{ include "llmkube.claim.volume" . }}
{{- end }}
{{- include "llmkube.sources.volumes" . }}
- name: tmp
  emptyDir: {}
{{- with .secret }}
- name: credentials
  secret:
    secretName: {{ quote . }}
    {{- /* Readable without fsGroup too; the volume is in the downloader's container only. */}}
    defaultMode: 0444
    {{- if $.optional }}
    optional: true
    {{- end }}
{{- end }}
{{- if not .offline }}{{ with include "llmkube.downloader-network.volume" .root }}
{{ . }}
{{- end }}{{ end }}
{{- end -}}
