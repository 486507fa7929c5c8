{{/*
The volumes of the pods that serve: those of every pod, and what the server alone mounts.
Given a dict: root, entry (of the model).
*/}}
{{- define "llmkube.server-volumes.volumes" -}}
{{ include "llmkube.pod.volumes" (dict "root" .root "secret" .entry.secret) }}
{{- end -}}

{{/*
Where the server's container sees its volumes. It can read the cache and nothing else of the volume's life: only downloads write.
Given the root context.
*/}}
{{- define "llmkube.server-volumes.mounts" -}}
- name: model-cache
  mountPath: {{ .Values.modelCache.mountPath }}
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end -}}
