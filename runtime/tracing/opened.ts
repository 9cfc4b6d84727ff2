/** Whether OpenTelemetry is asked for, by its own standard variables; only then is anything of it loaded. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Teller, TracingSettings } from './settings.js';
import { installTracer, type Span } from './spans.js';

/** What is left of a shutdown must not wait longer for a collector that does not answer. */
const FLUSH_LIMIT_MS = 2_000;

/** @returns how what is collected is sent off at the end; does not wait longer than 2 s */
export async function openTracing(settings: TracingSettings, logger: Teller): Promise<() => Promise<void>> {
  if (!isAsked(settings, logger)) return async () => undefined;
  const { createTracer } = await import('./open-telemetry.js');
  const { tracer, flush } = createTracer(settings, logger);
  installTracer(tracer, new AsyncLocalStorage<Span>());
  return async () => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FLUSH_LIMIT_MS);
    });
    await Promise.race([flush().catch(() => undefined), late]);
    clearTimeout(timer);
  };
}

function isAsked(settings: TracingSettings, logger: Teller): boolean {
  const { OTEL_TRACES_EXPORTER: exporters, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL } = settings;
  if (settings.OTEL_SDK_DISABLED) return false;
  const endpoint = settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? settings.OTEL_EXPORTER_OTLP_ENDPOINT;
  const names = exporters?.split(',').map((name) => name.trim()) ?? (endpoint === undefined ? [] : ['otlp']);
  const unknown = names.filter((name) => name !== 'otlp' && name !== 'none');
  if (unknown.length > 0)
    logger.warn('OTEL_TRACES_EXPORTER: only otlp and none are known here; the others are left out');
  if (!names.includes('otlp')) return false;
  const protocol = OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf';
  if (protocol !== 'http/protobuf')
    logger.warn('OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is spoken here, and is used (port 4318 as a rule)');
  return true;
}
