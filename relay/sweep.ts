/**
 * The sweep: finds accepted orders whose saga nobody has seen running, and starts it. This, not the API's own start, is
 * the promise that an accepted order is worked on: the API may have died, or Temporal been away, in between.
 */
import { type Client, WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import pLimit from 'p-limit';
import { orderSagaId } from '../contracts/ids.js';
import { RETRY_SIGNAL, type SagaPolicy, sagaStart, type UnstartedSaga } from '../contracts/saga.js';
import { listUnheard, listUnstarted, markStarted } from '../domain/acceptance.js';
import type { Database } from '../domain/database.js';

/** Leaves the API time to start the saga itself. With the sweep's period of 1 s, an orphan waits 4 s at most. */
const ORPHAN_AFTER_MS = 2_500;
const BATCH_MAX = 200;
const PARALLEL_MAX = 16;
/** Temporal answers a start in milliseconds or is in trouble; the next sweep tries again. */
const START_LIMIT_MS = 3_000;

/** @returns how many orders were taken off the list, and whether there are more */
export async function startUnstartedOnce(deps: {
  db: Database;
  client: Client;
  policy: SagaPolicy;
}): Promise<{ started: number; more: boolean }> {
  const orders = await listUnstarted(deps.db, ORPHAN_AFTER_MS, BATCH_MAX);
  if (orders.length === 0) return { started: 0, more: false };
  const limit = pLimit(PARALLEL_MAX);
  const started: UnstartedSaga[] = [];
  let failure: unknown;
  await Promise.all(
    orders.map((order) =>
      limit(async () => {
        if (failure) return; // Temporal is away: the rest would only wait for the same answer
        const { type, options } = sagaStart(order, deps.policy);
        try {
          await deps.client.withDeadline(Date.now() + START_LIMIT_MS, () => deps.client.workflow.start(type, options));
        } catch (err) {
          if (!(err instanceof WorkflowExecutionAlreadyStartedError)) {
            failure = err;
            return;
          }
        }
        started.push(order);
      }),
    ),
  );
  if (started.length > 0) await markStarted(deps.db, started);
  if (failure) throw failure;
  return { started: started.length, more: orders.length === BATCH_MAX };
}

/** The API tells the saga itself, at once; this is for when that was lost. */
const UNHEARD_AFTER_MS = 5_000;
/** Signals are history: a saga whose undo fails for longer is its operator's. */
const UNHEARD_UNTIL_MS = 600_000;

/** Tells sagas that are parked or backing off that their order is unwinding. @returns how many were told */
export async function remindOnce({ db, client }: { db: Database; client: Client }): Promise<number> {
  const ids = await listUnheard(db, UNHEARD_AFTER_MS, UNHEARD_UNTIL_MS, BATCH_MAX);
  for (const id of ids) {
    const tell = () => client.workflow.getHandle(orderSagaId(id)).signal(RETRY_SIGNAL);
    await client.withDeadline(Date.now() + START_LIMIT_MS, tell).catch((err: unknown) => {
      if (!(err instanceof WorkflowNotFoundError)) throw err; // not started yet, or ended: nobody to tell
    });
  }
  return ids.length;
}
