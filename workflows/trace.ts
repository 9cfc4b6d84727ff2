/**
 * Which trace and which correlation id a saga belongs to: its start says so, and each activity is told. Nothing of a tracer is in here:
 * spans are made outside, by whoever traces. What only the saga knows, that it is parked and that it ends, it says by a sink, which is
 * not called again by a replay and writes no history.
 */
import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import { proxySinks, type WorkflowInterceptors, workflowInfo } from '@temporalio/workflow';
import { type Correlated, CORRELATION_HEADER, TRACE_HEADER, type TraceHeader } from '../contracts/ids.js';
import type { OrderSagaInput, OrderSagaResult, TraceSinks } from '../contracts/saga.js';
import type { Failure } from './failures.js';
import { logFact } from './log.js';
import type { Saga } from './saga.js';

/** Loaded by the SDK for each saga (local/setup/bundle). */
export const interceptors = (): WorkflowInterceptors => {
  let trace: Headers = {};
  let correlationId: string | undefined;
  const carrying = <I extends { headers: Headers }>(input: I, given: Headers): I => ({
    ...input,
    headers: { ...input.headers, ...given },
  });
  return {
    inbound: [
      {
        execute: (input, next) => {
          correlationId = readCorrelationId();
          logOperator();
          const [saga] = input.args as [OrderSagaInput?];
          const traceparent = readHeader(input.headers) ?? saga?.traceparent;
          if (traceparent === undefined) return next(input);
          trace = headerOf(traceparent);
          return next({ ...input, args: [{ ...saga, traceparent }] });
        },
      },
    ],
    outbound: [
      {
        // Its headers stand in the history in clear, whatever codec there is: what a client has chosen goes with what it takes.
        scheduleActivity: (input, next) =>
          next(carrying({ ...input, args: withCorrelationId(input.args, correlationId) }, trace)),
        // Nothing that it takes stands in the history.
        scheduleLocalActivity: (input, next) =>
          next(carrying(input, { ...trace, ...correlationHeader(correlationId) })),
      },
    ],
  };
};

/** Of another client's header, whatever it is, no more than a trace context is taken over. */
function readHeader(headers: Headers): string | undefined {
  try {
    const payload = headers[TRACE_HEADER];
    const said = payload && defaultPayloadConverter.fromPayload<TraceHeader | null>(payload)?.traceparent;
    return typeof said === 'string' && said.length <= LENGTH_MAX ? said : undefined;
  } catch {
    return undefined;
  }
}
const LENGTH_MAX = 55;

const headerOf = (traceparent: string): Headers => ({
  [TRACE_HEADER]: defaultPayloadConverter.toPayload({ traceparent } satisfies TraceHeader),
});

/** @returns undefined for a saga that was started by hand: it has none */
function readCorrelationId(): string | undefined {
  const correlationId = workflowInfo().memo?.['correlationId'];
  return typeof correlationId === 'string' ? correlationId : undefined;
}

const correlationHeader = (correlationId: string | undefined): Headers =>
  correlationId === undefined ? {} : { [CORRELATION_HEADER]: defaultPayloadConverter.toPayload(correlationId) };

function withCorrelationId([input, ...others]: unknown[], correlationId: string | undefined): unknown[] {
  if (correlationId === undefined || typeof input !== 'object' || input === null) return [input, ...others];
  return [{ ...input, correlationId } satisfies Correlated, ...others];
}

/** One that was ended from outside, or a cancellation: begun by hand, by an operator whose program writes no log. */
function logOperator(): void {
  const actor = workflowInfo().memo?.['startedBy'];
  if (typeof actor === 'string') logFact({ fact: 'started by an operator', actor });
}

const isRecorded = ({ input }: Saga): boolean => input.traceparent?.endsWith('1') === true;

/** Shows the wait in the trace while it lasts. */
export function traceParking(saga: Saga, step: string, { type }: Failure, attempts: number): void {
  if (!isRecorded(saga)) return;
  const until = new Date(saga.deadline.atMs).toISOString();
  proxySinks<TraceSinks>().traces.parked(saga.input.traceparent ?? '', { step, failure: type, attempts, until });
}

export function traceEnd(saga: Saga, { status }: OrderSagaResult): void {
  if (isRecorded(saga)) proxySinks<TraceSinks>().traces.ended(saga.input.traceparent ?? '', { status });
}
