/** Starting a saga: the one place that asks Temporal for it. */
import { type Client, WorkflowExecutionAlreadyStartedError, type WorkflowStartOptions } from '@temporalio/client';
import { type SagaPolicy, sagaStart, type UnstartedSaga } from '../contracts/saga.js';

/** Temporal answers a start in milliseconds or is in trouble; the sweep tries again. */
const START_LIMIT_MS = 3_000;

type Changed = Pick<WorkflowStartOptions, 'workflowIdReusePolicy' | 'requestEagerStart'>;

/** `isHere`: it has begun in a worker of this very process, as an eager start asks for. */
export type StartedSaga = { isHere: boolean };

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
  try {
    const { eagerlyStarted } = await client.withDeadline(Date.now() + START_LIMIT_MS, () =>
      client.workflow.start(type, { ...options, ...changed }),
    );
    return { isHere: eagerlyStarted };
  } catch (err) {
    if (err instanceof WorkflowExecutionAlreadyStartedError) return undefined;
    throw err;
  }
}
