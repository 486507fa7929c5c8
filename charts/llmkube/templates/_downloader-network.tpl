{{/*
How origins are asked: only what the values say, the rest is the downloader's own business. Hosts that are asked without the
proxy are named also where the user gives the proxy, with its password, as a variable of the environment.
Given the root context. Returns YAML: a map of environment variables.
*/}}
{{- define "llmkube.downloader-network.env" -}}
{{- $values := .Values.downloader -}}
{{- $env := dict -}}
{{- if not (kindIs "invalid" $values.connections) }}{{ $_ := set $env "LLMKUBE_CONNECTIONS" ($values.connections | int64 | toString) }}{{ end -}}
{{- with $values.limitRate }}{{ $_ := set $env "LLMKUBE_LIMIT_RATE" . }}{{ end -}}
{{- with $values.stallTimeout }}{{ $_ := set $env "LLMKUBE_STALL_TIMEOUT" . }}{{ end -}}
{{- with $values.lockWait }}{{ $_ := set $env "LLMKUBE_LOCK_WAIT" . }}{{ end -}}
{{- with $values.proxy.http }}{{ $_ := set $env "HTTP_PROXY" . }}{{ end -}}
{{- with $values.proxy.https }}{{ $_ := set $env "HTTPS_PROXY" . }}{{ end -}}
{{- $proxied := or $values.proxy.http $values.proxy.https -}}
{{- range $name, $_ := $values.env }}{{ if has (lower $name) (list "http_proxy" "https_proxy") }}{{ $proxied = true }}{{ end }}{{ end -}}
{{- if and $proxied $values.proxy.noProxy (not (hasKey $values.env "no_proxy")) -}}
{{- $_ := set $env "NO_PROXY" (join "," $values.proxy.noProxy) -}}
{{- end -}}
{{- if include "llmkube.downloader-network.volume" . }}{{ $_ := set $env "SSL_CERT_FILE" "/var/run/llmkube/ca/ca.crt" }}{{ end -}}
{{- with $env }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The volume with the certificates of a private authority; nothing when there are none.
Given the root context. Returns YAML: a list of one volume.
*/}}
{{- define "llmkube.downloader-network.volume" -}}
{{- $bundle := .Values.downloader.caBundle -}}
{{- if or $bundle.configMap $bundle.secret -}}
- name: ca-bundle
  {{- if $bundle.configMap }}
  configMap:
    name: {{ quote $bundle.configMap }}
  {{- else }}
  secret:
    secretName: {{ quote $bundle.secret }}
  {{- end }}
    items:
      - key: {{ quote $bundle.key }}
        path: ca.crt
    {{- /* Readable without fsGroup too. */}}
    defaultMode: 0444
{{- end -}}
{{- end -}}
