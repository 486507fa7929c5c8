{{/*
The volume with the cache. A claim that nobody may write to is mounted read-only as a volume too: some drivers attach it only so.
Given a dict: root, claim (optional: another one in its place).
*/}}
{{- define "llmkube.claim.volume" -}}
- name: model-cache
{{- with .claim | default (include "llmkube.cache.claim" .root) }}
  persistentVolumeClaim:
    claimName: {{ quote . }}
    {{- if and (not $.claim) (include "llmkube.claim.readOnly" $.root) }}
    readOnly: true
    {{- end }}
{{- else }}
  emptyDir:
    {{- /* Without a limit a model that is larger than expected fills the node's disk and evicts its neighbours. */}}
    sizeLimit: {{ include "llmkube.size.volume" .root | quote }}
{{- end }}
{{- end -}}

{{/*
"true" when nobody may write to the cache's claim; nothing otherwise.
Given the root context.
*/}}
{{- define "llmkube.claim.readOnly" -}}
{{- if and (include "llmkube.cache.claim" .) (eq .Values.modelCache.accessMode "ReadOnlyMany") -}}
true
{{- end -}}
{{- end -}}

{{/*
The claim around which the pods of the release gather: the cache's, or without a cache the one that is served in place.
Given the root context.
*/}}
{{- define "llmkube.claim.gathered" -}}
{{- include "llmkube.cache.claim" . | default (include "llmkube.in-place.claim" .) -}}
{{- end -}}

{{/*
"true" when pods of the server start for sure, and so are the first to use a claim; nothing otherwise. An autoscaler that goes
down to none may do so before a node for the first pod is there.
Given the root context.
*/}}
{{- define "llmkube.claim.serves" -}}
{{- $keda := .Values.server.keda -}}
{{- $sleeps := or (eq (toString $keda.minReplicaCount) "0") (eq (toString $keda.idleReplicaCount) "0") -}}
{{- $none := eq (include "llmkube.scaling.autoscaler" .) "server.keda" | ternary $sleeps (eq (include "llmkube.scaling.replicas" .) "0") -}}
{{- if and .Values.model.source (not $none) -}}
true
{{- end -}}
{{- end -}}

{{/*
What keeps a claim when the release goes. Each tool has its own way to say "do not delete this": Argo CD reads Helm's only when
the whole application goes. And a claim that left the manifests, but is not pruned, would leave its application OutOfSync for ever.
Given nothing.
*/}}
{{- define "llmkube.claim.kept" -}}
argocd.argoproj.io/compare-options: IgnoreExtraneous
argocd.argoproj.io/sync-options: Prune=false,Delete=false
helm.sh/resource-policy: keep
kustomize.toolkit.fluxcd.io/prune: disabled
{{- end -}}

{{/*
The storage class of a claim: the cluster's default when unset, none at all when empty or a dash.
Given the value.
*/}}
{{- define "llmkube.claim.storageClass" -}}
{{- if not (kindIs "invalid" .) -}}
storageClassName: {{ eq . "-" | ternary "" . | quote }}
{{- end -}}
{{- end -}}
