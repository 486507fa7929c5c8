{{/*
What the values of the server have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-server.check" -}}
{{- include "llmkube.requirements-server.gpu" . }}
{{- include "llmkube.requirements-server.pod" . }}
{{- if .Values.model.source }}
{{- $name := include "llmkube.names.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- fail (printf "fullnameOverride: a Service can not be called %q: set a name that begins with a letter and has only lower-case letters, digits and -" $name) }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
What the values of the GPU have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-server.gpu" -}}
{{- $gpu := .Values.server.gpu }}
{{- $resource := include "llmkube.gpu.resource" . }}
{{- $slice := empty $gpu.mig | not | ternary "server.gpu.mig" "server.gpu.shared" }}
{{- if and $gpu.mig (or $gpu.resourceName (ne $gpu.vendor "nvidia")) }}
{{- fail "server.gpu.mig: is only for server.gpu.vendor nvidia without a server.gpu.resourceName: remove it, or set the vendor" }}
{{- end }}
{{- if and $gpu.shared (or $gpu.resourceName (ne $gpu.vendor "nvidia")) }}
{{- fail "server.gpu.shared: is only for server.gpu.vendor nvidia without a server.gpu.resourceName: remove it, or set the vendor" }}
{{- end }}
{{- if and (or $gpu.mig $gpu.shared) (gt (int64 $gpu.count) 1) }}
{{- fail (printf "server.gpu.count: is %d, but a server computes with one such device, however many it holds: ask for 1, or remove %s" (int64 $gpu.count) $slice) }}
{{- end }}
{{- $limits := .Values.server.resources.limits | default dict }}
{{- $limit := hasKey $limits $resource | ternary (get $limits $resource) nil }}
{{- if and $resource (not (kindIs "invalid" $limit)) (ne (toString $limit) (toString (int64 $gpu.count))) }}
{{- fail (printf "server.resources.limits: asks for %v of %s, but server.gpu.count is %d: say it in one place, best in server.gpu" $limit $resource (int64 $gpu.count)) }}
{{- end }}
{{- end -}}

{{/*
What the values of the server's pods have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-server.pod" -}}
{{- $server := .Values.server }}
{{- if $server.resources.claims }}
{{- fail "server.resources.claims: is made from server.resourceClaims: name the claim there and remove it here" }}
{{- end }}
{{- range $name, $claim := $server.resourceClaims }}{{ if not (kindIs "invalid" $claim) }}
{{- if eq (empty $claim.resourceClaimName) (empty $claim.resourceClaimTemplateName) }}
{{- fail (printf "server.resourceClaims.%s: needs either a resourceClaimName or a resourceClaimTemplateName: give one of them" $name) }}
{{- end }}
{{- end }}{{ end }}
{{- with $server.strategy }}
{{- if and (eq (.type | default "") "Recreate") .rollingUpdate }}
{{- fail "server.strategy.rollingUpdate: has no meaning with the type Recreate: remove it, or set the type RollingUpdate" }}
{{- end }}
{{- end }}
{{- end -}}
