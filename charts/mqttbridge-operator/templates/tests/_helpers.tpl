{{/* The labels of the pod of `helm test`. They must not be those that select the operator's pods. */}}
{{- define "mqttbridge.testLabels" -}}
app.kubernetes.io/name: {{ include "mqttbridge.name" . | trunc 58 }}-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: test
{{- end -}}
