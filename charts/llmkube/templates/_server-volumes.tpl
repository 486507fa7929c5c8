{{/*
The volumes of the pods that serve: those of every pod, and what the server alone mounts.
Given a dict: root, entry (of the model).
*/}}
{{- define "llmkube.server-volumes.volumes" -}}
{{ include "llmkube.pod.volumes" (dict "root" .root "secret" .entry.secret) }}
{{- include "llmkube.beside.volumes" . }}
{{- with include "llmkube.runtime.chatTemplateMap" .root }}
- name: chat-template
  configMap:
    name: {{ quote . }}
    items:
      - key: {{ quote $.root.Values.runtime.chatTemplate.key }}
        path: {{ quote $.root.Values.runtime.chatTemplate.key }}
{{- end }}
{{- if include "llmkube.server-volumes.sharesMemory" .root }}
- name: shared-memory
  emptyDir:
    medium: Memory
    {{- with .root.Values.server.sharedMemory.size }}
    sizeLimit: {{ quote . }}
    {{- end }}
{{- end }}
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
{{- if include "llmkube.runtime.chatTemplatePath" . }}
- name: chat-template
  mountPath: /etc/llmkube/chat-template
  readOnly: true
{{- end }}
{{- if include "llmkube.server-volumes.sharesMemory" . }}
- name: shared-memory
  mountPath: /dev/shm
{{- end }}
{{- end -}}

{{/*
"true" when the server needs more shared memory than the 64 MiB that container runtimes give; nothing otherwise. The Python
servers exchange tensors between their processes through it, and so do GPUs that work on one model.
Given the root context.
*/}}
{{- define "llmkube.server-volumes.sharesMemory" -}}
{{- $runtime := .Values.runtime -}}
{{- $several := gt (int64 (include "llmkube.gpu.count" .)) 1 -}}
{{- range list $runtime.tensorParallel $runtime.pipelineParallel }}{{ if gt (int64 .) 1 }}{{ $several = true }}{{ end }}{{ end -}}
{{- $enabled := .Values.server.sharedMemory.enabled -}}
{{- if kindIs "invalid" $enabled }}{{ $enabled = or $several (has $runtime.name (list "vllm" "sglang" "tgi")) }}{{ end -}}
{{- $enabled | ternary "true" "" -}}
{{- end -}}
