{{/*
A saga that is pinned to a build waits for ever once that build has no worker. So no build leaves the values while its workers run, unless somebody says
that it has drained. What runs is asked of the cluster: `helm template` and tools that render by it ask nobody, and are not warned.
*/}}
{{- define "order-saga.refuseLostBuilds" -}}
{{- $kept := .Values.worker.drained -}}
{{- range .Values.worker.builds -}}{{- $kept = append $kept .id -}}{{- end -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items -}}
{{- $labels := default dict .metadata.labels -}}
{{- $build := get $labels "order-saga/build" -}}
{{- $ours := eq (get $labels "app.kubernetes.io/instance") $.Release.Name -}}
{{- if and $build $ours (not (has $build $kept)) (gt (int .spec.replicas) 0) -}}
{{- fail (printf "worker.builds lacks %q, whose workers still run (%s): sagas that began on it would wait for ever. Keep it there with `draining: true`; once `temporal worker deployment describe-version` calls it Drained, name it in worker.drained instead." $build .metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
