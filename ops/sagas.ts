/** Asking one saga how it stands, and starting it anew if somebody has ended it. */
import {
  WorkflowExecutionAlreadyStartedError,
  type WorkflowExecutionDescription,
  type WorkflowExecutionStatusName,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { cancelOrderSagaId, orderSagaId } from '../contracts/ids.js';
import type { Order } from '../contracts/orders.js';
import { PROGRESS_QUERY, type SagaPolicy, type SagaProgress, sagaStart } from '../contracts/saga.js';
import { markStarted, readDueSaga } from '../domain/acceptance.js';
import type { Database } from '../domain/database.js';
import type { Door } from '../domain/orders.js';
import type { Temporal } from './connections.js';

const CALL_LIMIT_MS = 5_000;
/** A worker answers a query in milliseconds, or it is busy or gone. */
const QUERY_LIMIT_MS = 1_500;

/** @returns the saga's newest run, or null if Temporal knows none */
export async function describe({ client }: Temporal, workflowId: string): Promise<WorkflowExecutionDescription | null> {
  try {
    return await client.withDeadline(Date.now() + CALL_LIMIT_MS, () =>
      client.workflow.getHandle(workflowId).describe(),
    );
  } catch (err) {
    if (err instanceof WorkflowNotFoundError) return null;
    throw err;
  }
}

/** @returns undefined if no worker can tell */
export async function askProgress(
  { client }: Temporal,
  description: WorkflowExecutionDescription,
): Promise<SagaProgress | undefined> {
  const handle = client.workflow.getHandle(description.workflowId, description.runId);
  const progress = await client
    .withDeadline(Date.now() + QUERY_LIMIT_MS, () => handle.query<SagaProgress>(PROGRESS_QUERY))
    .catch(() => undefined);
  return progress && withPendingAttempts(progress, description);
}

/** The saga itself does not see how often an activity that is still under way has been tried; the server does. */
function withPendingAttempts(progress: SagaProgress, description: WorkflowExecutionDescription): SagaProgress {
  for (const activity of pendingActivities(description)) {
    const step = progress.steps.find(({ name, finishedAt }) => name === activity.name && finishedAt === null);
    if (!step) continue;
    step.attempts += activity.attempt;
    step.lastError = activity.lastFailure ?? step.lastError;
  }
  return progress;
}

export type PendingActivity = { id: string; name: string; attempt: number; lastFailure: string | null };

export const pendingActivities = ({ raw }: WorkflowExecutionDescription): PendingActivity[] =>
  (raw.pendingActivities ?? []).map((activity) => ({
    id: activity.activityId ?? '',
    name: activity.activityType?.name ?? '',
    attempt: activity.attempt ?? 0,
    lastFailure: activity.lastFailure?.message ?? null,
  }));

const ENDED = { FAILED: 'FAILED', TERMINATED: 'TERMINATED', TIMED_OUT: 'TIMED_OUT', CANCELLED: 'CANCELED' } as const;

/** @returns how it was ended if it did not come to its own end, in the words that `--failure` takes */
export const endedFromOutside = (status: WorkflowExecutionStatusName): string | undefined =>
  (ENDED as Partial<Record<WorkflowExecutionStatusName, string>>)[status];

/** A confirmed order on its way back is its cancellation's; anything else is the first saga's. */
const isTakingBack = ({ status, unwindingReason }: Door): boolean => status === 'CONFIRMED' && unwindingReason !== null;

/** @returns the workflow id of the saga that has work to do for this order, or was the last to have */
export const sagaInCharge = (orderId: string, door: Door): string =>
  isTakingBack(door) ? cancelOrderSagaId(orderId) : orderSagaId(orderId);

/**
 * Starts the saga that the order as it stands needs.
 * @returns its workflow id, or null if the order needs none
 */
export async function startAnew(
  { client }: Temporal,
  db: Database,
  { id }: Pick<Order, 'id'>,
  policy: SagaPolicy,
): Promise<string | null> {
  const due = await readDueSaga(db, id);
  if (!due) return null;
  const { type, options } = sagaStart(due, policy);
  try {
    await client.withDeadline(Date.now() + CALL_LIMIT_MS, () => client.workflow.start(type, options));
  } catch (err) {
    // The sweep, or another operator, was faster.
    if (!(err instanceof WorkflowExecutionAlreadyStartedError)) throw err;
  }
  await markStarted(db, [due]);
  return options.workflowId;
}
