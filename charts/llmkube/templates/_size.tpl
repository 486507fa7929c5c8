{{/*
A size in bytes, without floating point, in which large numbers would lose digits or get an exponent. A part of a byte counts as
one. The schema keeps the digits so few that nothing overflows.
Given a dict: size (a Kubernetes quantity such as 4.5Gi, a number of bytes, or nothing). Returns the digits.
*/}}
{{- define "llmkube.size.bytes" -}}
{{- if not (kindIs "string" .size) -}}
{{- .size | default 0 | int64 -}}
{{- else -}}
{{- $unit := include "llmkube.size.unit" .size | int64 -}}
{{- $whole := regexFind "^[0-9]+" .size -}}
{{- $decimals := regexFind "[.][0-9]+" .size | trimPrefix "." -}}
{{- $scale := printf "1%s" (repeat (len $decimals) "0") | int64 -}}
{{- $part := div (sub (add (mul (include "llmkube.size.number" $decimals | int64) $unit) $scale) 1) $scale -}}
{{- add (mul (include "llmkube.size.number" $whole | int64) $unit) $part -}}
{{- end -}}
{{- end -}}

{{/*
How many bytes the unit of a Kubernetes quantity stands for; one without a unit is in bytes.
Given the quantity. Returns the digits.
*/}}
{{- define "llmkube.size.unit" -}}
{{- $units := dict "k" "1000" "M" "1000000" "G" "1000000000" "T" "1000000000000" "P" "1000000000000000" "E" "1000000000000000000"
      "Ki" "1024" "Mi" "1048576" "Gi" "1073741824" "Ti" "1099511627776" "Pi" "1125899906842624" "Ei" "1152921504606846976" -}}
{{- get $units (regexFind "[A-Za-z]+$" .) | default "1" -}}
{{- end -}}

{{/*
Digits as a number is written: the template language reads 010 as eight.
Given the digits, or nothing.
*/}}
{{- define "llmkube.size.number" -}}
{{- regexReplaceAll "^0+" . "" | default "0" -}}
{{- end -}}

{{/*
How large the volume is: what the values say, else the sum of what the release keeps there and modelCache.headroom, in whole Gi.
An entry that is refreshed is there twice while the newer contents are downloaded.
Given the root context.
*/}}
{{- define "llmkube.size.volume" -}}
{{- if .Values.modelCache.size -}}
{{- .Values.modelCache.size -}}
{{- else -}}
{{- $sum := 0 -}}
{{- range get (include "llmkube.size.entries" . | fromJson) "items" -}}
{{- $sum = add $sum (mul (int64 .bytes) (.twice | ternary 2 1)) -}}
{{- end -}}
{{- $kibibytes := div (add $sum 1023) 1024 -}}
{{- $needed := div (add (mul $kibibytes (add 100 (int64 .Values.modelCache.headroom))) 99) 100 -}}
{{- printf "%dGi" (div (add $needed 1048575) 1048576) -}}
{{- end -}}
{{- end -}}

{{/*
What each entry of the release takes: what its values say, else the catalog.
Given the root context. Returns JSON: maps of path (where the values are), bytes (0: not known), twice (whether it is refreshed);
a list under "items".
*/}}
{{- define "llmkube.size.entries" -}}
{{- include "llmkube.once.text" (dict "root" . "of" "llmkube.size.measuredEntries") -}}
{{- end -}}

{{/*
What llmkube.size.entries says, made anew.
Given the root context.
*/}}
{{- define "llmkube.size.measuredEntries" -}}
{{- $catalog := dict -}}
{{- $items := list -}}
{{- range get (include "llmkube.cache.entries" . | fromJson) "items" -}}
{{- $bytes := int64 .size -}}
{{- if not $bytes -}}
{{- if not $catalog }}{{ $catalog = include "llmkube.size.catalog" $ | fromJson }}{{ end -}}
{{- $bytes = include "llmkube.size.known" (dict "catalog" $catalog "canonical" .canonical) | int64 -}}
{{- end -}}
{{- $twice := regexMatch "(^|\n)--refresh=(on-change|always)(\n|$)" (join "\n" .args) -}}
{{- if include "llmkube.preload.schedule" (dict "root" $ "entry" .) }}{{ $twice = true }}{{ end -}}
{{- $items = append $items (dict "path" .path "bytes" $bytes "twice" $twice) -}}
{{- end -}}
{{- dict "items" $items | toJson -}}
{{- end -}}

{{/*
The models in catalog.yaml by their repositories (org/repo), so that only those need to be parsed that may be meant.
Given the root context. Returns JSON.
*/}}
{{- define "llmkube.size.catalog" -}}
{{- $models := dict -}}
{{- range get (.Files.Get "catalog.yaml" | fromYaml) "models" -}}
{{- $repository := slice (splitList "/" .source) 2 4 | join "/" -}}
{{- $_ := set $models $repository (append (get $models $repository | default list) .) -}}
{{- end -}}
{{- toJson $models -}}
{{- end -}}

{{/*
The size in bytes that the catalog has for a source, 0 when it does not know it.
Given a dict: catalog (see llmkube.size.catalog), canonical (the source).
*/}}
{{- define "llmkube.size.known" -}}
{{- $place := include "llmkube.size.place" .canonical -}}
{{- $size := 0 -}}
{{- range get .catalog (splitList "\n" $place | first | trimPrefix "hf://") | default list -}}
{{- $entry := include "llmkube.key.parse" (dict "path" (printf "catalog.%s" .id) "spec" .) | fromJson -}}
{{- if eq $place (include "llmkube.size.place" $entry.canonical) }}{{ $size = int64 .size }}{{ end -}}
{{- end -}}
{{- $size -}}
{{- end -}}

{{/*
What of a canonical source says how much there is to download: not the revision, as a file of one name hardly changes its size,
nor whether it is asked for as hf:// or by its address on the hub.
Given the canonical source.
*/}}
{{- define "llmkube.size.place" -}}
{{- $place := regexReplaceAll "^(hf://[^/@\n]+/[^/@\n]+)@[^\n]*" . "${1}" -}}
{{- regexReplaceAll "^https://huggingface[.]co/([^/]+/[^/]+)/resolve/[^/]+/([^?]+)([?]download=true)?$" $place "hf://${1}\nfile=${2}" -}}
{{- end -}}
