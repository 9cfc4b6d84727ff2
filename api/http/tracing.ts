/**
 * Requests as spans. A client's `traceparent` is gone on with, but whether the trace is recorded is ours to decide (runtime/tracing/sampler);
 * its `tracestate` and `baggage`, which may be any text, are not read. Installed only where this process traces.
 */
import type { FastifyRequest } from 'fastify';
import type { Api, ApiDependencies } from '../dependencies.js';
import { readTraceOf } from '../../domain/orders.js';
import { readTraceparent, samplesStranger, type Span, startSpan, within } from '../../runtime/tracing/spans.js';
import { parseTraceparent } from './headers.js';

/** Asked every few seconds by machines, or not about orders. */
const UNTRACED = /^\/(docs|livez|readyz|healthz|health|openapi)/;

const spans = new WeakMap<FastifyRequest, Span>();

export function traceRequests(app: Api, { db }: Pick<ApiDependencies, 'db'>): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const route = request.routeOptions.url ?? '';
    if (!request.is404 && !UNTRACED.test(route)) {
      const span = startSpan(`${request.method} ${templateOf(route)}`, {
        kind: 'server',
        parent: parentOf(request),
        attributes: {
          'http.request.method': request.method,
          'http.route': templateOf(route),
          correlationId: request.id,
        },
      });
      if (span) spans.set(request, span);
    }
    done();
  });
  // Here, not where the request begins: what reads the body calls back from elsewhere.
  app.addHook('preValidation', (request, _reply, done) => {
    const span = spans.get(request);
    if (span) within(span, done);
    else done();
  });
  // Whatever is done to an order by hand is linked to the order's own trace.
  app.addHook('preHandler', async (request) => {
    const span = spans.get(request);
    const { id } = (request.params ?? {}) as { id?: unknown };
    if (!span?.isSampled || request.method === 'GET' || typeof id !== 'string' || !UUID.test(id)) return;
    const traceparent = await readTraceOf(db, id).catch(() => null);
    if (traceparent !== null) span.link(traceparent);
  });
  app.addHook('onResponse', (request, reply, done) => {
    const span = spans.get(request);
    span?.set({ 'http.response.status_code': reply.statusCode });
    if (reply.statusCode >= 500) span?.fail(`${reply.statusCode}`);
    span?.end();
    done();
  });
}

/** @returns the request's trace, if it is recorded; also after its end */
export function recordedTraceOf(request: FastifyRequest): string | undefined {
  const span = spans.get(request);
  return span?.isSampled ? span.traceId : undefined;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The client's context, with our own word on whether it is recorded. */
function parentOf({ headers }: FastifyRequest): string | null {
  const read = readTraceparent(parseTraceparent(headers['traceparent']));
  return read ? `00-${read.traceId}-${read.spanId}-0${samplesStranger(read.flags === 1) ? 1 : 0}` : null;
}

const templateOf = (url: string): string => url.replace(/:(\w+)/g, '{$1}');
