{{/*
What the values of the downloader, and of what it asks for, have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-downloader.check" -}}
{{- include "llmkube.requirements-downloader.env" . }}
{{- include "llmkube.requirements-downloader.source" . }}
{{- include "llmkube.requirements-downloader.network" . }}
{{- end -}}

{{/*
What is on the way to an origin is said in one place, and no password in values that many may read.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-downloader.network" -}}
{{- $values := .Values.downloader }}
{{- if and $values.caBundle.configMap $values.caBundle.secret }}
{{- fail "downloader.caBundle.secret: is set beside downloader.caBundle.configMap, and the certificates come from one of them: remove one" }}
{{- end }}
{{- range $kind := list "http" "https" }}
{{- if contains "@" (get $values.proxy $kind) }}
{{- fail (printf "downloader.proxy.%s: holds a password, and values are no place for one: put the whole address into a Secret, and set downloader.env.%s_PROXY with valueFrom" $kind (upper $kind)) }}
{{- end }}
{{- end }}
{{- $given := dict "HTTP_PROXY" (dict "path" "proxy.http" "value" $values.proxy.http) "HTTPS_PROXY" (dict "path" "proxy.https" "value" $values.proxy.https)
      "SSL_CERT_FILE" (dict "path" "caBundle" "value" (or $values.caBundle.configMap $values.caBundle.secret)) }}
{{- range $name, $value := $values.env }}
{{- with get $given (upper $name) }}{{ if .value }}
{{- fail (printf "downloader.env.%s: is given in downloader.%s too: remove one of them" $name .path) }}
{{- end }}{{ end }}
{{- end }}
{{- end -}}

{{/*
Where and when to ask for weights: only with a source, and only of addresses that are allowed and hold no password.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-downloader.source" -}}
{{- if not .Values.model.source }}
{{- range $name, $default := dict "mirrors" list "refresh" "never" "verifyOnStart" "size" }}
{{- if ne (toJson (get $.Values.model $name)) (toJson $default) }}
{{- fail (printf "model.%s: is set without model.source: set the source or remove it" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range get (include "llmkube.cache.entries" . | fromJson) "items" }}
{{- $path := .path }}
{{- range .args }}{{ if hasPrefix "--mirror=" . }}
{{- $mirror := trimPrefix "--mirror=" . }}
{{- if contains "@" (regexFind "^https?://[^/?#]*" $mirror) }}
{{- fail (printf "%s.mirrors: an address must not hold a user or password: remove it, and give credentials in %s.existingSecret" $path $path) }}
{{- end }}
{{- $host := regexReplaceAll "^https?://(?:\\[([^/?]*)\\]|([^/?:]*)).*$" $mirror "${1}${2}" | lower }}
{{- $match := hasPrefix "https://" $mirror }}
{{- range $.Values.downloader.allowHttp }}{{ if has (lower .) (list "*" $host) }}{{ $match = true }}{{ end }}{{ end }}
{{- if not $match }}
{{- fail (printf "%s.mirrors: one is asked over http://, without encryption: use https:// or add %q to downloader.allowHttp" $path $host) }}
{{- end }}
{{- end }}{{ end }}
{{- end }}
{{- end -}}

{{/*
What the environment of the downloader may not say, because the chart does.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-downloader.env" -}}
{{- $own := dict "LLMKUBE_ROOT" "modelCache.mountPath" "LLMKUBE_SOURCE" "model.source" "LLMKUBE_REVISION" "model.revision"
      "LLMKUBE_INCLUDE" "model.include" "LLMKUBE_EXCLUDE" "model.exclude" "LLMKUBE_FILE" "model.files"
      "LLMKUBE_SHA256" "model.sha256" "LLMKUBE_MIRROR" "model.mirrors" "LLMKUBE_REFRESH" "model.refresh"
      "LLMKUBE_VERIFY_ON_START" "model.verifyOnStart" "LLMKUBE_OLDER_THAN" "modelCache.prune.olderThan"
      "LLMKUBE_MAX_BYTES" "modelCache.prune.maxBytes" "LLMKUBE_MIN_FREE" "modelCache.prune.minFree"
      "LLMKUBE_UNUSED" "modelCache.prune.unused" "LLMKUBE_REPAIR" "modelCache.verify.repair"
      "LLMKUBE_CREDENTIALS" "model.existingSecret" "LLMKUBE_CONNECTIONS" "downloader.connections"
      "LLMKUBE_LIMIT_RATE" "downloader.limitRate" "LLMKUBE_STALL_TIMEOUT" "downloader.stallTimeout"
      "LLMKUBE_LOCK_WAIT" "downloader.lockWait"
      "LLMKUBE_EXPECT_SIZE" "model.size" "LLMKUBE_UPSTREAM" "modelCache.upstream" "LLMKUBE_BUDGET" "modelCache.budget"
      "LLMKUBE_ALLOW_HTTP" "downloader.allowHttp" "HF_ENDPOINT" "downloader.hfEndpoint" }}
{{- range $name, $value := .Values.downloader.env }}
{{- with get $own $name }}
{{- fail (printf "downloader.env.%s: is set by the chart: use %s" $name .) }}
{{- end }}
{{- if eq $name "LLMKUBE_REPORT" }}
{{- fail "downloader.env.LLMKUBE_REPORT: is set by the chart, because the plugin reads the report from there: remove it" }}
{{- end }}
{{- if eq $name "LLMKUBE_PVC_DIR" }}
{{- fail "downloader.env.LLMKUBE_PVC_DIR: is where the chart mounts the claims of pvc:// sources: remove it" }}
{{- end }}
{{- if eq $name "LLMKUBE_LINK" }}
{{- fail "downloader.env.LLMKUBE_LINK: is where the server looks for what was fetched: remove it" }}
{{- end }}
{{- if has $name (list "LLMKUBE_POD_UID" "LLMKUBE_NODE_NAME") }}
{{- fail (printf "downloader.env.%s: is set by the chart, where the pod itself knows it: remove it" $name) }}
{{- end }}
{{- end }}
{{- end -}}
