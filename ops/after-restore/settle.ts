/** What settles a difference. Each may be done twice, and is on record before it is done. */
import type { Client } from '@temporalio/client';
import { cancelOrderSagaId, orderSagaId } from '../../contracts/ids.js';
import type { SagaPolicy } from '../../contracts/saga.js';
import { readRestored } from '../../domain/after-restore.js';
import { cancellation, refundOfFinding } from '../../domain/audit/changes.js';
import type { Database } from '../../domain/database.js';
import { openFinding } from '../../domain/reconciliation.js';
import { listFindings, requestReconciliation } from '../../domain/reconciliation-findings.js';
import { sentenceOf } from '../../runtime/errors/facts.js';
import { replaceSaga } from '../../sagas/restart.js';
import { describeRun } from '../../sagas/describe.js';
import type { ItemResult } from '../../sagas/deciding/outcomes.js';
import type { Recorder } from '../../sagas/deciding/recorder.js';
import type { Difference, HeldMoney } from './difference.js';

export type Settling = {
  db: Database;
  client: Client;
  policy: SagaPolicy;
  recorder: Recorder;
  signature: { operator: string; reason: string };
  refundLost: boolean;
};

const ANSWER_LIMIT_MS = 10_000;
const LOST = 'It is marked as ours, and this database, which was restored, has no such order';

/** @returns never throws */
export async function settleDifference(to: Settling, difference: Difference): Promise<ItemResult> {
  const { orderId, kind } = difference;
  try {
    const message = kind === 'ORDER_LOST' ? await settleLost(to, difference) : await settleKnown(to, difference);
    return { orderId, outcome: 'done', state: null, message };
  } catch (err) {
    return { orderId, outcome: 'failed', state: null, message: sentenceOf(err) };
  }
}

async function settleKnown(
  { db, client, policy, recorder, signature }: Settling,
  { orderId, kind, remedy }: Difference,
) {
  const { operator, reason } = signature;
  if (remedy.do === 'unwind') {
    const why = { reason: remedy.reason, actor: operator, detail: `${kind}: ${reason}` };
    await recorder.act(db, cancellation(orderId, why, null));
  }
  const effect = { resource: orderId, reason, before: { difference: kind }, after: null };
  await recorder.announce(db, effect);
  const workflowId = await replaceSaga({ client, db, policy, operator }, orderId);
  await recorder.conclude(db, { ...effect, after: { saga: workflowId } });
  const what = remedy.do === 'unwind' ? `is being cancelled (${remedy.reason})` : 'goes on';
  return workflowId === null ? 'needed nothing any more' : `${workflowId} was begun anew; the order ${what}`;
}

async function settleLost({ db, client, recorder, signature, refundLost }: Settling, { orderId, held }: Difference) {
  const { reason, operator } = signature;
  // Between the list and the operator's yes, a restore may still have been going on.
  if ((await readRestored(db, [orderId])).length > 0) throw new Error('It is in this database by now: list again');
  const did: string[] = [];
  const effect = { resource: orderId, reason, before: { difference: 'ORDER_LOST' }, after: null };
  for (const workflowId of [orderSagaId(orderId), cancelOrderSagaId(orderId)]) {
    const saga = await inTime(client, () => describeRun(client, workflowId));
    if (saga?.status.name !== 'RUNNING') continue;
    await recorder.announce(db, effect);
    await inTime(client, () =>
      client.workflow.getHandle(workflowId, saga.runId).terminate(`the order is lost; ${operator}`),
    );
    await recorder.conclude(db, { ...effect, after: { saga: 'TERMINATED' } });
    did.push(`${workflowId} was ended`);
  }
  for (const charge of held) did.push(await settleCharge({ db, recorder, signature, refundLost }, orderId, charge));
  await requestReconciliation(db, orderId);
  // What is on record is a known difference from here on: the verifier does not count the saga of an order that is known to be lost.
  if (did.length === 0) {
    await recorder.announce(db, effect);
    await recorder.conclude(db, { ...effect, after: { lost: true } });
    did.push('it is on record as lost');
  }
  return did.join('; ');
}

async function settleCharge(
  { db, recorder, signature, refundLost }: Pick<Settling, 'db' | 'recorder' | 'signature' | 'refundLost'>,
  orderId: string,
  charge: HeldMoney,
): Promise<string> {
  const { reference } = charge;
  await openFinding(db, 'ORPHAN_CHARGE', 'reported', { ...charge, orderId }, LOST);
  const found = (await listFindings(db, { orderId })).find(
    (one) => one.kind === 'ORPHAN_CHARGE' && one.reference === reference,
  );
  if (!found?.id) throw new Error(`Bug! The finding of ${reference} was neither written nor there`);
  if (!refundLost) return `${reference} is finding ${found.id}`;
  const isTaken = await recorder.act(db, refundOfFinding(found.id, signature));
  return isTaken
    ? `${reference} is being given back (finding ${found.id})`
    : `${reference}: finding ${found.id} is ${found.action}`;
}

const inTime = <T>(client: Client, ask: () => Promise<T>): Promise<T> =>
  client.withDeadline(Date.now() + ANSWER_LIMIT_MS, ask);
