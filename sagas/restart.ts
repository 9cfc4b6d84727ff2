/**
 * Restarting a saga: one that was ended from outside, that is missing, or that Temporal calls completed although its order
 * is not final. Every step finds what the first run has done.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { type Resolution, type SagaPolicy, sagaStart, type UnstartedSaga } from '../contracts/saga.js';
import { markStarted, readDueSaga } from '../domain/acceptance.js';
import type { Database } from '../domain/database.js';
import { recordDecision } from '../domain/saga-log.js';
import { describeRun } from './describe.js';
import { startSaga } from './start.js';

const LOOK_LIMIT_MS = 5_000;

/** Who wants it, why, and what has become of the saga before. */
export type Signature = Pick<Resolution, 'operator' | 'reason'> & { before: string };

/**
 * Starts the saga that the order as it stands needs; that another process was faster is no failure. It tells the log which
 * operator has started it, for the CLI writes none.
 * @param signature goes into the log before anything is done; undefined = no operator has decided it
 * @returns its workflow id, or null if the order needs none
 */
export async function restartSaga(
  { client, db, policy, operator }: { client: Client; db: Database; policy: SagaPolicy; operator?: string },
  orderId: string,
  signature?: Signature,
): Promise<string | null> {
  const due = await readDueSaga(db, orderId);
  if (!due) return null;
  if (signature) await recordDecision(db, { id: randomUUID(), orderId, action: 'retry', step: 'saga', ...signature });
  const { workflowId, memo } = sagaStart(due, policy).options;
  const startedBy = signature?.operator ?? operator;
  const told = startedBy === undefined ? {} : { memo: { ...memo, startedBy } };
  if (!(await startSaga(client, due, policy, told)) && (await isCompletedButDue({ client, db }, due, workflowId)))
    await startSaga(client, due, policy, { ...told, workflowIdReusePolicy: 'ALLOW_DUPLICATE' });
  await markStarted(db, [due]);
  return workflowId;
}

/**
 * After a restore: ends the saga that runs, or overrules how it ended, and starts the one that the order as it stands needs. Its
 * history may say of steps that they are done which the database has lost.
 * @returns its workflow id, or null if the order needs none
 */
export async function replaceSaga(
  { client, db, policy, operator }: { client: Client; db: Database; policy: SagaPolicy; operator: string },
  orderId: string,
): Promise<string | null> {
  const due = await readDueSaga(db, orderId);
  if (!due) return null;
  const { workflowId, memo } = sagaStart(due, policy).options;
  const anew = { workflowIdReusePolicy: 'ALLOW_DUPLICATE', workflowIdConflictPolicy: 'TERMINATE_EXISTING' } as const;
  await startSaga(client, due, policy, { ...anew, memo: { ...memo, startedBy: operator } });
  await markStarted(db, [due]);
  return workflowId;
}

/**
 * A saga that comes to its end by itself has made its order final before. So the order is read again, after Temporal has
 * said that it ended: only if it is due still, an operator has completed it by hand (`temporal activity complete`). Two
 * processes that see this at a time may restart it twice, one after the other: the second saga finds nothing to do.
 */
async function isCompletedButDue(
  { client, db }: { client: Client; db: Database },
  { id, kind }: UnstartedSaga,
  workflowId: string,
): Promise<boolean> {
  const saga = await client.withDeadline(Date.now() + LOOK_LIMIT_MS, () => describeRun(client, workflowId));
  return saga?.status.name === 'COMPLETED' && (await readDueSaga(db, id))?.kind === kind;
}
