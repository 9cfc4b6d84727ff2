{{/* Who asks whom, as in ARCHITECTURE.md. An edge that nothing in the values asks for is not there. @param root, role @returns names of networkPolicy's edges, as JSON */}}
{{- define "order-saga.edgesOf" -}}
{{- $v := .root.Values -}}
{{- $optional := $v.secrets.optional -}}
{{- $of := dict "api" (list "postgres" "temporal" "issuer") "worker" (list "postgres" "temporal" "gateway") "relay" (list "postgres" "temporal") "migrate" (list "postgres") "doctor" (list "postgres" "temporal" "gateway") -}}
{{- $edges := get $of .role -}}
{{- $config := merge (dict) (default dict (get (get $v .role | default dict) "config")) $v.config -}}
{{- if and (eq .role "api") (has "REDIS_URL" $optional) -}}{{- $edges = append $edges "redis" -}}{{- end -}}
{{- if eq .role "relay" -}}
{{- if or $config.WEBHOOK_URL $config.KAFKA_BROKERS (has "WEBHOOK_URL" $optional) (has "NATS_URL" $optional) (has "RABBITMQ_URL" $optional) -}}{{- $edges = append $edges "destinations" -}}{{- end -}}
{{- if or $config.AUDIT_ANCHOR_URL (has "AUDIT_ANCHOR_URL" $optional) -}}{{- $edges = append $edges "anchor" -}}{{- end -}}
{{- end -}}
{{- if and (has .role (list "api" "worker" "relay")) (or $config.OTEL_EXPORTER_OTLP_ENDPOINT $config.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) -}}{{- $edges = append $edges "collector" -}}{{- end -}}
{{- if and (ne .role "migrate") $v.keyEncryption.stores -}}{{- $edges = append $edges "keyStore" -}}{{- end -}}
{{- if and (ne .role "migrate") (or $config.ERASURE_JOURNAL (has "ERASURE_JOURNAL" $optional)) -}}{{- $edges = append $edges "erasureJournal" -}}{{- end -}}
{{- if and (eq .role "doctor") $v.metrics.prometheusUrl -}}{{- $edges = append $edges "prometheus" -}}{{- end -}}
{{- $edges | toJson -}}
{{- end -}}

{{/* @param root, role */}}
{{- define "order-saga.egress" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- with $policy.dns }}
- {{ with .to }}to: {{ toJson . }}
  {{ end }}ports:
  {{- range .ports }}
    - { port: {{ . }}, protocol: UDP }
    - { port: {{ . }}, protocol: TCP }
  {{- end }}
{{- end }}
{{- range include "order-saga.edgesOf" . | fromJsonArray }}
# {{ . }}
{{- with get $policy . }}
- {{ with .to }}to: {{ toJson . }}
  {{ end }}ports:
  {{- range .ports }}
    - { port: {{ . }}, protocol: TCP }
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}
