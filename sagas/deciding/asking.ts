/** Asking one saga how it stands, and which saga an order has. */
import {
  type Client,
  isGrpcServiceError,
  type WorkflowExecutionDescription,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { cancelOrderSagaId, orderSagaId } from '../../contracts/ids.js';
import { PROGRESS_QUERY, type SagaProgress } from '../../contracts/saga.js';
import type { OrderState } from '../../domain/orders.js';
import { isAway } from '../away.js';
import { withPendingAttempts } from '../execution.js';

/** Where sagas run: `where` is for sentences, `host:port/namespace`. */
export type Place = { client: Client; where: string };

const CALL_LIMIT_MS = 5_000;
/** A worker answers a query in milliseconds, or it is busy or gone. */
const QUERY_LIMIT_MS = 1_500;

/** @returns the saga's newest run, or null if Temporal knows none */
export async function describe(
  { client }: Pick<Place, 'client'>,
  workflowId: string,
): Promise<WorkflowExecutionDescription | null> {
  try {
    return await client.withDeadline(Date.now() + CALL_LIMIT_MS, () =>
      client.workflow.getHandle(workflowId).describe(),
    );
  } catch (err) {
    if (err instanceof WorkflowNotFoundError) return null;
    throw err;
  }
}

/** @returns undefined if no worker answers */
export async function askProgress(
  { client }: Pick<Place, 'client'>,
  description: WorkflowExecutionDescription,
): Promise<SagaProgress | undefined> {
  const handle = client.workflow.getHandle(description.workflowId, description.runId);
  const progress = await client
    .withDeadline(Date.now() + QUERY_LIMIT_MS, () => handle.query<SagaProgress>(PROGRESS_QUERY))
    .catch(() => undefined);
  return progress && withPendingAttempts(progress, description);
}

/** Longer than a first try (5 s, workflows/steps) leaves a worker silent by much of it; a person is waiting. */
export const SERVED_LIMIT_MS = 5_000;

/** @returns whether a worker answers for the saga; what else may be wrong with it shows when a decision is sent */
export async function isServed(
  { client }: Pick<Place, 'client'>,
  { workflowId, runId }: WorkflowExecutionDescription,
): Promise<boolean> {
  const handle = client.workflow.getHandle(workflowId, runId);
  try {
    await client.withDeadline(Date.now() + SERVED_LIMIT_MS, () => handle.query<SagaProgress>(PROGRESS_QUERY));
    return true;
  } catch (err) {
    if (err instanceof WorkflowNotFoundError) throw err;
    return !isAway(err) && !isWithoutWorker(err);
  }
}

/** gRPC's FAILED_PRECONDITION: Temporal has not seen a poller for minutes, or the workflow's code fails. */
const isWithoutWorker = (err: unknown): boolean =>
  [err, (err as Error).cause].some((e) => isGrpcServiceError(e) && e.code === 9);

/** A confirmed order on its way back is its cancellation's; anything else is the first saga's. */
type Decided = Pick<OrderState, 'status' | 'unwindingReason'>;
const isTakingBack = ({ status, unwindingReason }: Decided): boolean =>
  status === 'CONFIRMED' && unwindingReason !== null;

/** @returns the workflow id of the saga that has work to do for this order, or was the last to have */
export const sagaInCharge = (orderId: string, decided: Decided): string =>
  isTakingBack(decided) ? cancelOrderSagaId(orderId) : orderSagaId(orderId);
