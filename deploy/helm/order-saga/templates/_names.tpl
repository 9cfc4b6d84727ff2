{{- define "order-saga.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "order-saga.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* @param root, role */}}
{{- define "order-saga.labels" -}}
{{ include "order-saga.selector" .root }}
app.kubernetes.io/component: {{ .role }}
app.kubernetes.io/part-of: order-saga
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* @param root, image (repository, tag, digest), over (what a build sets instead, or nothing) */}}
{{- define "order-saga.image" -}}
{{- $over := default dict .over -}}
{{- $repository := default .image.repository $over.repository -}}
{{- $own := or $over.tag $over.digest -}}
{{- $digest := ternary $over.digest .image.digest (not (empty $own)) -}}
{{- if $digest -}}
{{ $repository }}@{{ $digest }}
{{- else -}}
{{ $repository }}:{{ coalesce $over.tag .image.tag .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* A build's id in a name: what may not stand there is replaced, and then the id's own hash keeps two ids apart. */}}
{{- define "order-saga.buildName" -}}
{{- $safe := regexReplaceAll "[^a-z0-9-]+" (lower .) "-" | trimAll "-" | trunc 14 | trimSuffix "-" -}}
{{- if eq $safe . -}}{{ $safe }}{{- else -}}{{ printf "%s-%s" $safe (sha256sum . | trunc 6) }}{{- end -}}
{{- end -}}

{{/* What a worker's Deployments are made from: [{name, id, replicas, image, draining}] as JSON. Without `builds` there is one, without an id. */}}
{{- define "order-saga.workers" -}}
{{- $v := .Values.worker -}}
{{- $name := printf "%s-worker" (include "order-saga.fullname" .) -}}
{{- $all := list -}}
{{- if not $v.controller.enabled -}}
{{- range $v.builds -}}
{{- $replicas := ternary $v.drainingReplicas $v.replicas (default false .draining) -}}
{{- $all = append $all (dict "name" (printf "%s-%s" $name (include "order-saga.buildName" .id)) "id" .id "draining" (default false .draining) "image" (default dict .image) "replicas" (default $replicas .replicas)) -}}
{{- end -}}
{{- if not $v.builds -}}
{{- $all = append $all (dict "name" $name "id" "" "draining" false "image" dict "replicas" $v.replicas) -}}
{{- end -}}
{{- end -}}
{{- $all | toJson -}}
{{- end -}}
