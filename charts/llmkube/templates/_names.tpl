{{/*
A name that fits a limit. Kubernetes refuses long names; cutting alone would let two names become one, so a cut name ends
in a hash of the whole.
Given a dict: name (text), max (number of characters, more than 9).
*/}}
{{- define "llmkube.names.bounded" -}}
{{- if le (len .name) (int .max) -}}
{{- .name -}}
{{- else -}}
{{- printf "%s-%s" (trunc (int (sub .max 9)) .name | trimSuffix "-" | trimSuffix ".") (sha256sum .name | trunc 8) -}}
{{- end -}}
{{- end -}}

{{/*
The name of the Deployment and the Service, and the start of all others: the release's name unless
overridden. A parent chart that gives this chart an alias gets the alias appended, so that two aliases do not collide.
Given the root context.
*/}}
{{- define "llmkube.names.fullname" -}}
{{- $alias := eq .Chart.Name "llmkube" | ternary "" .Chart.Name -}}
{{- $suffix := .Values.nameOverride | default $alias -}}
{{- $name := .Values.fullnameOverride | default (list .Release.Name $suffix | compact | join "-") -}}
{{- include "llmkube.names.bounded" (dict "name" $name "max" 63) -}}
{{- end -}}

{{/*
The name of the ServiceAccount of all pods. One that is not made here has to be named; otherwise it is the one that every
namespace has.
Given the root context.
*/}}
{{- define "llmkube.names.serviceAccount" -}}
{{- $account := .Values.serviceAccount -}}
{{- $account.name | default ($account.create | ternary (include "llmkube.names.fullname" .) "default") -}}
{{- end -}}

{{/*
The name of a Job. Most of a Job can not be changed once it exists, so the name carries a hash of what may not change: another
input makes another Job, and the same input leaves the finished one alone. What is hashed is the content, not its spelling, so
that a comment or an indent in a template makes no new Job.
Given a dict: root, kind (preload or init), spec (the rendered part that may not change, as YAML).
*/}}
{{- define "llmkube.names.job" -}}
{{- $name := printf "%s-%s-%s" (include "llmkube.names.fullname" .root) .kind (.spec | fromYaml | toJson | sha256sum | trunc 8) -}}
{{- include "llmkube.names.bounded" (dict "name" $name "max" 63) -}}
{{- end -}}

{{/*
The name of a CronJob that works on the volume, by which the plugin's user finds it: after the claim where the release owns
it, after the release where it does not, because two releases may use one existing claim. CronJob names end at 52 characters.
Given a dict: root, kind (maintenance, prune or verify).
*/}}
{{- define "llmkube.names.maintenance" -}}
{{- $stem := include "llmkube.names.fullname" .root -}}
{{- if include "llmkube.cache.owned" .root }}{{ $stem = include "llmkube.cache.claim" .root }}{{ end -}}
{{- include "llmkube.names.bounded" (dict "name" (printf "%s-%s" $stem .kind) "max" 52) -}}
{{- end -}}
