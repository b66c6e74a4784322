{{- define "onrush.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "onrush.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "onrush.labels" -}}
{{ include "onrush.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The name of all nodes, ready or not. */}}
{{- define "onrush.nodes" -}}
{{ include "onrush.name" . }}-nodes
{{- end -}}

{{- define "onrush.secret" -}}
{{- required "existingSecret is needed: kubectl create secret generic onrush --from-file=secret --from-file=token, with a secret of `onrush secret new` and a token of 16 or more characters" .Values.existingSecret -}}
{{- end -}}
