{{/*
The cache key, exactly as docs/cache-key.md says. The downloader computes it too, and tests/contract/key-vectors.yaml keeps
the two together: change all three or none.
*/}}

{{/*
Read a source and its selection.
Given a dict: path (where the values are, for messages), spec (source, revision, files, include, exclude as in `model`).
Returns JSON: scheme, source (for people, without credentials), revision (empty: the default), files (explicitly selected, in
the user's order), canonical, key.
*/}}
{{- define "llmkube.key.parse" -}}
{{- $source := .spec.source | default "" -}}
{{- $revision := .spec.revision | default "" -}}
{{- include "llmkube.key.checkText" (dict "path" (printf "%s.source" .path) "text" $source) -}}
{{- if $revision }}{{ include "llmkube.key.checkText" (dict "path" (printf "%s.revision" .path) "text" $revision) }}{{ end -}}
{{- $scheme := regexFind "^[a-z0-9]+://" $source | trimSuffix "://" -}}
{{- $given := dict "path" .path "source" $source "scheme" $scheme "revision" $revision -}}
{{- $parsed := dict -}}
{{- if has $scheme (list "hf" "ms") -}}
{{- $parsed = include "llmkube.key.repository" $given | fromJson -}}
{{- else if not (has $scheme (list "https" "http" "s3" "gs" "az" "oci" "file" "pvc")) -}}
{{- fail (printf "%s.source: begins with no scheme that llmkube knows: write hf://org/repo/file.gguf or https://host/file.gguf, in lower case" .path) -}}
{{- else if $revision -}}
{{- fail (printf "%s.revision: %s:// sources have no revisions: remove it, or name it in the address" .path $scheme) -}}
{{- else if has $scheme (list "https" "http") -}}
{{- $parsed = include "llmkube.key.url" $given | fromJson -}}
{{- else -}}
{{- $parsed = dict "base" $source "source" $source -}}
{{- end -}}
{{- $files := .spec.files | default list -}}
{{- if $parsed.file }}{{ $files = prepend $files $parsed.file }}{{ end -}}
{{- $lines := list $parsed.base -}}
{{- range $name, $texts := dict "file" $files "include" .spec.include "exclude" .spec.exclude }}{{ range $texts }}
{{- include "llmkube.key.checkText" (dict "path" (printf "%s.%s" $.path (eq $name "file" | ternary "files" $name)) "text" .) -}}
{{- end }}{{ end -}}
{{- range $files | uniq | sortAlpha }}{{ $lines = append $lines (printf "file=%s" .) }}{{ end -}}
{{- range .spec.include | default list | uniq | sortAlpha }}{{ $lines = append $lines (printf "include=%s" .) }}{{ end -}}
{{- range .spec.exclude | default list | uniq | sortAlpha }}{{ $lines = append $lines (printf "exclude=%s" .) }}{{ end -}}
{{- $canonical := join "\n" $lines -}}
{{- dict "scheme" $scheme "source" $parsed.source "revision" ($parsed.revision | default "") "files" $files
      "canonical" $canonical "key" (sha256sum $canonical | trunc 16) | toJson -}}
{{- end -}}

{{/*
Refuse what would make two spellings look alike or break the canonical lines. The text is not shown: it may hold a password.
Given a dict: path (for messages), text.
*/}}
{{- define "llmkube.key.checkText" -}}
{{- if not .text -}}
{{- fail (printf "%s: is empty: give a text or remove the entry" .path) -}}
{{- else if ne .text (trim .text) -}}
{{- fail (printf "%s: has white space at its ends: remove it" .path) -}}
{{- else if regexMatch "\\p{Cc}" .text -}}
{{- fail (printf "%s: holds a control character such as a line feed: remove it" .path) -}}
{{- end -}}
{{- end -}}

{{/*
The base of a repository source: <scheme>://<org>/<repo>[@<revision>][/<path>], a revision ending at the next slash except
for the hub's special refs.
Given a dict: path, source, scheme, revision (the one beside the source).
Returns JSON: base, source, revision (empty: the default), file (the path, empty: none).
*/}}
{{- define "llmkube.key.repository" -}}
{{- $source := regexReplaceAll "/+$" .source "" -}}
{{- $rest := trimPrefix (printf "%s://" .scheme) $source -}}
{{- $pattern := "^([^/@]+/[^/@]+)(?:@(refs/pr/[0-9]+|refs/convert/[^/]+|[^/]+))?(?:/(.+))?$" -}}
{{- if not (regexMatch $pattern $rest) -}}
{{- fail (printf "%s.source: names no repository: write %s://org/repo[@revision][/file]" .path .scheme) -}}
{{- end -}}
{{- $parts := regexReplaceAll $pattern $rest "${1}\n${2}\n${3}" | splitList "\n" -}}
{{- $written := index $parts 1 -}}
{{- if and $written .revision (ne $written .revision) -}}
{{- fail (printf "%s.revision: is %q but %s.source says @%s: give one of them" .path .revision .path $written) -}}
{{- end -}}
{{- $revision := $written | default .revision -}}
{{- if eq $revision (eq .scheme "hf" | ternary "main" "master") }}{{ $revision = "" }}{{ end -}}
{{- $base := printf "%s://%s" .scheme (index $parts 0) -}}
{{- if $revision }}{{ $base = printf "%s@%s" $base $revision }}{{ end -}}
{{- dict "base" $base "source" $source "revision" $revision "file" (index $parts 2) | toJson -}}
{{- end -}}

{{/*
The base of a URL: as written, without its fragment and without a signature. For people, the query of a signed URL is left out
whole, and parameters that look like secrets are hidden.
Given a dict: path, source. Returns JSON: base, source.
*/}}
{{- define "llmkube.key.url" -}}
{{- if contains "@" (regexFind "^https?://[^/?#]*" .source) -}}
{{- fail (printf "%s.source: a URL must not hold a user or password: put credentials into a Secret and name it in %s.existingSecret" .path .path) -}}
{{- end -}}
{{- $url := regexReplaceAll "#.*$" .source "" -}}
{{- $query := regexFind "\\?.*$" $url | trimPrefix "?" -}}
{{- $signatures := list "x-amz-signature" "x-goog-signature" "signature" "sig" -}}
{{- $signing := list "awsaccesskeyid" "googleaccessid" "expires" "key-pair-id" "policy" "signature"
      "response-content-disposition" "response-content-type" "sv" "ss" "srt" "sp" "se" "st" "spr" "sip" "sr" "sig"
      "skoid" "sktid" "skt" "ske" "sks" "skv" -}}
{{- $signed := false -}}
{{- $kept := list -}}
{{- range splitList "&" $query -}}
{{- $name := splitList "=" . | first | lower -}}
{{- if has $name $signatures }}{{ $signed = true }}{{ end -}}
{{- if not (or (has $name $signing) (hasPrefix "x-amz-" $name) (hasPrefix "x-goog-" $name)) }}{{ $kept = append $kept . }}{{ end -}}
{{- end -}}
{{- $address := regexReplaceAll "\\?.*$" $url "" -}}
{{- if $signed -}}
{{- dict "base" (list $address (join "&" $kept) | compact | join "?") "source" $address | toJson -}}
{{- else -}}
{{- dict "base" $url "source" (regexReplaceAll "(?i)([?&][^=&]*(?:token|key|secret|password|auth|credential)[^=&]*=)[^&]*" $url "${1}***") | toJson -}}
{{- end -}}
{{- end -}}
