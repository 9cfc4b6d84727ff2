/** Asking one saga how it stands, and starting it anew if somebody has ended it. */
import { type WorkflowExecutionDescription, WorkflowNotFoundError } from '@temporalio/client';
import { cancelOrderSagaId, orderSagaId } from '../contracts/ids.js';
import { PROGRESS_QUERY, type SagaProgress } from '../contracts/saga.js';
import type { Door } from '../domain/orders.js';
import { withPendingAttempts } from '../sagas/execution.js';
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

/** A confirmed order on its way back is its cancellation's; anything else is the first saga's. */
type Decided = Pick<Door, 'status' | 'unwindingReason'>;
const isTakingBack = ({ status, unwindingReason }: Decided): boolean =>
  status === 'CONFIRMED' && unwindingReason !== null;

/** @returns the workflow id of the saga that has work to do for this order, or was the last to have */
export const sagaInCharge = (orderId: string, door: Decided): string =>
  isTakingBack(door) ? cancelOrderSagaId(orderId) : orderSagaId(orderId);
