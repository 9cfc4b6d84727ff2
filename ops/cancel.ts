/**
 * `cancel`: the order is to be gone, whatever it has come to. Recorded in Postgres first, which decides; then the saga that
 * has to act on it is woken or started, if Temporal answers. If it does not, the order is cancelled when it is back.
 */
import { WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import type { Command } from 'commander';
import { money } from '../contracts/amounts.js';
import { cancelOrderSagaId } from '../contracts/ids.js';
import { CANCEL_UPDATE, type CancelRequest, type SagaProgress } from '../contracts/saga.js';
import { cancellation } from '../domain/audit/changes.js';
import type { Database } from '../domain/database.js';
import { readOrder } from '../domain/orders.js';
import { asPlain } from '../domain/sealing/sealing.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import { describe, sagaInCharge } from '../sagas/deciding/asking.js';
import type { Result, Target } from '../sagas/deciding/decide.js';
import type { Recorder } from '../sagas/deciding/recorder.js';
import { watch } from '../sagas/deciding/watch.js';
import { endedFromOutside, pendingActivities } from '../sagas/execution.js';
import { restartSaga } from '../sagas/restart.js';
import { type ActOptions, actOnAll, addActOptions, askBefore, signatureOf } from './act.js';
import { type Ops, orderIds, run } from './command.js';
import { type OpsConfig, policyOf, type Temporal } from './connections.js';
import { type ExitCode, nothingMatched, usage } from './exit.js';
import { createRecorder } from './recorder.js';

/** The update asks the order's row, and is answered in milliseconds unless the database is in trouble. */
const UPDATE_LIMIT_MS = 15_000;

export function addCancelCommand(program: Command): void {
  const command = program
    .command('cancel')
    .summary('have orders gone: pending ones unwind, confirmed ones are refunded and taken back')
    .description(
      'Cancels orders. Works while Temporal is away: then it is recorded, and honoured later. The reason is shown to every reader of the order.',
    )
    .argument('<orders...>', 'ids of orders', orderIds);
  addActOptions(command)
    .addHelpText(
      'after',
      "\nExamples:\n  ops cancel 01a1fc4b-2622-70f0-8b6b-725674f9c1d0 --reason 'recalled by the maker'",
    )
    .action((ids: string[], options: ActOptions) => run(command, (ops) => cancelAll(ops, ids, options)));
}

async function cancelAll(ops: Ops, ids: string[], options: ActOptions): Promise<ExitCode> {
  const { operator, reason } = signatureOf(options, ops.config);
  const db = await ops.to.database();
  const orders = await Promise.all(ids.map((id) => readOrder(db, id)));
  const missing = ids.filter((_, i) => orders[i] === null);
  for (const id of missing) ops.out.notice(`There is no order ${id}.`);
  if (missing.length === ids.length) throw nothingMatched('None of these orders exists.');
  if (missing.length > 0) throw usage('Nothing was done, since some of these orders do not exist.');
  ops.out.table(
    ['order', 'status', 'total'],
    orders.flatMap((order) => (order ? [[order.id, order.status, money(order.total)]] : [])),
  );
  await askBefore(ops, `cancel ${ids.length} ${ids.length === 1 ? 'order' : 'orders'}, as ${operator}?`, options.yes);
  const temporal = await ops.to.temporal().catch((err: unknown) => {
    ops.out.notice(`${sentenceOf(err)}\nThe cancellation is recorded, and carried out when Temporal is back.`);
    return undefined;
  });
  const targets = ids.map((orderId) => ({ orderId, workflowId: '' }));
  const request: CancelRequest = { requestedBy: operator, reason };
  const recorder = createRecorder(ops, 'cancel', operator);
  return actOnAll(ops, { action: 'cancel', operator, reason }, targets, options, async (target) => {
    try {
      return await cancel({ db, temporal, config: ops.config, recorder }, target, request);
    } catch (err) {
      return { ...target, outcome: 'failed', state: null, message: sentenceOf(err) };
    }
  });
}

type Cancelling = { db: Database; temporal: Temporal | undefined; config: OpsConfig; recorder: Recorder };

async function cancel(to: Cancelling, { orderId }: Target, request: CancelRequest): Promise<Result> {
  const { requestedBy: actor, reason: said } = request;
  const why = { reason: 'OPERATOR', actor, message: asPlain(said), detail: said } as const;
  const { outcome, reason } = await to.recorder.act(to.db, cancellation(orderId, why, said));
  const status = outcome === 'unwinding' ? 'PENDING' : outcome === 'cancelled' ? 'CANCELLED' : 'CONFIRMED';
  const target = { orderId, workflowId: sagaInCharge(orderId, { status, unwindingReason: reason }) };
  if (outcome === 'cancelled') {
    return { ...target, outcome: 'gone', state: 'COMPENSATED', message: `it was cancelled before (${reason})` };
  }
  if (to.temporal === undefined) {
    return { ...target, outcome: 'done', state: null, message: 'recorded; it is carried out when Temporal is back' };
  }
  const seen = await wake(to, to.temporal, target, request);
  const {
    went,
    state,
    message: sequel,
  } = await watch(to.temporal, to.db, target.workflowId, { seen, goal: 'COMPENSATED' });
  return { ...target, outcome: went === 'well' ? 'done' : 'failed', state, message: sequel };
}

/** Has the saga look at the order's row now. @returns the activities that were pending before */
async function wake(to: Cancelling, temporal: Temporal, target: Target, request: CancelRequest): Promise<string[]> {
  const saga = await describe(temporal, target.workflowId);
  if (saga?.status.name === 'COMPLETED') return [];
  if (saga === null || endedFromOutside(saga.status.name)) {
    const operator = request.requestedBy;
    await restartSaga({ client: temporal.client, db: to.db, policy: policyOf(to.config), operator }, target.orderId);
    return [];
  }
  const seen = pendingActivities(saga).map(({ id }) => id);
  if (target.workflowId === cancelOrderSagaId(target.orderId)) return seen; // it is doing what is wished
  const { client } = temporal;
  const args: [CancelRequest] = [request];
  try {
    await client.withDeadline(Date.now() + UPDATE_LIMIT_MS, () =>
      client.workflow
        .getHandle(target.workflowId)
        .executeUpdate<SagaProgress, [CancelRequest]>(CANCEL_UPDATE, { args }),
    );
  } catch (err) {
    // It has come to its end, or is unwinding by now: the order's row says what is true, and is read next.
    if (!(err instanceof WorkflowUpdateFailedError || err instanceof WorkflowNotFoundError)) throw err;
  }
  return seen;
}
