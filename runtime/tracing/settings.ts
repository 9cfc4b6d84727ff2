/** Of the settings (runtime/settings) those that traces take. The exporter reads its own variables by itself. */
export type TracingSettings = {
  ROLE: string;
  OTEL_SDK_DISABLED: boolean;
  OTEL_TRACES_EXPORTER: string | undefined;
  OTEL_EXPORTER_OTLP_ENDPOINT: string | undefined;
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: string | undefined;
  OTEL_EXPORTER_OTLP_PROTOCOL: string | undefined;
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: string | undefined;
  OTEL_SERVICE_NAME: string | undefined;
  OTEL_TRACES_SAMPLER: string;
  OTEL_TRACES_SAMPLER_ARG: string | undefined;
};

/** A logger, or the terminal of whoever runs the CLI. */
export type Teller = Record<'warn' | 'info', { (message: string): void; (about: object, message: string): void }>;
