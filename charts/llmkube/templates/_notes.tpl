{{/*
Addresses at which the server is reached from outside the cluster, as far as the values tell.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.notes.addresses" -}}
{{- $items := list -}}
{{- if .Values.server.ingress.enabled -}}
{{- $scheme := empty .Values.server.ingress.tls | ternary "http" "https" -}}
{{- range .Values.server.ingress.hosts }}{{ with .host }}{{ $items = append $items (printf "%s://%s" $scheme .) }}{{ end }}{{ end -}}
{{- end -}}
{{- if .Values.server.httpRoute.enabled -}}
{{- range .Values.server.httpRoute.hostnames }}{{ $items = append $items (printf "https://%s" .) }}{{ end -}}
{{- end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/*
The command that shows the key which the server wants; nothing when it wants none.
Given the root context.
*/}}
{{- define "llmkube.notes.key" -}}
{{- $namespace := .Release.Namespace -}}
{{- with .Values.runtime.apiKey }}{{ if .existingSecret -}}
{{- $path := printf "{.data.%s}" (replace "." "\\." .key) -}}
{{- printf "kubectl -n %s get secret %s -o jsonpath='%s' | base64 -d" $namespace .existingSecret $path -}}
{{- end }}{{ end -}}
{{- end -}}

{{/*
A request to try: where to and what.
Given the root context. Returns JSON: path, body.
*/}}
{{- define "llmkube.notes.request" -}}
{{- if eq .Values.runtime.task "embed" -}}
{{- dict "path" "/v1/embeddings" "body" `{"input": "Hello!"}` | toJson -}}
{{- else if eq .Values.runtime.task "rerank" -}}
{{- dict "path" "/v1/rerank" "body" `{"query": "Hello!", "documents": ["Hi!", "Goodbye!"]}` | toJson -}}
{{- else -}}
{{- dict "path" "/v1/chat/completions" "body" `{"messages": [{"role": "user", "content": "Hello!"}]}` | toJson -}}
{{- end -}}
{{- end -}}

{{/*
What is allowed and may still not be what the user wants, each on its own line.
Given the root context.
*/}}
{{- define "llmkube.notes.warnings" -}}
{{- $mode := include "llmkube.cache.mode" . }}
{{- $most := (include "llmkube.scaling.bounds" . | fromJson).most | default 0 | int64 }}
{{- if eq $mode "ephemeral" }}
the cache is ephemeral: every start of a pod downloads the weights again. To keep them set modelCache.mode to perModel.
{{- end }}
{{- if include "llmkube.cache.oneNode" . }}
{{- if and .Values.model.source (gt $most 1) }}
all pods of the server, {{ $most }} at most, have to run on one node, because modelCache.accessMode is ReadWriteOnce. For more nodes use ReadWriteMany with a storage class that has it.
{{- end }}
{{- if eq $mode "shared" }}
the shared cache is on one node, and all releases that use it run there, because modelCache.accessMode is ReadWriteOnce. For more nodes use ReadWriteMany in all of them.
{{- end }}
{{- end }}
{{- $loader := .Values.downloader }}
{{- $elsewhere := or $loader.proxy.http $loader.proxy.https $loader.allowHttp $loader.hfEndpoint }}
{{- if and .Values.networkPolicy.enabled $elsewhere (not .Values.networkPolicy.downloader.extraEgress) }}
downloads use a proxy, a mirror or http://, and networkPolicy.downloader lets them reach port 443 outside of private networks. If that is not the way, say in networkPolicy.downloader.extraEgress what is.
{{- end }}
{{- $ownImage := or .Values.runtime.image.repository .Values.runtime.image.tag .Values.runtime.image.digest }}
{{- if and .Values.model.source (eq .Values.runtime.name "llamacpp") (include "llmkube.gpu.held" . | fromJson) (not $ownImage) }}
the server holds a GPU, and the default image of llama.cpp computes on the CPU alone. Set runtime.image.tag to a build for that GPU, for NVIDIA server-cuda-b10068.
{{- end }}
{{- range get (include "llmkube.cache.entries" . | fromJson) "items" }}
{{- if and (hasPrefix "http" .scheme) (not .hashes) }}
{{ .path }}.sha256 is empty: without it nobody notices when {{ .source }} has other bytes than you expect.
{{- end }}
{{- end }}
{{- end -}}
