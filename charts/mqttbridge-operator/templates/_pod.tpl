{{/* A value that is a string or a number. Helm reads numbers of a file as floats: 1000000 would become 1e+06. */}}
{{- define "mqttbridge.number" -}}
{{ kindIs "string" . | ternary . (int64 .) }}
{{- end -}}

{{/* The arguments of the operator. The test of the chart has other arguments. */}}
{{- define "mqttbridge.args" -}}
- --runner-image={{ include "mqttbridge.runnerImage" . }}
{{- with (.Values.runner).imagePullSecrets }}
- --runner-image-pull-secrets={{ range $i, $secret := uniq . }}{{ if $i }},{{ end }}{{ $secret.name }}{{ end }}
{{- end }}
{{- if eq (include "mqttbridge.leaderElection" .) "true" }}
- --leader-elect
{{- with (.Values.leaderElection).namespace }}
- --leader-election-namespace={{ . }}
{{- end }}
{{- else if gt (int .Values.replicas) 1 }}
{{- fail (printf "replicas is %d, and leaderElection.enabled is false, so that each pod would change the same objects. Set leaderElection.enabled to true, or replicas to 1." (int .Values.replicas)) }}
{{- end }}
{{- with .Values.maxUnavailableBridges }}
- --max-unavailable-bridges={{ include "mqttbridge.number" . }}
{{- end }}
{{- with .Values.updateWindows }}
- "--update-windows={{ range $i, $w := . }}{{ if $i }}; {{ end }}{{ $w.schedule }} {{ int $w.durationMinutes }}m{{ end }}"
{{- end }}
{{- with .Values.updateTimeZone }}
- {{ printf "--update-time-zone=%s" . | quote }}
{{- end }}
- --metrics-bind-address={{ ternary ":8443" "0" .Values.metrics.enabled }}
{{- if eq (toString .Values.metrics.bridges) "false" }}
- --bridge-metrics=false
{{- end }}
- --health-probe-bind-address=:8081
- --memory-limit=$(MEMORY_LIMIT)
{{- with .Values.clusterID }}
- {{ printf "--cluster-id=%s" . | quote }}
{{- end }}
{{- with .Values.class }}
- --class={{ . }}
{{- end }}
{{- with .Values.policy }}
{{- if kindIs "slice" .allowedImages }}
- {{ printf "--allowed-images=%s" (join "," .allowedImages) | quote }}
{{- end }}
{{- if kindIs "slice" .allowedPriorityClasses }}
- {{ printf "--allowed-priority-classes=%s" (join "," .allowedPriorityClasses) | quote }}
{{- end }}
{{- if kindIs "slice" .allowedServiceAccounts }}
- {{ printf "--allowed-service-accounts=%s" (join "," .allowedServiceAccounts) | quote }}
{{- end }}
{{- if kindIs "slice" .allowedSecrets }}
- {{ printf "--allowed-secrets=%s" (join "," .allowedSecrets) | quote }}
{{- end }}
{{- if not .allowTolerations }}
- --allow-tolerations=false
{{- end }}
{{- end }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- with (.Values.log).level }}
- --zap-log-level={{ include "mqttbridge.number" . }}
{{- end }}
{{- with (.Values.log).format }}
- --zap-encoder={{ . }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
The security contexts. If a value is absent, as after an upgrade with --reuse-values from a version
without it, the pod must still pass the restricted Pod Security Standard.
*/}}
{{- define "mqttbridge.podSecurityContext" -}}
{{- toYaml (default (dict "runAsNonRoot" true "runAsUser" 65532 "seccompProfile" (dict "type" "RuntimeDefault")) .Values.podSecurityContext) -}}
{{- end -}}

{{- define "mqttbridge.securityContext" -}}
{{- toYaml (default (dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) "readOnlyRootFilesystem" true) .Values.securityContext) -}}
{{- end -}}

{{/*
The strategy of the Deployment. Without leader election, the old pod must end first, because two pods
would change the same objects. The default has the fields that Kubernetes would set, because
server-side apply removes rollingUpdate for the type Recreate only if an earlier manifest contained it.
*/}}
{{- define "mqttbridge.strategy" -}}
{{- if eq (include "mqttbridge.leaderElection" .) "true" -}}
{{- toYaml (default (dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" "25%" "maxUnavailable" "25%")) .Values.strategy) -}}
{{- else if and .Values.strategy (ne (toString .Values.strategy.type) "Recreate") -}}
{{- fail "strategy.type is not Recreate, and leaderElection.enabled is false, so that an update runs two pods that change the same objects. Remove strategy, or set leaderElection.enabled to true." -}}
{{- else -}}
type: Recreate
rollingUpdate: null
{{- end -}}
{{- end -}}

{{/* The nodes that may run the pods of the chart. */}}
{{- define "mqttbridge.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "mqttbridge.topologySpreadConstraints" -}}
{{- $selector := dict "matchLabels" (include "mqttbridge.selectorLabels" . | fromYaml) -}}
{{- $constraints := list -}}
{{- range .Values.topologySpreadConstraints -}}
{{- if hasKey . "labelSelector" -}}
{{- $constraints = append $constraints . -}}
{{- else -}}
{{- $constraints = append $constraints (merge (dict "labelSelector" $selector) .) -}}
{{- end -}}
{{- end -}}
{{- with $constraints -}}
topologySpreadConstraints:
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/*
Fields of the pod's spec that have no value of their own in the chart. A field that the chart sets
would otherwise be in the manifest twice.
*/}}
{{- define "mqttbridge.podSpecExtra" -}}
{{- $own := list "affinity" "containers" "imagePullSecrets" "nodeSelector" "priorityClassName" "restartPolicy" "securityContext" "serviceAccountName" "terminationGracePeriodSeconds" "tolerations" "topologySpreadConstraints" -}}
{{- range $field := keys (default dict .Values.podSpecExtra) | sortAlpha -}}
{{- if has $field $own -}}
{{- fail (printf "podSpecExtra.%s: the chart sets this field itself. Remove it from podSpecExtra, and use the other values of the chart, such as tolerations or serviceAccount.name." $field) -}}
{{- end -}}
{{- end -}}
{{- with .Values.podSpecExtra -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}
