{{/*
How many megabytes of weights a pod has to load, as far as the values tell: model.size, else the catalog, else the size of a volume
which is for this model alone. A volume may be larger than what will ever lie on it: it counts for 2 TB at most, more than the
largest open models have. 0 when nothing tells.
Given the root context.
*/}}
{{- define "llmkube.budget.megabytes" -}}
{{- $own := has (include "llmkube.cache.mode" .) (list "perModel" "ephemeral") -}}
{{- $megabytes := include "llmkube.budget.inMegabytes" .Values.model.size | int64 -}}
{{- if not $megabytes -}}
{{- range get (include "llmkube.size.entries" . | fromJson) "items" -}}
{{- if eq .path "model" }}{{ $megabytes = divf .bytes 1e6 | ceil | int64 }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and $own (not $megabytes) -}}
{{- $megabytes = min 2000000 (include "llmkube.budget.inMegabytes" .Values.modelCache.size | int64) -}}
{{- end -}}
{{- $megabytes -}}
{{- end -}}

{{/*
A size in megabytes, rounded up.
Given a Kubernetes quantity, a number of bytes, or nothing.
*/}}
{{- define "llmkube.budget.inMegabytes" -}}
{{- $size := . | default "" | toString -}}
{{- $unit := divf (include "llmkube.size.unit" $size) 1e6 -}}
{{- mulf (regexFind "^[0-9.]+" $size | float64) $unit | ceil | int64 -}}
{{- end -}}

{{/*
Seconds that a server may take to load its weights: half an hour, or more where a volume that reads 100 MB/s needs more.
Given the root context.
*/}}
{{- define "llmkube.budget.startup" -}}
{{- max 1800 (divf (include "llmkube.budget.megabytes" . | float64) 100 | ceil | int64) -}}
{{- end -}}

{{/*
Seconds that a rollout may take: four hours, or more where downloading the weights with 20 MB/s and loading them needs more.
Given the root context.
*/}}
{{- define "llmkube.budget.rollout" -}}
{{- $download := divf (include "llmkube.budget.megabytes" . | float64) 20 | ceil | int64 -}}
{{- .Values.server.progressDeadlineSeconds | default (max 14400 (add $download (include "llmkube.budget.startup" . | int64))) | int64 -}}
{{- end -}}

{{/*
The numbers of the startup probe. How often it may fail follows from the time that loading may take, unless the user says it.
Given the root context. Returns YAML.
*/}}
{{- define "llmkube.budget.probe" -}}
{{- $probe := .Values.server.probes.startup -}}
{{- $seconds := include "llmkube.budget.startup" . | float64 -}}
{{- $failures := divf $seconds ($probe.periodSeconds | default 10) | ceil | int64 -}}
{{- merge (dict "failureThreshold" ($probe.failureThreshold | default $failures | int64)) $probe | toYaml -}}
{{- end -}}
