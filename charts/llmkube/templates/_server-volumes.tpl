{{/*
The volumes of the pods that serve: those of every pod, and what the server alone mounts.
Given a dict: root, entry (of the model).
*/}}
{{- define "llmkube.server-volumes.volumes" -}}
{{- $fetched := get (include "llmkube.server-volumes.entries" .root | fromJson) "items" -}}
{{- $secret := empty $fetched | ternary "" .entry.secret -}}
{{ include "llmkube.pod.volumes" (dict "root" .root "secret" $secret "entries" $fetched "upstream" $fetched
      "uncached" (empty $fetched)) }}
{{- if $fetched }}
- name: entries
  emptyDir:
    {{- /* It holds a link for each. */}}
    sizeLimit: 1Mi
{{- end }}
{{- if .entry.inPlace }}
{{ include "llmkube.in-place.volume" .root }}
{{- end }}
{{- include "llmkube.beside.volumes" . }}
{{- with include "llmkube.artifacts.claim" .root }}
- name: artifacts
  persistentVolumeClaim:
    claimName: {{ quote . }}
{{- end }}
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
Where the server's container sees its volumes. It can read the models and nothing else of their volumes' life: only downloads
write. What it may write to are compiled artefacts.
Given the root context.
*/}}
{{- define "llmkube.server-volumes.mounts" -}}
{{- if get (include "llmkube.server-volumes.entries" . | fromJson) "items" }}
- name: model-cache
  mountPath: {{ .Values.modelCache.mountPath }}
  readOnly: true
- name: entries
  mountPath: /entries
  readOnly: true
{{- end }}
{{- if include "llmkube.in-place.model" . }}
{{ include "llmkube.in-place.mount" . }}
{{- end }}
{{- if include "llmkube.artifacts.claim" . }}
- name: artifacts
  mountPath: {{ .Values.artifactCache.mountPath }}
{{- end }}
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

{{/*
What a server's pod fetches before it starts: the model, unless it is served in place, and what is loaded beside it.
Given the root context. Returns JSON: a list of entries under "items".
*/}}
{{- define "llmkube.server-volumes.entries" -}}
{{- $items := get (include "llmkube.beside.items" . | fromJson) "items" -}}
{{- if and .Values.model.source (not (include "llmkube.in-place.model" .)) }}{{ $items = prepend $items (include "llmkube.cache.model" . | fromJson) }}{{ end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}
