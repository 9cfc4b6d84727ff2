/** An undo that fails for very long: its saga never meets the server's limit on a history's length. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { SagaProgress } from '../../contracts/saga.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';

/** Instead of some thousand events; the saga of this test reaches it with a few wakings. */
const LONG = 30;

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({ temporalConfig: [`limit.historyCount.suggestContinueAsNew=${LONG}`] });
  await stock(s.db, 'A', 10);
});
afterAll(() => s.stop());

test('a saga whose undo is woken again and again begins anew with an empty history, and still gives everything back', async () => {
  await s.fault({ route: 'all', mode: 'down', count: null });
  const { order, saga, result } = await s.place({ A: 1 });
  const first = (await saga.describe()).runId;
  await eventually('the charge backs off', async () => {
    const { steps } = await saga.query<SagaProgress>('progress');
    return steps.some(({ name, status }) => name === 'chargePayment' && status === 'retrying');
  });
  // Nobody knows whether money was taken, and the gateway cannot be asked: the refund fails.
  await saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] });

  await eventually(
    'another run has begun',
    async () => {
      await saga.signal('retry').catch(() => undefined); // between two runs there is nobody to wake
      return (await saga.describe()).runId !== first;
    },
    40_000,
  );
  expect((await saga.describe()).status.name).toBe('RUNNING');
  await s.heal();
  expect(await result()).toMatchObject({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
  expect((await s.money(order.id)).net).toBe(0);
  await assertStockConserved(s.db);
});
