/** Many parked sagas, one command that decides by itself. `FULL=1` takes fifty of them; a dozen shows the same in less time. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pLimit from 'p-limit';
import { sagaStart } from '../../contracts/saga.js';
import { listUnstarted } from '../../domain/acceptance.js';
import { requestCancellation } from '../../domain/orders.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

const MANY = process.env['FULL'] === '1' ? 50 : 12;
const LIMIT_MS = 180_000;
const policy = { stepRetryBudgetMs: 1_200, compensationAttentionAfterMs: 1_200 };

let s: SagaStack;
let ops: Cli;
beforeAll(async () => {
  s = await startSagaStack();
  ops = cliOf(s);
  await stock(s.db, 'PLENTY', 10_000);
});
afterEach(async () => {
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const stuckCount = async () =>
  (await s.client.workflow.count('SagaState="NEEDS_ATTENTION" AND ExecutionStatus="Running"')).count;

async function parkMany(count: number) {
  const before = await stuckCount();
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const few = pLimit(8);
  const placed = await Promise.all(Array.from({ length: count }, () => few(() => s.place({ PLENTY: 1 }, { policy }))));
  await eventually('all are parked', async () => (await stuckCount()) >= before + count, 60_000);
  return placed;
}

/** A confirmed order on its way back, whose refund fails: it is stuck, too, and cannot be compensated a second time. */
async function stuckUndo() {
  const before = await stuckCount();
  const { order, result } = await s.place({ PLENTY: 9 }); // the dearest: it comes first
  await result();
  await s.fault({ route: 'refund', mode: 'down', count: null });
  await requestCancellation(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
  const due = (await listUnstarted(s.db, 0, 1_000)).find(({ id }) => id === order.id);
  if (!due) throw new Error('its cancellation is not due');
  const { type, options } = sagaStart(due, { ...PATIENT, ...policy });
  const saga = await s.client.workflow.start(type, options);
  await eventually('its undo is stuck', async () => (await stuckCount()) > before, 30_000);
  return { order, saga };
}

type Item = { orderId: string; outcome: string; state: string | null; message: string };

test(
  'a refusing canary stops the rest; without it, the one refuses and all others are done',
  async () => {
    const undo = await stuckUndo();
    const parked = await parkMany(MANY);
    const compensate = ['compensate', '--all', '--reason', 'ticket 50', '--rate', '50/s', '--direct', '--yes'];

    const first = await ops.json(...compensate, '--canary', '1');
    expect(first.code).toBe(1);
    expect(first.document.summary).toMatchObject({ done: 0, refused: 1, 'not-tried': MANY });
    expect(first.document.items[0]).toMatchObject({
      orderId: undo.order.id,
      outcome: 'refused',
      message: expect.stringContaining('is being unwound already'),
    });
    expect(first.stderr).toContain('Stopped: the canary was refused');
    expect(await stuckCount()).toBe(MANY + 1);

    const all = await ops.json(...compensate);
    expect(all.code).toBe(1);
    expect(all.document.summary).toMatchObject({ done: MANY, refused: 1, failed: 0, 'not-tried': 0 });
    const done = (all.document.items as Item[]).filter(({ outcome }) => outcome === 'done');
    expect(done.map(({ orderId }) => orderId).sort()).toEqual(parked.map(({ order }) => order.id).sort());
    expect(done.every(({ state }) => state === 'COMPENSATED')).toBe(true);
    for (const { result } of parked) expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });

    await s.heal();
    await ops('retry', '--all', '--step', 'refundPayment', '--yes'); // finds nothing if the undo's own next try was faster
    expect(await undo.saga.result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
  },
  LIMIT_MS,
);

test(
  'a retry whose canary fails leaves the rest alone; after the repair the same command confirms them all',
  async () => {
    const parked = await parkMany(MANY);
    const retry = ['retry', '--all', '--step', 'chargePayment', '--canary', '2', '--rate', '50', '--direct'];

    const early = await ops.json(...retry, '--yes');
    expect(early.code).toBe(1);
    expect(early.document.summary).toMatchObject({ done: 0, failed: 1, 'not-tried': MANY - 1 });

    await eventually('the canary has parked again', async () => (await stuckCount()) === MANY, 30_000);
    await s.heal();
    const { code, stdout } = await ops(...retry, '--yes');
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(`${MANY} done`);
    expect(stdout.match(/ done +COMPLETED /g)).toHaveLength(MANY);
    expect(code).toBe(0);
    for (const { order, result } of parked) {
      expect(await result()).toEqual({ status: 'CONFIRMED' });
      expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
    }
  },
  LIMIT_MS,
);
