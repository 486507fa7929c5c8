{{/*
The image of a custom runtime: only the user knows it.
Given the root context. Returns JSON: repository, tag.
*/}}
{{- define "llmkube.runtime-custom.image" -}}
{{- dict "repository" "" "tag" "" | toJson -}}
{{- end -}}

{{/*
What is run in place of the image's entry point: nothing, unless the user says so.
Given the root context. Returns JSON: a list under "items".
*/}}
{{- define "llmkube.runtime-custom.command" -}}
{{- dict "items" list | toJson -}}
{{- end -}}

{{/*
The arguments of a custom runtime that the chart sets: none.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.runtime-custom.args" -}}
{{- dict "items" list | toJson -}}
{{- end -}}

{{/*
The environment through which a custom runtime learns where things are, as the chart knows none of its flags.
Given the root context. Returns JSON: a map.
*/}}
{{- define "llmkube.runtime-custom.env" -}}
{{- $extras := include "llmkube.beside.paths" . | fromJson -}}
{{- $lora := list -}}
{{- range $extras.loras }}{{ $lora = append $lora (printf "%s=%s" .name .file) }}{{ end -}}
{{- $env := dict -}}
{{- range $name, $text := dict "LLMKUBE_MMPROJ_PATH" $extras.mmproj "LLMKUBE_DRAFT_MODEL_PATH" $extras.draft
      "LLMKUBE_LORA_PATHS" (join "," $lora) "LLMKUBE_CHAT_TEMPLATE" (include "llmkube.runtime.chatTemplatePath" .) -}}
{{- with $text }}{{ $_ := set $env $name (include "llmkube.pod.literal" .) }}{{ end -}}
{{- end -}}
{{- $env | toJson -}}
{{- end -}}

{{/*
The variable that holds the key that clients of a custom runtime have to show, for its arguments.
Given the root context.
*/}}
{{- define "llmkube.runtime-custom.keyVariable" -}}
LLMKUBE_API_KEY
{{- end -}}

{{/*
The path at which a custom runtime says that it is well, as most servers do.
Given the root context.
*/}}
{{- define "llmkube.runtime-custom.health" -}}
/health
{{- end -}}

{{/*
The values that would do nothing with a custom runtime, with the reason and what to do.
Given the root context. Returns JSON: a map from value to text.
*/}}
{{- define "llmkube.runtime-custom.refused" -}}
{{- $refused := dict -}}
{{- range list "servedModelName" "task" "contextSize" "parallel" "threads" "tensorParallel" "pipelineParallel" "quantization"
      "dtype" "kvCacheType" "gpuLayers" "gpuMemoryUtilization" "trustRemoteCode" "draftTokens" "loader.mmap" "loader.strategy"
      "metrics" -}}
{{- $_ := set $refused . "the chart knows no flags of the runtime custom: remove it and write it into runtime.args" -}}
{{- end -}}
{{- $refused | toJson -}}
{{- end -}}
