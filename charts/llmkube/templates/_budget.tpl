{{/*
How many megabytes of weights a pod has to load, as far as the values tell: the size of the model, else that of a volume which is
for this model alone. 0 when they do not tell.
Given the root context.
*/}}
{{- define "llmkube.budget.megabytes" -}}
{{- $own := has (include "llmkube.cache.mode" .) (list "perModel" "ephemeral") -}}
{{- $size := .Values.model.size | default ($own | ternary .Values.modelCache.size "") | toString -}}
{{- $units := dict "k" 1e-3 "K" 1e-3 "M" 1.0 "G" 1e3 "T" 1e6 "P" 1e9 "E" 1e12
      "Ki" 0.001024 "Mi" 1.048576 "Gi" 1073.741824 "Ti" 1099511.627776 "Pi" 1125899906.842624 "Ei" 1152921504606.846976 -}}
{{- $unit := regexFind "[A-Za-z]+$" $size -}}
{{- mulf (trimSuffix $unit $size | float64) (get $units $unit | default 1e-6) | ceil | int64 -}}
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
