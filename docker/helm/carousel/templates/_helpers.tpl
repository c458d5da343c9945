{{- define "carousel.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "carousel.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "carousel.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "carousel.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "carousel.selectorLabels" -}}
app.kubernetes.io/name: {{ include "carousel.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "carousel.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "carousel.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "carousel.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "carousel.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "carousel.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The probes' common part: the path and the named port. */}}
{{- define "carousel.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
{{ toYaml .values }}
{{- end }}

{{/* The folder that the source of models is mounted on. */}}
{{- define "carousel.mountPath" -}}
{{- if eq .Values.models.source "configMap" -}}
/models/{{ required "models.configMap.model is the name of the model" .Values.models.configMap.model }}
{{- else -}}
/models
{{- end -}}
{{- end }}

{{- define "carousel.volume" -}}
name: models
{{- with .Values.models }}
{{- if eq .source "image" }}
image:
  reference: {{ required "models.image.reference names the image with the bundles" .image.reference }}
  pullPolicy: {{ .image.pullPolicy }}
{{- else if eq .source "persistentVolumeClaim" }}
persistentVolumeClaim:
  claimName: {{ required "models.persistentVolumeClaim.claimName names the claim" .persistentVolumeClaim.claimName }}
  readOnly: true
{{- else if eq .source "configMap" }}
configMap:
  name: {{ required "models.configMap.name names the ConfigMap" .configMap.name }}
{{- else }}
emptyDir:
  sizeLimit: {{ .init.size }}
{{- end }}
{{- end }}
{{- end }}
