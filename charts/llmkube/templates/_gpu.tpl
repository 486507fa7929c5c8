{{/*
The resource that server.gpu asks for, as the vendor's device plugin calls it; nothing when it asks for none. NVIDIA's plugin
writes the plus sign of a MIG profile as a dot, and adds ".shared" to what it hands out several times.
Given the root context.
*/}}
{{- define "llmkube.gpu.resource" -}}
{{- $gpu := .Values.server.gpu -}}
{{- if $gpu.resourceName -}}
{{- $gpu.resourceName -}}
{{- else if eq $gpu.vendor "nvidia" -}}
nvidia.com/{{ empty $gpu.mig | ternary "gpu" (printf "mig-%s" ($gpu.mig | replace "+" ".")) }}{{ $gpu.shared | ternary ".shared" "" }}
{{- else if $gpu.vendor -}}
{{- get (dict "amd" "amd.com/gpu" "intel" "gpu.intel.com/i915") $gpu.vendor -}}
{{- end -}}
{{- end -}}

{{/*
The requests, limits and claims of the server's container: the user's, and the GPUs of server.gpu. They are a limit only:
Kubernetes takes it for the request too.
Given the root context. Returns JSON.
*/}}
{{- define "llmkube.gpu.resources" -}}
{{- $gpus := dict -}}
{{- with include "llmkube.gpu.resource" . }}{{ $gpus = dict . (int64 $.Values.server.gpu.count) }}{{ end -}}
{{- if not .Values.server.gpu.count }}{{ $gpus = dict }}{{ end -}}
{{- $limits := include "llmkube.map.overlay" (dict "base" $gpus "over" .Values.server.resources.limits) | fromYaml -}}
{{- $claims := list -}}
{{- range $name, $claim := .Values.server.resourceClaims }}{{ if $claim -}}
{{- $claims = append $claims (merge (dict "name" $name) (pick $claim "request")) -}}
{{- end }}{{ end -}}
{{- $own := dict "limits" $limits "claims" $claims -}}
{{- include "llmkube.map.compact" (merge $own .Values.server.resources) | fromYaml | toJson -}}
{{- end -}}

{{/*
The GPUs that a server's pod holds, whichever values ask for them. Known are the names of the large vendors and the one of
server.gpu; nvidia.com/ and amd.com/ name network cards too.
Given the root context. Returns JSON: a map from resource to number.
*/}}
{{- define "llmkube.gpu.held" -}}
{{- $own := include "llmkube.gpu.resource" . -}}
{{- $held := dict -}}
{{- range $name, $count := (include "llmkube.gpu.resources" . | fromJson).limits -}}
{{- $known := regexMatch "^(nvidia[.]com/(gpu|pgpu|mig-)|amd[.]com/(gpu|[a-z]+_nps[0-9])|gpu[.]intel[.]com/(i915|xe)($|[.]))" $name -}}
{{- if and (or $known (eq $name $own)) (int64 $count) }}{{ $held = set $held $name (int64 $count) }}{{ end -}}
{{- end -}}
{{- toJson $held -}}
{{- end -}}

{{/*
The number of GPUs that a server may divide a model among. Of MIG devices and of shared GPUs it is one: a program uses one MIG
device however many it is given, and two shares may be of the same GPU.
Given the root context.
*/}}
{{- define "llmkube.gpu.count" -}}
{{- $count := 0 -}}
{{- range $name, $number := include "llmkube.gpu.held" . | fromJson -}}
{{- $whole := not (or (hasPrefix "nvidia.com/mig-" $name) (hasSuffix ".shared" $name)) -}}
{{- $count = add $count ($whole | ternary $number 1) -}}
{{- end -}}
{{- $count -}}
{{- end -}}

{{/*
Tolerations for the taints that keep other pods off GPU nodes. Their key is by convention the resource's name; of slices and
shares it is mostly the one of the whole GPU. All pods of the release get them, and none of the downloader's holds a GPU: a
volume is bound where its first pod runs, and a download that can not run there would bind it where the server never can.
Given the root context. Returns JSON: a list under "items".
*/}}
{{- define "llmkube.gpu.tolerations" -}}
{{- $names := include "llmkube.gpu.held" . | fromJson -}}
{{- with include "llmkube.gpu.resource" . }}{{ $names = set $names . 0 }}{{ end -}}
{{- range $name, $_ := deepCopy $names -}}
{{- if regexMatch "^(nvidia|amd)[.]com/" $name }}{{ $names = set $names (printf "%s/gpu" (dir $name)) 0 }}{{ end -}}
{{- end -}}
{{- $items := list -}}
{{- if .Values.server.gpu.tolerate -}}
{{- range $name, $_ := $names -}}
{{- $items = append $items (dict "key" $name "operator" "Exists" "effect" "NoSchedule") -}}
{{- end -}}
{{- end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/*
Preferences for the nodes that have GPUs of the server's vendor, by the labels that the vendors' own components put there: GPU
Feature Discovery and Google's node pools, AMD's operator and node labeller, Intel's rules for Node Feature Discovery. A
preload Job holds no GPU, so without them it may run where there is none and bind a volume there that the server never
reaches. They are only preferences, as a cluster need not have these labels.
Given the root context. Returns JSON: a list of terms under "items".
*/}}
{{- define "llmkube.gpu.preferences" -}}
{{- $names := keys (include "llmkube.gpu.held" . | fromJson) -}}
{{- with include "llmkube.gpu.resource" . }}{{ $names = append $names . }}{{ end -}}
{{- $labels := dict
  "nvidia.com" (list (dict "key" "nvidia.com/gpu.present" "value" "true") (dict "key" "cloud.google.com/gke-accelerator"))
  "amd.com" (list (dict "key" "feature.node.kubernetes.io/amd-gpu" "value" "true") (dict "key" "amd.com/gpu.device-id"))
  "gpu.intel.com" (list (dict "key" "intel.feature.node.kubernetes.io/gpu" "value" "true")) -}}
{{- $items := list -}}
{{- range $domain, $known := $labels -}}
{{- $asked := false -}}
{{- range $names }}{{ if hasPrefix (printf "%s/" $domain) . }}{{ $asked = true }}{{ end }}{{ end -}}
{{- range $asked | ternary $known list -}}
{{- $value := .value | default "" -}}
{{- $match := dict "key" .key "operator" (empty $value | ternary "Exists" "In") -}}
{{- if $value }}{{ $_ := set $match "values" (list $value) }}{{ end -}}
{{- $items = append $items (dict "weight" 100 "preference" (dict "matchExpressions" (list $match))) -}}
{{- end -}}
{{- end -}}
{{- dict "items" ($.Values.server.gpu.preferNodes | ternary $items list) | toJson -}}
{{- end -}}
