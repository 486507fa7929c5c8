{{/*
What the values of the ways to the server have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-reach.check" -}}
{{- if .Values.model.source }}
{{- include "llmkube.requirements-reach.service" . }}
{{- $server := .Values.server }}
{{- if and $server.ingress.enabled (not $server.ingress.hosts) }}
{{- fail "server.ingress.hosts: is empty, so the Ingress leads nowhere: name a host, [{host: chat.example.com}], or [{}] for all" }}
{{- end }}
{{- if and $server.httpRoute.enabled (not $server.httpRoute.parentRefs) }}
{{- fail "server.httpRoute.parentRefs: is empty, so no Gateway takes the route: name one, [{name: my-gateway, namespace: gateways}]" }}
{{- end }}
{{- if and $server.podMonitor.enabled $server.serviceMonitor.enabled }}
{{- fail "server.serviceMonitor.enabled: and server.podMonitor.enabled would have everything measured twice: set one of them to false" }}
{{- end }}
{{- range $name := list "podMonitor" "serviceMonitor" }}
{{- if and (get $server $name).enabled (not $.Values.runtime.metrics) }}
{{- fail (printf "server.%s.enabled: is true, but runtime.metrics is false, so there is nothing to ask for: change one of them" $name) }}
{{- end }}
{{- end }}
{{- $policy := .Values.networkPolicy }}
{{- if and $policy.enabled (not $policy.server.mayDownload) (eq (include "llmkube.cache.mode" .) "ephemeral") }}
{{- fail "networkPolicy.server.mayDownload: is false, but into an ephemeral cache only the server's pods can download: set it to true or modelCache.mode to perModel" }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
What the values of the Service have to say together.
Given the root context. Renders nothing.
*/}}
{{- define "llmkube.requirements-reach.service" -}}
{{- $service := .Values.server.service }}
{{- if eq $service.type "ClusterIP" }}
{{- range $name := list "nodePort" "externalTrafficPolicy" }}
{{- if get $service $name }}
{{- fail (printf "server.service.%s: is only for the types NodePort and LoadBalancer, and server.service.type is ClusterIP: remove it or change the type" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if ne $service.type "LoadBalancer" }}
{{- range $name := list "loadBalancerClass" "loadBalancerSourceRanges" }}
{{- if get $service $name }}
{{- fail (printf "server.service.%s: is only for the type LoadBalancer, and server.service.type is %s: remove it or change the type" $name $service.type) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq (len $service.ipFamilies) 2) (has $service.ipFamilyPolicy (list "" "SingleStack")) }}
{{- fail "server.service.ipFamilies: names two families, which server.service.ipFamilyPolicy does not allow: set it to PreferDualStack or RequireDualStack" }}
{{- end }}
{{- end -}}
