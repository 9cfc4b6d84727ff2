{{/*
Which variables each role is given, and by which files. Secrets are only ever files: VARIABLE_FILE names one, of which the content is VARIABLE's value.
*/}}

{{/* Role → secret variables that are always in the Secret. */}}
{{- define "order-saga.secretsAlways" -}}
api: [DATABASE_URL, AUDIT_KEY]
worker: [DATABASE_URL, AUDIT_KEY, STRIPE_API_KEY]
relay: [DATABASE_URL, AUDIT_KEY]
doctor: [DATABASE_URL, AUDIT_KEY, STRIPE_API_KEY]
migrate: [DATABASE_URL]
{{- end -}}

{{/* Role → secret variables of which `secrets.optional` says whether they are there. */}}
{{- define "order-saga.secretsOptional" -}}
api: [STRIPE_WEBHOOK_SECRET, ERASURE_JOURNAL, ERASURE_SIGNING_KEY, REDIS_URL, TEMPORAL_API_KEY, VAULT_TOKEN, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TRACES_HEADERS]
worker: [TEMPORAL_API_KEY, ERASURE_JOURNAL, ERASURE_SIGNING_KEY, VAULT_TOKEN, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TRACES_HEADERS]
relay: [TEMPORAL_API_KEY, ERASURE_JOURNAL, VAULT_TOKEN, WEBHOOK_URL, WEBHOOK_SECRET, KAFKA_PASSWORD, NATS_URL, NATS_CREDENTIALS, RABBITMQ_URL, AUDIT_ANCHOR_URL, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TRACES_HEADERS]
doctor: [TEMPORAL_API_KEY, ERASURE_JOURNAL, VAULT_TOKEN]
migrate: []
{{- end -}}

{{/* @param root, role, controlled (the Temporal Worker Controller says how Temporal is reached) @returns the role's secret variables, as JSON */}}
{{- define "order-saga.secretsOf" -}}
{{- $names := get (include "order-saga.secretsAlways" . | fromYaml) .role -}}
{{- $optional := .root.Values.secrets.optional -}}
{{- $controlled := default false .controlled -}}
{{- range get (include "order-saga.secretsOptional" . | fromYaml) .role -}}
{{- if and (has . $optional) (not (and $controlled (eq . "TEMPORAL_API_KEY"))) -}}{{- $names = append $names . -}}{{- end -}}
{{- end -}}
{{- $names | toJson -}}
{{- end -}}

{{/* @param root, role, extra (variables of this one workload), controlled */}}
{{- define "order-saga.env" -}}
{{- $v := .root.Values -}}
{{- $env := dict -}}
{{- $talks := ne .role "migrate" -}}
{{- $serves := has .role (list "api" "worker" "relay") -}}
{{- if $talks -}}
{{- $env = merge (dict) (default dict (get (get $v .role | default dict) "config")) $v.config -}}
{{- end -}}
{{- if eq .role "doctor" -}}{{- $env = merge (dict) $v.worker.config $v.config -}}{{- end -}}
{{- if $v.allowPlaintext -}}{{- $_ := set $env "ALLOW_PLAINTEXT" (join "," $v.allowPlaintext) -}}{{- end -}}
{{- if $v.extraCa.configMap -}}{{- $_ := set $env "NODE_EXTRA_CA_CERTS" (printf "/etc/order-saga/extra-ca/%s" $v.extraCa.key) -}}{{- end -}}
{{- if $serves -}}
{{- $role := get $v .role -}}
{{- $_ := set $env "ROLE" .role -}}
{{- $_ := set $env "METRICS_HOST" $v.metrics.host -}}
{{- $_ := set $env "METRICS_PORT" (toString $v.metrics.port) -}}
{{- $_ := set $env "NODE_OPTIONS" (printf "--max-old-space-size=%d" (int $role.heapMiB)) -}}
{{- end -}}
{{- if and $talks (not .controlled) -}}
{{- $_ := set $env "TEMPORAL_ADDRESS" $v.temporal.address -}}
{{- $_ := set $env "TEMPORAL_NAMESPACE" $v.temporal.namespace -}}
{{- with $v.temporal.tls -}}
{{- if .enabled -}}
{{- $_ := set $env "TEMPORAL_TLS" "true" -}}
{{- if .serverName -}}{{- $_ := set $env "TEMPORAL_TLS_SERVER_NAME" .serverName -}}{{- end -}}
{{- if .serverCa -}}{{- $_ := set $env "TEMPORAL_TLS_SERVER_CA_CERT_PATH" "/etc/order-saga/temporal/ca.crt" -}}{{- end -}}
{{- if .clientCertificate -}}
{{- $_ := set $env "TEMPORAL_TLS_CLIENT_CERT_PATH" "/etc/order-saga/temporal/tls.crt" -}}
{{- $_ := set $env "TEMPORAL_TLS_CLIENT_KEY_PATH" "/etc/order-saga/temporal/tls.key" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq .role "api" -}}
{{- $_ := set $env "HOST" $v.metrics.host -}}
{{- $_ := set $env "PORT" "3000" -}}
{{- $_ := set $env "AUTH_ISSUER" $v.auth.issuer -}}
{{- $_ := set $env "AUTH_AUDIENCE" $v.auth.audience -}}
{{- end -}}
{{- if and (eq .role "relay") $v.auditAnchor.volume.enabled -}}{{- $_ := set $env "AUDIT_ANCHOR_FILE" "/data/audit-anchor" -}}{{- end -}}
{{- if $talks -}}
{{- $stores := $v.keyEncryption.stores -}}
{{- if $v.keyEncryption.fileSecret.name -}}{{- $stores = append $stores (printf "file:/etc/order-saga/keys/%s" $v.keyEncryption.fileSecret.key) -}}{{- end -}}
{{- $_ := set $env "KEY_ENCRYPTION" (join "," $stores | default "off") -}}
{{- end -}}
{{- if and (eq .role "doctor") $v.metrics.prometheusUrl -}}{{- $_ := set $env "PROMETHEUS_URL" $v.metrics.prometheusUrl -}}{{- end -}}
{{- $_ := set $env "HOME" "/tmp" -}}
{{- range include "order-saga.secretsOf" . | fromJsonArray -}}
{{- $_ := set $env (printf "%s_FILE" .) (printf "/etc/order-saga/secrets/%s" .) -}}
{{- end -}}
{{- range $name, $value := default dict .extra -}}{{- $_ := set $env $name $value -}}{{- end -}}
{{- range $name := keys $env | sortAlpha }}
- name: {{ $name }}
  value: {{ get $env $name | toString | quote }}
{{- end -}}
{{- end -}}

{{/* @param root, role */}}
{{- define "order-saga.volumeMounts" -}}
{{- $v := .root.Values -}}
- { name: tmp, mountPath: /tmp }
- { name: secrets, mountPath: /etc/order-saga/secrets, readOnly: true }
{{- if $v.postgres.ca.configMap }}
- { name: postgres-ca, mountPath: /etc/order-saga/postgres, readOnly: true }
{{- end }}
{{- if $v.extraCa.configMap }}
- { name: extra-ca, mountPath: /etc/order-saga/extra-ca, readOnly: true }
{{- end }}
{{- if and (ne .role "migrate") (not .controlled) $v.temporal.tls.enabled $v.temporal.tls.secretName }}
- { name: temporal-tls, mountPath: /etc/order-saga/temporal, readOnly: true }
{{- end }}
{{- if and (ne .role "migrate") $v.keyEncryption.fileSecret.name }}
- { name: keys, mountPath: /etc/order-saga/keys, readOnly: true }
{{- end }}
{{- if and (eq .role "relay") $v.auditAnchor.volume.enabled }}
- { name: audit, mountPath: /data }
{{- end }}
{{- end -}}

{{/* @param root, role. Files are readable by the group of the pod (fsGroup), which is ours. */}}
{{- define "order-saga.volumes" -}}
{{- $v := .root.Values -}}
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
- name: secrets
  secret:
    secretName: {{ ternary $v.secrets.ownerName $v.secrets.name (eq .role "migrate") }}
    defaultMode: 0440
    items:
    {{- range include "order-saga.secretsOf" . | fromJsonArray }}
      - { key: {{ . }}, path: {{ . }} }
    {{- end }}
{{- if $v.postgres.ca.configMap }}
- name: postgres-ca
  configMap:
    name: {{ $v.postgres.ca.configMap }}
    items:
      - { key: {{ $v.postgres.ca.key | quote }}, path: ca.crt }
{{- end }}
{{- if $v.extraCa.configMap }}
- name: extra-ca
  configMap:
    name: {{ $v.extraCa.configMap }}
    items:
      - { key: {{ $v.extraCa.key | quote }}, path: {{ $v.extraCa.key | quote }} }
{{- end }}
{{- if and (ne .role "migrate") (not .controlled) $v.temporal.tls.enabled $v.temporal.tls.secretName }}
- name: temporal-tls
  secret:
    secretName: {{ $v.temporal.tls.secretName }}
    defaultMode: 0440
    items:
    {{- if $v.temporal.tls.serverCa }}
      - { key: ca.crt, path: ca.crt }
    {{- end }}
    {{- if $v.temporal.tls.clientCertificate }}
      - { key: tls.crt, path: tls.crt }
      - { key: tls.key, path: tls.key }
    {{- end }}
{{- end }}
{{- if and (ne .role "migrate") $v.keyEncryption.fileSecret.name }}
- name: keys
  secret:
    secretName: {{ $v.keyEncryption.fileSecret.name }}
    defaultMode: 0440
    items:
      - { key: {{ $v.keyEncryption.fileSecret.key | quote }}, path: {{ $v.keyEncryption.fileSecret.key | quote }} }
{{- end }}
{{- if and (eq .role "relay") $v.auditAnchor.volume.enabled }}
- name: audit
  persistentVolumeClaim:
    claimName: {{ default (printf "%s-audit" (include "order-saga.fullname" .root)) $v.auditAnchor.volume.existingClaim }}
{{- end }}
{{- end -}}
