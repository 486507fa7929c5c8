{{/*
What the server loads beside the model: a projector, a draft model, adapters. Each is an entry of the cache of its own.
Given the root context. Returns JSON: under "items" the entries as llmkube.cache.entry describes them, each with kind (mmproj,
draft or lora), name (of an adapter, as users and clients know it) and suffix (of its container's name).
*/}}
{{- define "llmkube.beside.items" -}}
{{- include "llmkube.once.text" (dict "root" . "of" "llmkube.beside.parsedItems") -}}
{{- end -}}

{{/*
What llmkube.beside.items says, made anew.
Given the root context.
*/}}
{{- define "llmkube.beside.parsedItems" -}}
{{- $runtime := .Values.runtime -}}
{{- $found := list -}}
{{- with $runtime.mmproj }}{{ $found = append $found (dict "kind" "mmproj" "path" "runtime.mmproj" "suffix" "mmproj" "spec" .) }}{{ end -}}
{{- with $runtime.draftModel }}{{ $found = append $found (dict "kind" "draft" "path" "runtime.draftModel" "suffix" "draft" "spec" .) }}{{ end -}}
{{- range $name, $spec := $runtime.loraAdapters }}{{ if $spec -}}
{{- $suffix := printf "lora-%s" (include "llmkube.beside.label" $name) -}}
{{- $found = append $found (dict "kind" "lora" "name" $name "path" (printf "runtime.loraAdapters.%s" $name) "suffix" $suffix "spec" $spec) -}}
{{- end }}{{ end -}}
{{- $items := list -}}
{{- if .Values.model.source }}{{ range $found -}}
{{- $entry := include "llmkube.cache.entry" (dict "root" $ "path" .path "spec" .spec) | fromJson -}}
{{- $items = append $items (merge (pick . "kind" "name" "suffix") $entry) -}}
{{- end }}{{ end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/*
A name that may be part of a container's, for one that may not be: capitals, dots and underscores are common in the names of
adapters. Two names never become one: what is changed ends in a hash of the whole.
Given the name.
*/}}
{{- define "llmkube.beside.label" -}}
{{- if and (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" .) (le (len .) 40) -}}
{{- . -}}
{{- else -}}
{{- printf "%s-%s" (regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trunc 31 | trimAll "-") (sha256sum . | trunc 8) | trimPrefix "-" -}}
{{- end -}}
{{- end -}}

{{/*
Where the server finds what it loads beside the model.
Given the root context. Returns JSON: mmproj and draft (paths, empty: none), loras (a list of name and file).
*/}}
{{- define "llmkube.beside.paths" -}}
{{- $paths := dict "mmproj" "" "draft" "" -}}
{{- $loras := list -}}
{{- range get (include "llmkube.beside.items" . | fromJson) "items" -}}
{{- if eq .kind "lora" }}{{ $loras = append $loras (pick . "name" "file") }}{{ else }}{{ $_ := set $paths .kind .file }}{{ end -}}
{{- end -}}
{{- set $paths "loras" $loras | toJson -}}
{{- end -}}

{{/*
The volume with the credentials for one entry: one for each Secret, so that no container sees those of another source.
Given a dict: entry, model (the entry of the model, whose volume has the plain name).
*/}}
{{- define "llmkube.beside.credentials" -}}
{{- if eq .entry.secret .model.secret -}}
credentials
{{- else -}}
credentials-{{ sha256sum .entry.secret | trunc 8 }}
{{- end -}}
{{- end -}}

{{/*
The init containers that fetch what is loaded beside the model, one after the other, each with its own report; and at the end the
one that reads all of it once, so that the server finds it in the node's memory and not on a slow volume.
Given a dict: root, entry (of the model). Returns YAML: a list, or nothing.
*/}}
{{- define "llmkube.beside.containers" -}}
{{- $all := .entry.inPlace | ternary list (list .entry.key) -}}
{{- range get (include "llmkube.beside.items" .root | fromJson) "items" -}}
{{- $all = append $all .key -}}
{{- $volume := include "llmkube.beside.credentials" (dict "entry" . "model" $.entry) }}
- {{ include "llmkube.downloader.container" (dict "root" $.root "name" (printf "fetch-%s" .suffix) "component" "server"
      "args" .args "secret" .secret "credentials" $volume "entries" (list .) "upstream" true) | indent 2 | trim }}
{{- end -}}
{{- if and .root.Values.runtime.loader.warm $all }}
- {{ include "llmkube.downloader.container" (dict "root" .root "name" "warm" "component" "warm" "args" (prepend $all "verify")
      "offline" true) | indent 2 | trim }}
{{- end -}}
{{- end -}}

{{/*
The containers that say every hour that the pod uses what is loaded beside the model, as llmkube.downloader.hold does for the model.
Given a dict: root. Returns YAML: a list, or nothing.
*/}}
{{- define "llmkube.beside.holds" -}}
{{- range get (include "llmkube.beside.items" .root | fromJson) "items" }}
- {{ include "llmkube.downloader.container" (dict "root" $.root "name" (printf "hold-%s" .suffix) "component" "server"
      "args" (list "hold" .key) "resources" $.root.Values.downloader.holdResources "offline" true) | indent 2 | trim }}
  restartPolicy: Always
{{- end -}}
{{- end -}}

{{/*
The names of all those containers, which the user's may not have.
Given the root context. Returns JSON: a list of texts under "items".
*/}}
{{- define "llmkube.beside.names" -}}
{{- $names := list "warm" -}}
{{- range get (include "llmkube.beside.items" . | fromJson) "items" -}}
{{- $names = concat $names (list (printf "fetch-%s" .suffix) (printf "hold-%s" .suffix)) -}}
{{- end -}}
{{- dict "items" $names | toJson -}}
{{- end -}}

{{/*
The volumes of those containers that the model's own does not have.
Given a dict: root, entry (of the model). Returns YAML: a list, or nothing.
*/}}
{{- define "llmkube.beside.volumes" -}}
{{- $seen := list "credentials" -}}
{{- range get (include "llmkube.beside.items" .root | fromJson) "items" -}}
{{- $volume := include "llmkube.beside.credentials" (dict "entry" . "model" $.entry) -}}
{{- if and .secret (not (has $volume $seen)) }}
- name: {{ $volume }}
  secret:
    secretName: {{ quote .secret }}
    defaultMode: 0444
{{- end -}}
{{- $seen = append $seen $volume -}}
{{- end -}}
{{- end -}}

{{/*
What the plugin has to know of entries beside the model, whose key alone is a label: which container fetches which.
Given the root context. Returns JSON: a map from container to key, source and revision; nothing when there are none.
*/}}
{{- define "llmkube.beside.annotation" -}}
{{- $known := dict -}}
{{- range get (include "llmkube.beside.items" . | fromJson) "items" -}}
{{- $_ := set $known (printf "fetch-%s" .suffix) (pick . "key" "source" "revision") -}}
{{- end -}}
{{- with $known }}{{ toJson . }}{{ end -}}
{{- end -}}
