{{- define "mqttbridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, so that names that contain it have at most 63. */}}
{{- define "mqttbridge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "mqttbridge.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mqttbridge.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mqttbridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mqttbridge.labels" -}}
{{ include "mqttbridge.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "mqttbridge.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{- define "mqttbridge.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mqttbridge.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "mqttbridge.subject" -}}
- kind: ServiceAccount
  name: {{ include "mqttbridge.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The name of the Lease for leader election. */}}
{{- define "mqttbridge.lease" -}}
{{- with .Values.class }}{{ . }}.{{ end }}operator.mqttbridge.io
{{- end -}}

{{/* The rules of a role in config/rbac, which `make manifests` copies to files/. */}}
{{- define "mqttbridge.rules" -}}
{{- $role := .Files.Get (printf "files/%s.yaml" .role) | fromYaml -}}
{{- toYaml $role.rules -}}
{{- end -}}
