{{- define "gatefort.name" -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "gatefort.selector" -}}
app.kubernetes.io/name: gatefort
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gatefort.labels" -}}
{{ include "gatefort.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "gatefort.configMap" -}}
{{- .Values.existingConfigMap | default (include "gatefort.name" .) -}}
{{- end -}}
