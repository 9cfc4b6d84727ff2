{{/* By what is scarce; the larger of what the metrics ask for counts. A worker that goes has its sagas' state rebuilt elsewhere, so down is slow. */}}
{{- define "order-saga.workerScaling" -}}
{{- with .Values.worker.autoscaling -}}
minReplicas: {{ .minReplicas }}
maxReplicas: {{ .maxReplicas }}
metrics:
  - type: Pods
    pods:
      metric: { name: {{ .slotsMetric }} }
      target: { type: AverageValue, averageValue: {{ .slotsTarget | quote }} }
  {{- if .backlogMetric }}
  - type: External
    external:
      metric:
        name: {{ .backlogMetric }}
        {{- with .backlogLabels }}
        selector: { matchLabels: {{ toJson . }} }
        {{- end }}
      target: { type: AverageValue, averageValue: {{ .backlogPerWorker | quote }} }
  {{- end }}
behavior:
  scaleUp:
    policies:
      - { type: Percent, value: 100, periodSeconds: 30 }
      - { type: Pods, value: 2, periodSeconds: 30 }
  scaleDown:
    stabilizationWindowSeconds: {{ .scaleDownWindowSeconds }}
    policies:
      - { type: Pods, value: 1, periodSeconds: 60 }
{{- end -}}
{{- end -}}

{{/*
How many a Deployment has that an autoscaler looks after: as many as it has just now. Were nothing said, Helm would take the number away that stood there
before, which means 1. Where the cluster cannot be asked (`helm template`), nothing is said. @param root, name
*/}}
{{- define "order-saga.scaledReplicas" -}}
{{- with (lookup "apps/v1" "Deployment" .root.Release.Namespace .name).spec -}}
replicas: {{ .replicas }}
{{- end -}}
{{- end -}}
