/** Beginning a saga anew: one that was ended from outside, or that is missing. Every step finds what the first has done. */
import { randomUUID } from 'node:crypto';
import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { type Resolution, type SagaPolicy, sagaStart } from '../contracts/saga.js';
import { markStarted, readDueSaga } from '../domain/acceptance.js';
import type { Database } from '../domain/database.js';
import { recordDecision } from '../domain/saga-log.js';

const START_LIMIT_MS = 5_000;

/** Who wants it, why, and what has become of the saga before. */
export type Signature = Pick<Resolution, 'operator' | 'reason'> & { before: string };

/**
 * Starts the saga that the order as it stands needs; that somebody else was faster is no failure.
 * @param signature goes into the log before anything is done; undefined = nobody has decided it
 * @returns its workflow id, or null if the order needs none
 */
export async function beginAnew(
  { client, db, policy }: { client: Client; db: Database; policy: SagaPolicy },
  orderId: string,
  signature?: Signature,
): Promise<string | null> {
  const due = await readDueSaga(db, orderId);
  if (!due) return null;
  if (signature) await recordDecision(db, { id: randomUUID(), orderId, action: 'retry', step: 'saga', ...signature });
  const { type, options } = sagaStart(due, policy);
  try {
    await client.withDeadline(Date.now() + START_LIMIT_MS, () => client.workflow.start(type, options));
  } catch (err) {
    if (!(err instanceof WorkflowExecutionAlreadyStartedError)) throw err;
  }
  await markStarted(db, [due]);
  return options.workflowId;
}
