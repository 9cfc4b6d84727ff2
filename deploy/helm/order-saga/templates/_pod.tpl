{{/* What holds for every pod of ours: no rights, nothing to write to but /tmp, no token of the cluster's. Passes Pod Security `restricted`. @param root, role, tests */}}
{{- define "order-saga.podCommon" -}}
{{- $v := .root.Values -}}
serviceAccountName: {{ include "order-saga.fullname" .root }}-{{ .role }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  # A number that is no user of a node, nor of the image: nothing of ours asks for its name.
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with $v.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- end -}}

{{- define "order-saga.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
privileged: false
capabilities: { drop: [ALL] }
{{- end -}}

{{/*
A role's pod. @param root, role, id (of the build, for workers), over (image of that build), extra (variables), ports (more than that of metrics)
A pod is stopped in order within 15 s (runtime/shutdown); 20 s are granted, and before them what preStop sleeps.
*/}}
{{- define "order-saga.podTemplate" -}}
{{- $v := .root.Values -}}
{{- $role := get $v .role -}}
{{- $sleep := int (default 0 $role.preStopSeconds) -}}
metadata:
  labels:
    {{- include "order-saga.labels" . | nindent 4 }}
    {{- with .id }}
    order-saga/build: {{ . | quote }}
    {{- end }}
    {{- with $v.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $v.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "order-saga.podCommon" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ add 20 $sleep }}
  {{- if $v.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- $root := .root }}
    {{- $me := . }}
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $v.topologySpread.whenUnsatisfiable }}
      # Of one release: the old pods of a rollout would be counted otherwise.
      matchLabelKeys: [pod-template-hash]
      labelSelector:
        matchLabels:
          {{- include "order-saga.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $me.role }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .role }}
      image: {{ include "order-saga.image" (dict "root" .root "image" $v.image "over" .over) }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      securityContext:
        {{- include "order-saga.containerSecurity" . | nindent 8 }}
      env:
        {{- include "order-saga.env" . | nindent 8 }}
      ports:
        - { name: metrics, containerPort: {{ $v.metrics.port }} }
        {{- range $name, $port := default dict .ports }}
        - { name: {{ $name }}, containerPort: {{ $port }} }
        {{- end }}
      # All on the metrics port, which no stranger reaches. Alive = it answers; that asks no neighbour. Ready = this role can do its own work.
      startupProbe:
        httpGet: { path: /livez, port: metrics }
        periodSeconds: 2
        failureThreshold: 45
        timeoutSeconds: 3
      livenessProbe:
        httpGet: { path: /livez, port: metrics }
        periodSeconds: 10
        failureThreshold: 3
        timeoutSeconds: 5
      readinessProbe:
        httpGet: { path: /readyz, port: metrics }
        periodSeconds: 5
        failureThreshold: 2
        timeoutSeconds: 5
      {{- if $sleep }}
      lifecycle:
        preStop: { sleep: { seconds: {{ $sleep }} } }
      {{- end }}
      resources:
        {{- toYaml $role.resources | nindent 8 }}
      volumeMounts:
        {{- include "order-saga.volumeMounts" . | nindent 8 }}
  volumes:
    {{- include "order-saga.volumes" . | nindent 4 }}
{{- end -}}

{{/* One more first, then one less: never fewer than there are to be. */}}
{{- define "order-saga.rollout" -}}
revisionHistoryLimit: 5
minReadySeconds: 5
progressDeadlineSeconds: 600
strategy:
  type: RollingUpdate
  rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }
{{- end -}}
