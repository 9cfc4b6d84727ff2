/** An undo that fails for very long: its saga never meets the server's limit on a history's length. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { progressOf, resolve, statusOf } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';

/** Instead of some thousand events; the saga of this test reaches it with a few retries. */
const LONG = 30;

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({ temporalConfig: [`limit.historyCount.suggestContinueAsNew=${LONG}`] });
  await stock(s.db, 'A', 10);
});
afterEach(() => s.heal());
afterAll(() => s.stop());

/** An order whose charge is unknown and whose refund fails while it is unwound. */
async function failingRefund() {
  await s.fault({ route: 'all', mode: 'down', count: null });
  const placed = await s.place({ A: 1 });
  await eventually('the charge backs off', async () => {
    return statusOf(await progressOf(placed.saga), 'chargePayment') === 'retrying';
  });
  // Whether money was taken is unknown, and the gateway cannot be asked: the refund fails.
  await cancel(placed.saga);
  return placed;
}
const cancel = (saga: WorkflowHandle) =>
  saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] });

test('an operator’s `skip` of an undo of a saga whose history is full is kept, not lost with the run', async () => {
  const { saga, result } = await failingRefund();
  await eventually('the refund backs off', async () => {
    return statusOf(await progressOf(saga), 'refundPayment') === 'retrying';
  });
  // Each leaves some events, and the undo alone.
  await eventually('its history is long', async () => {
    await cancel(saga);
    return (await saga.describe()).historyLength > LONG;
  });
  await resolve(saga, { action: 'skip' });
  expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' }); // with the gateway still down
  await recordHistory('undo-skipped', saga, s.env.address);
});

test('a saga whose undo is tried again and again is continued as new with an empty history, and still gives everything back', async () => {
  const { order, saga, result } = await failingRefund();
  const first = (await saga.describe()).runId;
  await eventually(
    'another run has begun',
    async () => {
      await saga.signal('retry').catch(() => undefined); // between two runs no saga takes it
      return (await saga.describe()).runId !== first;
    },
    40_000,
  );
  expect((await saga.describe()).status.name).toBe('RUNNING');
  await s.heal();
  expect(await result()).toMatchObject({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
  await recordHistory('begun-anew', saga, s.env.address, first);
  await recordHistory('begun-anew-second-run', saga, s.env.address);
  expect((await s.money(order.id)).net).toBe(0);
  await assertStockConserved(s.db);
});
