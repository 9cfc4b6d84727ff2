/** Starting a saga: the one place that asks Temporal for it. */
import {
  type Client,
  WorkflowClient,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowStartOptions,
} from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { TRACE_HEADER, type TraceHeader } from '../contracts/ids.js';
import { type SagaPolicy, sagaStart, type UnstartedSaga } from '../contracts/saga.js';
import { traced } from '../runtime/tracing/spans.js';

/** Temporal answers a start in milliseconds or is in trouble; the sweep tries again. */
const START_LIMIT_MS = 3_000;

type Changed = Pick<
  WorkflowStartOptions,
  'workflowIdReusePolicy' | 'workflowIdConflictPolicy' | 'requestEagerStart' | 'memo'
>;

/** `isHere`: it has begun in a worker of this very process, as an eager start asks for. */
export type StartedSaga = { isHere: boolean; workflowId: string; runId: string };

/**
 * @param changed what differs from the start options of every saga
 * @returns undefined if this has not started it: one runs, or has come to its end
 * @throws if Temporal does not answer, or if this build does not know the order's plan
 */
export async function startSaga(
  client: Client,
  saga: UnstartedSaga,
  policy: SagaPolicy,
  changed: Changed = {},
): Promise<StartedSaga | undefined> {
  const { type, options } = sagaStart(saga, policy);
  // Of the order's trace, whatever this process is doing just now; one that is not traced yet has a trace by its own id.
  const trace = { parent: saga.traceparent ?? null, traceId: saga.id.replaceAll('-', '') };
  const attributes = { 'order_saga.order_id': saga.id, temporalWorkflowId: options.workflowId };
  return traced(`start ${type}`, { kind: 'client', ...trace, attributes }, async (span) => {
    const traceparent = span?.traceparent ?? saga.traceparent;
    const { workflow, headers } = traceparent ? carrierOf(client) : { workflow: client.workflow, headers: undefined };
    if (traceparent) headers?.set(options.workflowId, traceparent);
    try {
      const { eagerlyStarted, firstExecutionRunId } = await client.withDeadline(Date.now() + START_LIMIT_MS, () =>
        workflow.start(type, { ...options, ...changed }),
      );
      return { isHere: eagerlyStarted, workflowId: options.workflowId, runId: firstExecutionRunId };
    } catch (err) {
      if (err instanceof WorkflowExecutionAlreadyStartedError) return undefined;
      throw err;
    } finally {
      headers?.delete(options.workflowId);
    }
  });
}

/** What the log tells of a start, whoever has made it. */
export const startedLine = ({ id, correlationId }: UnstartedSaga, { workflowId, runId }: StartedSaga) => ({
  correlationId,
  orderId: id,
  workflowId,
  runId,
});

/** Starts with a header; the SDK takes none but from an interceptor. `headers`: workflow id → traceparent, while it is being started. */
type Carrier = { workflow: Pick<WorkflowClient, 'start'>; headers: Map<string, string> };
const carriers = new WeakMap<Client, Carrier>();

function carrierOf(client: Client): Carrier {
  const known = carriers.get(client);
  if (known) return known;
  const headers = new Map<string, string>();
  const { connection, options } = client.workflow;
  const { namespace, identity, dataConverter } = options;
  const workflow = new WorkflowClient({
    ...{ connection, namespace, identity, dataConverter },
    interceptors: [
      {
        startWithDetails: (input, next) => {
          const traceparent = headers.get(input.options.workflowId);
          if (traceparent === undefined) return next(input);
          const payload = defaultPayloadConverter.toPayload({ traceparent } satisfies TraceHeader);
          return next({ ...input, headers: { ...input.headers, [TRACE_HEADER]: payload } });
        },
      },
    ],
  });
  const carrier = { workflow, headers };
  carriers.set(client, carrier);
  return carrier;
}
