/**
 * Which trace the work at hand belongs to, and the spans that it leaves. Nothing of OpenTelemetry is loaded by this file; as long as no
 * tracer is installed (runtime/tracing/opened), a span costs one comparison. A W3C `traceparent` is how a trace travels: in a header, in
 * the order's row, in each event.
 */
import type { AsyncLocalStorage } from 'node:async_hooks';

export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';
/** Ids, names and numbers of ours; never what a person has written, nor a statement's values. */
export type Attributes = Record<string, string | number | boolean>;

export type SpanOptions = {
  kind?: SpanKind;
  /** undefined = the work at hand, if any; null = none, or what is in `traceId` */
  parent?: string | null | undefined;
  /** Of a span without a parent: the trace that it is to belong to. */
  traceId?: string;
  /** Of a span without a parent: recorded, whatever the sampler says of its trace. */
  isRecorded?: true;
  links?: readonly string[];
  attributes?: Attributes;
  /** Milliseconds since the epoch; undefined = now. */
  startedAtMs?: number;
};

export type Span = {
  readonly traceparent: string;
  readonly traceId: string;
  readonly isSampled: boolean;
  readonly isOpen: boolean;
  set(attributes: Attributes): void;
  /** @param type an error's type, never its message, which may be others' words */
  fail(type: string): void;
  link(traceparent: string): void;
  end(): void;
};

export type Tracer = {
  start(name: string, options: SpanOptions, within: Span | undefined): Span;
  /** Whether a trace that a stranger began is to be recorded, who asks for it or not. */
  samplesStranger(isAsked: boolean): boolean;
};

let installed: { tracer: Tracer; ambient: AsyncLocalStorage<Span> } | undefined;

export function installTracer(tracer: Tracer, ambient: AsyncLocalStorage<Span>): void {
  installed = { tracer, ambient };
}

/** Whether this process traces. */
export const isTracing = (): boolean => installed !== undefined;

/**
 * The span of the work at hand. One that has ended counts no more: a loop that a request happened to start would else belong to that
 * request for ever.
 */
export function activeSpan(): Span | undefined {
  const span = installed?.ambient.getStore();
  return span?.isOpen ? span : undefined;
}

/** For log lines. @returns undefined while nothing is traced */
export const activeTraceId = (): string | undefined => (installed === undefined ? undefined : activeSpan()?.traceId);
/** For what is written now, so that whoever reads it finds the way back. */
export const activeTraceparent = (): string | undefined =>
  installed === undefined ? undefined : activeSpan()?.traceparent;
/** Of a metric's exemplar: only a trace that is recorded can be looked at. */
export function exemplarTraceId(): string | undefined {
  const span = installed === undefined ? undefined : activeSpan();
  return span?.isSampled ? span.traceId : undefined;
}

/** @returns undefined while this process does not trace; else the span, which the caller ends */
export const startSpan = (name: string, options: SpanOptions = {}): Span | undefined =>
  installed?.tracer.start(name, options, options.parent === undefined ? activeSpan() : undefined);

/** Whatever `work` does belongs to the span. */
export const within = <T>(span: Span, work: () => T): T => (installed ? installed.ambient.run(span, work) : work());

/** A span around the work; it fails with it. */
export async function traced<T>(
  name: string,
  options: SpanOptions,
  work: (span: Span | undefined) => Promise<T>,
): Promise<T> {
  const span = startSpan(name, options);
  if (!span) return work(undefined);
  return await ended(span, () => within(span, () => work(span)));
}

/** The same, of work that is traced as a part of something only. */
export const tracedWithin = <T>(
  name: string,
  options: SpanOptions,
  work: (span: Span | undefined) => Promise<T>,
): Promise<T> => (activeSpan()?.isSampled ? traced(name, options, work) : work(undefined));

async function ended<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (err) {
    span.fail(errorType(err));
    throw err;
  } finally {
    span.end();
  }
}

/** A failure's type, a code, or an error's name. */
export function errorType(err: unknown): string {
  const { type, code, name } = (err ?? {}) as { type?: unknown; code?: unknown; name?: unknown };
  return `${[type, code, name].find((word) => typeof word === 'string' && word !== '') ?? 'Error'}`.slice(0, 100);
}

/** Whether a trace sampler of a stranger's request is asked. */
export const samplesStranger = (isAsked: boolean): boolean => installed?.tracer.samplesStranger(isAsked) ?? false;

/** @returns the ids of a `traceparent`; undefined if it is none, so that nothing else is ever taken over */
export function readTraceparent(
  text: string | null | undefined,
): { traceId: string; spanId: string; flags: number } | undefined {
  const match = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text ?? '');
  const [, traceId = '', spanId = '', flags = '00'] = match ?? [];
  return match ? { traceId, spanId, flags: Number.parseInt(flags, 16) & 1 } : undefined;
}

/** Whether somebody records the trace. */
export const isSampled = (traceparent: string | null | undefined): boolean => readTraceparent(traceparent)?.flags === 1;
