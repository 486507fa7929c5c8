{{/*
The image of Text Generation Inference for NVIDIA GPUs: its last version, as its makers keep it no longer.
Given the root context. Returns JSON: repository, tag.
*/}}
{{- define "llmkube.runtime-tgi.image" -}}
{{- dict "repository" "ghcr.io/huggingface/text-generation-inference" "tag" "3.3.7" | toJson -}}
{{- end -}}

{{/*
What is run in place of the image's entry point: nothing, it prepares the environment of the server.
Given the root context. Returns JSON: a list under "items".
*/}}
{{- define "llmkube.runtime-tgi.command" -}}
{{- dict "items" list | toJson -}}
{{- end -}}

{{/*
The arguments of Text Generation Inference.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.runtime-tgi.args" -}}
{{- $runtime := .Values.runtime -}}
{{- $extras := include "llmkube.beside.paths" . | fromJson -}}
{{- $lora := list -}}
{{- range $extras.loras }}{{ $lora = append $lora (printf "%s=%s" .name .file) }}{{ end -}}
{{- include "llmkube.runtime.flags" (list
      (list "--model-id" (include "llmkube.cache.modelPath" .))
      (list "--hostname" $runtime.host)
      (list "--port" $runtime.port)
      (list "--max-total-tokens" ($runtime.contextSize | default nil))
      (list "--max-batch-size" $runtime.parallel)
      (list "--num-shard" (get (include "llmkube.runtime.parallelism" . | fromJson) "tensor"))
      (list "--quantize" $runtime.quantization)
      (list "--dtype" $runtime.dtype)
      (list "--kv-cache-dtype" $runtime.kvCacheType)
      (list "--cuda-memory-fraction" $runtime.gpuMemoryUtilization)
      (list "--trust-remote-code" $runtime.trustRemoteCode)
      (list "--lora-adapters" (join "," $lora))) -}}
{{- end -}}

{{/*
The environment of Text Generation Inference: no network, and no statistics of use sent to its makers.
Given the root context. Returns JSON: a map.
*/}}
{{- define "llmkube.runtime-tgi.env" -}}
{{- merge (dict "USAGE_STATS" "off") (include "llmkube.runtime.pythonEnv" . | fromJson) | toJson -}}
{{- end -}}

{{/*
The variable from which Text Generation Inference reads the key that clients have to show.
Given the root context.
*/}}
{{- define "llmkube.runtime-tgi.keyVariable" -}}
API_KEY
{{- end -}}

{{/*
The path at which Text Generation Inference says that it is well, also without a key.
Given the root context.
*/}}
{{- define "llmkube.runtime-tgi.health" -}}
/health
{{- end -}}

{{/*
The values that Text Generation Inference has nothing for, with the reason and what to do.
Given the root context. Returns JSON: a map from value to text.
*/}}
{{- define "llmkube.runtime-tgi.refused" -}}
{{- dict
      "servedModelName" "TGI has no names for models and takes any in a request: remove it"
      "threads" "TGI has no such flag: remove it, or set OMP_NUM_THREADS in server.env"
      "gpuLayers" "TGI keeps the whole model on the GPUs: remove it"
      "pipelineParallel" "TGI splits a model by tensors only: remove it and use runtime.tensorParallel"
      "task" "TGI only generates: take the runtime vllm, sglang or llamacpp for embeddings and reranking"
      "mmproj" "TGI finds the projector in the model's own repository: remove it and name the repository in model.source"
      "draftModel" "TGI drafts with n-grams and heads of the model only: remove it, and set --speculate in runtime.args"
      "draftTokens" "TGI takes no draft model: remove it, and set --speculate in runtime.args"
      "chatTemplate" "TGI takes the template of the model's tokenizer_config.json: remove it, or mount another such file and set --tokenizer-config-path in runtime.args"
      "loader.mmap" "TGI has no such flag: remove it"
      "loader.strategy" "TGI has no such flag: remove it"
      "metrics" "TGI always serves metrics: remove it"
    | toJson -}}
{{- end -}}
