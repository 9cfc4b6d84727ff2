/** Sagas and their attempts as spans, made beside the sandbox: what a saga says of itself, and each attempt where it is carried out. */
import type { ActivityInboundCallsInterceptor, InjectedSinks } from '@temporalio/worker';
import { ApplicationFailure, defaultPayloadConverter, type Headers } from '@temporalio/common';
import type { Info } from '@temporalio/activity';
import { orderIdOf, TRACE_HEADER, type TraceHeader } from '../contracts/ids.js';
import { REFUSAL } from '../contracts/refusals.js';
import type { TraceSinks } from '../contracts/saga.js';
import type { StepInput } from '../contracts/steps.js';
import { errorType, type Span, startSpan, within } from '../runtime/tracing/spans.js';

/** Of an attempt whose worker dies there is no span; the next one's number tells that it was made. */
export function traceAttempts({
  activityType,
  workflowExecution,
  attempt,
  isLocal,
}: Info): ActivityInboundCallsInterceptor {
  const { workflowId = '', runId = '' } = workflowExecution ?? {};
  const orderId = orderIdOf(workflowId);
  return {
    execute: async (input, next) => {
      const [{ triedBefore = 0 } = {}] = input.args as [Partial<StepInput>?];
      const attributes = {
        'order_saga.order_id': orderId,
        'order_saga.step': activityType,
        'order_saga.attempt': triedBefore + attempt,
        'order_saga.first_try': isLocal,
        temporalWorkflowId: workflowId,
        temporalRunId: runId,
      };
      const trace = { parent: readHeader(input.headers) ?? null, traceId: orderId.replaceAll('-', '') };
      const span = startSpan(activityType, { ...trace, attributes });
      return span ? await attemptOf(span, () => next(input)) : await next(input);
    },
  };
}

async function attemptOf(span: Span, work: () => Promise<unknown>): Promise<unknown> {
  try {
    const result = await within(span, work);
    span.set({ 'order_saga.outcome': 'done' });
    return result;
  } catch (err) {
    if (err instanceof ApplicationFailure && err.type === REFUSAL) span.set({ 'order_saga.outcome': 'refused' });
    else span.fail(errorType(err));
    throw err;
  } finally {
    span.end();
  }
}

function readHeader(headers: Headers): string | undefined {
  const payload = headers[TRACE_HEADER];
  if (!payload) return undefined;
  try {
    return defaultPayloadConverter.fromPayload<TraceHeader>(payload).traceparent;
  } catch {
    return undefined; // another's
  }
}

/** Registered whether this process traces or not: sagas that another has begun ask for them. */
export const traceSinks: InjectedSinks<TraceSinks> = {
  traces: {
    parked: {
      fn: ({ workflowId, runId }, traceparent, { step, failure, attempts, until }) => {
        const attributes = {
          'order_saga.order_id': orderIdOf(workflowId),
          'order_saga.step': step,
          'order_saga.attempt': attempts,
          'order_saga.waits_until': until,
          'error.type': failure,
          temporalRunId: runId,
        };
        startSpan(`parked at ${step}`, { parent: traceparent, attributes })?.end();
      },
    },
    ended: {
      fn: ({ workflowId, runId, workflowType, startTime }, traceparent, { status }) => {
        const attributes = {
          'order_saga.order_id': orderIdOf(workflowId),
          'order_saga.outcome': status,
          temporalWorkflowId: workflowId,
          temporalRunId: runId,
        };
        startSpan(workflowType, { parent: traceparent, attributes, startedAtMs: startTime.getTime() })?.end();
      },
    },
  },
};
