/**
 * Traces, where OpenTelemetry is asked for (OTEL_EXPORTER_OTLP_ENDPOINT): what a consumer does with an event is a trace of its own, which
 * links the transaction that the event was written by. Without that, nothing of it is loaded.
 */
import { traceOf } from './log.mjs';

const isAsked = process.env.OTEL_EXPORTER_OTLP_ENDPOINT && process.env.OTEL_SDK_DISABLED !== 'true';
const tracer = isAsked ? await openTracer() : undefined;

/** Has the event's effect, by `work`, as a span. */
export async function processed(event, work) {
  if (!tracer) return work(event);
  const { api, of } = tracer;
  const { traceId, spanId, flags } = traceOf(event.traceparent);
  const links = traceId ? [{ context: { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1 } }] : [];
  const attributes = { 'messaging.operation.type': 'process', 'messaging.message.id': event.id };
  const span = of.startSpan(`process ${event.type}`, { kind: api.SpanKind.CONSUMER, links, attributes, root: true });
  try {
    return await work(event);
  } catch (err) {
    span.setStatus({ code: api.SpanStatusCode.ERROR });
    throw err;
  } finally {
    span.end();
  }
}

async function openTracer() {
  const api = await import('@opentelemetry/api');
  const { BasicTracerProvider, BatchSpanProcessor } = await import('@opentelemetry/sdk-trace-base');
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  const { resourceFromAttributes } = await import('@opentelemetry/resources');
  const resource = resourceFromAttributes({
    'service.name': process.env.OTEL_SERVICE_NAME ?? 'example-consumer',
    'service.instance.id': `${process.pid}-${Date.now()}`,
  });
  const spanProcessors = [new BatchSpanProcessor(new OTLPTraceExporter())];
  return { api, of: new BasicTracerProvider({ resource, spanProcessors }).getTracer('example-consumer') };
}
