{{/*
A repository, with another registry if there is one. The first part of a repository is a registry
if it contains a dot or a colon, or is "localhost", as in every reference to an image.
*/}}
{{- define "mqttbridge.repository" -}}
{{- if .registry -}}
{{- $parts := splitList "/" .repository -}}
{{- $first := first $parts -}}
{{- if and (gt (len $parts) 1) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- printf "%s/%s" (trimSuffix "/" .registry) (join "/" $parts) -}}
{{- else -}}
{{- .repository -}}
{{- end -}}
{{- end -}}

{{- define "mqttbridge.reference" -}}
{{- $repository := include "mqttbridge.repository" . -}}
{{- if .digest -}}
{{- printf "%s@%s" $repository .digest -}}
{{- else -}}
{{- printf "%s:%s" $repository .tag -}}
{{- end -}}
{{- end -}}

{{/* The operator's image. */}}
{{- define "mqttbridge.image" -}}
{{- $image := .Values.image -}}
{{- include "mqttbridge.reference" (dict
  "registry" (default (.Values.global).imageRegistry $image.registry)
  "repository" $image.repository
  "tag" (default .Chart.AppVersion $image.tag)
  "digest" $image.digest) -}}
{{- end -}}

{{/*
The default image of the runners. A field that is empty is the operator's, but a runner with a tag
of its own does not use the operator's digest.
*/}}
{{- define "mqttbridge.runnerImage" -}}
{{- $image := .Values.image -}}
{{- $runner := .Values.runner.image -}}
{{- if and $runner (kindIs "string" $runner) -}}
{{- $runner -}}
{{- else -}}
{{- $runner = default dict $runner -}}
{{- $global := (.Values.global).imageRegistry -}}
{{- $registry := default $global $runner.registry -}}
{{- if not $runner.repository -}}
{{- $registry = coalesce $runner.registry $image.registry $global -}}
{{- end -}}
{{- include "mqttbridge.reference" (dict
  "registry" $registry
  "repository" (default $image.repository $runner.repository)
  "tag" (coalesce $runner.tag $image.tag .Chart.AppVersion)
  "digest" (ternary $runner.digest (default $image.digest $runner.digest) (or (not (empty $runner.tag)) (not (empty $runner.repository))))) -}}
{{- end -}}
{{- end -}}

{{- define "mqttbridge.imagePullSecrets" -}}
{{- with concat (default list (.Values.global).imagePullSecrets) (default list .Values.imagePullSecrets) -}}
imagePullSecrets:
{{ toYaml (uniq .) }}
{{- end -}}
{{- end -}}
