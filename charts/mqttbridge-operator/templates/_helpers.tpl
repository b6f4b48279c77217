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

{{- define "mqttbridge.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "mqttbridge.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mqttbridge.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* The labels by which programs find the operator. They do not depend on nameOverride and fullnameOverride. */}}
{{- define "mqttbridge.operatorLabels" -}}
app.kubernetes.io/part-of: mqttbridge
app.kubernetes.io/component: operator
{{- end -}}

{{/* The labels of every object. The chart's own labels have precedence over commonLabels. */}}
{{- define "mqttbridge.labels" -}}
{{- $own := merge (include "mqttbridge.selectorLabels" . | fromYaml) (include "mqttbridge.operatorLabels" . | fromYaml) -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) -}}
{{- toYaml (merge $own (default dict .Values.commonLabels)) -}}
{{- end -}}

{{/*
The labels and annotations of an object that Prometheus or Grafana selects. The argument has the
root and the values of the object.
*/}}
{{- define "mqttbridge.monitoringMetadata" -}}
namespace: {{ default (include "mqttbridge.namespace" .root) .values.namespace | quote }}
labels:
  {{- $labels := include "mqttbridge.labels" .root | fromYaml }}
  {{- toYaml (merge $labels (default dict .values.labels)) | nindent 2 }}
{{- with .values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The settings that the endpoints of a ServiceMonitor and of a PodMonitor have in common. */}}
{{- define "mqttbridge.endpoint" -}}
path: /metrics
# The metrics of bridges have the label namespace: the namespace of the bridge.
honorLabels: true
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
  name: {{ include "mqttbridge.serviceAccountName" . | quote }}
  namespace: {{ include "mqttbridge.namespace" . | quote }}
{{- end -}}

{{/* The name of the Lease for leader election. */}}
{{- define "mqttbridge.lease" -}}
{{- with .Values.class }}{{ . }}.{{ end }}operator.mqttbridge.io
{{- end -}}

{{- define "mqttbridge.leaseNamespace" -}}
{{- default (include "mqttbridge.namespace" .) (.Values.leaderElection).namespace -}}
{{- end -}}

{{/* "true" unless leaderElection.enabled is false. It is absent after an upgrade with --reuse-values. */}}
{{- define "mqttbridge.leaderElection" -}}
{{- ne (toString (.Values.leaderElection).enabled) "false" -}}
{{- end -}}

{{/* "true" unless rbac.create is false. */}}
{{- define "mqttbridge.rbac" -}}
{{- ne (toString (.Values.rbac).create) "false" -}}
{{- end -}}

{{/* The rules of a role in config/rbac, which `make manifests` copies to files/. */}}
{{- define "mqttbridge.rules" -}}
{{- $role := .Files.Get (printf "files/%s.yaml" .role) | fromYaml -}}
{{- toYaml $role.rules -}}
{{- end -}}
