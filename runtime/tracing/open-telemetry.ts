/** Spans made by OpenTelemetry's SDK and sent as OTLP over http/protobuf. Loaded only where traces are asked for. */
import { randomUUID } from 'node:crypto';
import { type Context, ROOT_CONTEXT, type Span as SdkSpan, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, RandomIdGenerator } from '@opentelemetry/sdk-trace-base';
import { reportingExporter } from './reporting-exporter.js';
import { createSampler } from './sampler.js';
import { type Attributes, readTraceparent, type Span, type SpanOptions, type Tracer } from './spans.js';
import type { Teller, TracingSettings } from './settings.js';
import { wholeTreesFirst } from './whole-trees.js';

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};
/** A batch links each of its events (relay/deliveries). */
const LIMITS = { linkCountLimit: 512, attributeValueLengthLimit: 256, attributeCountLimit: 32 };

export function createTracer(
  settings: TracingSettings,
  logger: Teller,
): { tracer: Tracer; flush: () => Promise<void> } {
  const ids = new RandomIdGenerator();
  let nextTraceId: string | undefined;
  const sampler = createSampler(settings, logger);
  const provider = new BasicTracerProvider({
    sampler: sampler.sampler,
    spanLimits: LIMITS,
    resource: resourceFromAttributes({
      'service.name': settings.ROLE === 'all' ? 'order-saga' : `order-saga-${settings.ROLE}`,
      'service.instance.id': randomUUID(),
    }).merge(detectResources({ detectors: [envDetector] })),
    idGenerator: {
      generateTraceId: () => nextTraceId ?? ids.generateTraceId(),
      generateSpanId: () => ids.generateSpanId(),
    },
    spanProcessors: [wholeTreesFirst(new BatchSpanProcessor(reportingExporter(new OTLPTraceExporter(), logger)))],
  });
  const sdk = provider.getTracer('order-saga');
  const start = (name: string, options: SpanOptions, around: Span | undefined): Span => {
    const { kind = 'internal', attributes = {}, startedAtMs, traceId } = options;
    const links = (options.links ?? []).flatMap((link) => contextOf(link) ?? []).map((context) => ({ context }));
    nextTraceId = traceId;
    sampler.recordNext(options.isRecorded === true);
    const span = sdk.startSpan(
      name,
      { kind: KINDS[kind], attributes, links, ...(startedAtMs !== undefined && { startTime: startedAtMs }) },
      around instanceof OwnSpan ? trace.setSpan(ROOT_CONTEXT, around.sdk) : remote(options.parent),
    );
    nextTraceId = undefined;
    sampler.recordNext(false);
    return new OwnSpan(span);
  };
  return {
    tracer: { start, samplesStranger: sampler.samplesStranger },
    flush: () => provider.shutdown(),
  };
}

function contextOf(traceparent: string | null | undefined) {
  const read = readTraceparent(traceparent);
  return read && { traceId: read.traceId, spanId: read.spanId, traceFlags: read.flags, isRemote: true };
}

function remote(traceparent: string | null | undefined): Context {
  const context = contextOf(traceparent);
  return context ? trace.setSpanContext(ROOT_CONTEXT, context) : ROOT_CONTEXT;
}

class OwnSpan implements Span {
  readonly traceparent: string;
  readonly traceId: string;
  readonly isSampled: boolean;
  isOpen = true;

  constructor(readonly sdk: SdkSpan) {
    const { traceId, spanId, traceFlags } = sdk.spanContext();
    this.traceId = traceId;
    this.isSampled = (traceFlags & 1) === 1;
    this.traceparent = `00-${traceId}-${spanId}-0${traceFlags & 1}`;
  }

  set(attributes: Attributes): void {
    this.sdk.setAttributes(attributes);
  }

  fail(type: string): void {
    this.sdk.setAttribute('error.type', type);
    this.sdk.setStatus({ code: SpanStatusCode.ERROR });
  }

  link(traceparent: string): void {
    const context = contextOf(traceparent);
    if (context) this.sdk.addLink({ context });
  }

  end(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.sdk.end();
  }
}
