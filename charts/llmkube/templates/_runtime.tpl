{{/*
Flags and their values as a list of arguments. What is null, empty or false is left to the server, whose own default counts then;
true is the flag alone. Numbers of a values file arrive as floats, and none may be written with an exponent.
Given a list of pairs: flag, value. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.runtime.flags" -}}
{{- $items := list -}}
{{- range . -}}
{{- $flag := first . -}}
{{- $value := last . -}}
{{- if kindIs "bool" $value }}{{ if $value }}{{ $items = append $items $flag }}{{ end }}
{{- else if and (not (kindIs "invalid" $value)) (ne (toString $value) "") -}}
{{- if and (not (kindIs "string" $value)) (eq (float64 $value) (float64 (int64 $value))) }}{{ $value = int64 $value }}{{ end -}}
{{- $items = append (append $items $flag) (toString $value) -}}
{{- end -}}
{{- end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/*
Over how many GPUs a server that does not see this for itself splits the model. Unless told otherwise a layer is split over
all GPUs of the pod, or over those that a stage of a pipeline has.
Given the root context. Returns JSON: tensor, pipeline; null where the server's own default, one, is meant.
*/}}
{{- define "llmkube.runtime.parallelism" -}}
{{- $runtime := .Values.runtime -}}
{{- $tensor := $runtime.tensorParallel -}}
{{- if kindIs "invalid" $tensor -}}
{{- $each := div (int64 (include "llmkube.gpu.count" .)) (int64 ($runtime.pipelineParallel | default 1)) -}}
{{- if gt $each 1 }}{{ $tensor = $each }}{{ end -}}
{{- end -}}
{{- dict "tensor" $tensor "pipeline" $runtime.pipelineParallel | toJson -}}
{{- end -}}

{{/*
The environment of servers that are made of Python and the libraries of Hugging Face. All weights are in the cache: with these
settings a mistake fails at once and by name, and does not become a second, unnoticed download. USER is needed because PyTorch
asks for the name of the user, and the images know none with the number that the pods run as.
Given the root context. Returns JSON: a map.
*/}}
{{- define "llmkube.runtime.pythonEnv" -}}
{{- dict "HF_HUB_OFFLINE" "1" "TRANSFORMERS_OFFLINE" "1" "HF_HOME" "/tmp/huggingface" "USER" "llmkube" | toJson -}}
{{- end -}}

{{/*
Where the server finds the chat template; nothing when it takes the model's own.
Given the root context.
*/}}
{{- define "llmkube.runtime.chatTemplatePath" -}}
{{- if or .Values.runtime.chatTemplate.inline .Values.runtime.chatTemplate.configMap -}}
/etc/llmkube/chat-template/{{ .Values.runtime.chatTemplate.key }}
{{- end -}}
{{- end -}}

{{/*
The ConfigMap that holds the chat template: the user's, or the one made from the text in the values; nothing without a template.
Given the root context.
*/}}
{{- define "llmkube.runtime.chatTemplateMap" -}}
{{- if .Values.runtime.chatTemplate.inline -}}
{{- include "llmkube.names.bounded" (dict "name" (printf "%s-chat-template" (include "llmkube.names.fullname" .)) "max" 63) -}}
{{- else -}}
{{- .Values.runtime.chatTemplate.configMap -}}
{{- end -}}
{{- end -}}

{{/*
The environment the chart gives the server: where things are, what the runtime needs, and the key that clients have to show.
Given the root context. Returns JSON: a map from name to a text or to {valueFrom: ...}.
*/}}
{{- define "llmkube.runtime.env" -}}
{{- $name := .Values.runtime.name -}}
{{- $env := dict "HOME" "/tmp" "LLMKUBE_MODEL_PATH" (include "llmkube.pod.literal" (include "llmkube.cache.modelPath" .)) -}}
{{- $env = merge $env (include (printf "llmkube.runtime-%s.env" $name) . | fromJson) -}}
{{- with .Values.runtime.apiKey -}}
{{- if .existingSecret -}}
{{- $reference := dict "secretKeyRef" (dict "name" .existingSecret "key" .key) -}}
{{- $_ := set $env (include (printf "llmkube.runtime-%s.keyVariable" $name) $) (dict "valueFrom" $reference) -}}
{{- end -}}
{{- end -}}
{{- $env | toJson -}}
{{- end -}}
