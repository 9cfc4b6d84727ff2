/** Every kind of event, written by real sagas and steps, is what its schema says. The stories check theirs as well. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ORDER_EVENT_TYPES } from '../../contracts/event-schemas.js';
import { LAST_UNDO, PLAN, STEPS, stepsOf, undosOf } from '../../contracts/plan.js';
import { sagaStart } from '../../contracts/saga.js';
import { beginUnwinding, requestCancellation } from '../../domain/orders.js';
import { checkContracts } from '../support/contracts.js';
import { accept, stock } from '../support/database.js';
import { outcomeOf } from '../support/outcome.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { ALL_DONE, ALL_UNDONE } from '../../verification/stories.js';

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'PLENTY', 1_000);
  await stock(s.db, 'NONE', 0);
  await stock(s.db, 'GIFT', 1_000, 0);
});
afterAll(() => s.stop());

async function cancelConfirmed(orderId: string): Promise<void> {
  await requestCancellation(s.db, orderId, { reason: 'CANCELLED_BY_CUSTOMER' });
  const order = { id: orderId, customer: 'cus_test', correlationId: 'c' };
  const start = sagaStart({ ...order, kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' }, PATIENT);
  await outcomeOf(await s.client.workflow.start(start.type, start.options));
}

/** An order of something that has left the catalogue before its saga began. */
async function placeWithdrawn() {
  await stock(s.db, 'WITHDRAWN', 10);
  const order = await accept(s.db, { PLENTY: 1, WITHDRAWN: 1 });
  await s.db.inventory.delete({ where: { sku: 'WITHDRAWN' } });
  const { type, options } = sagaStart({ ...order, kind: 'order' }, PATIENT);
  const saga = await s.client.workflow.start(type, options);
  return { order, result: () => outcomeOf(saga) };
}

test('orders confirmed, refused, unknown, declined, worth nothing, and taken back', async () => {
  const results = await Promise.all([
    s.place({ PLENTY: 2 }),
    s.place({ GIFT: 2 }),
    s.place({ PLENTY: 1, NONE: 1 }),
    placeWithdrawn(),
    s.place({ PLENTY: 1 }, { paymentMethod: 'pm_card_chargeDeclined' }),
  ]);
  const ends = await Promise.all(results.map(({ result }) => result()));
  expect(ends.map((end) => ('reason' in end ? end.reason : end.status))).toEqual([
    'CONFIRMED',
    'CONFIRMED',
    'OUT_OF_STOCK',
    'UNKNOWN_SKU',
    'PAYMENT_DECLINED',
  ]);
  for (const { order } of results.slice(0, 2)) await cancelConfirmed(order.id);
  const { types, breaches } = await checkContracts(s.db);
  expect(breaches).toEqual([]);
  expect(types).toEqual([...ORDER_EVENT_TYPES].sort());
});

test('steps and undos that an operator vouches for', async () => {
  const { id: orderId } = await accept(s.db, { PLENTY: 1 });
  const byHand = { skippedBy: 'op-7' };
  for (const step of STEPS) await s.runActivity(step, { orderId, ...byHand });
  await requestCancellation(s.db, orderId, { reason: 'OPERATOR' });
  for (const undo of [...undosOf(stepsOf(PLAN)), LAST_UNDO]) await s.runActivity(undo, { orderId, ...byHand });

  // What was done by ourselves, and is undone by hand; the charge's undo by hand is above.
  const { id: held } = await accept(s.db, { PLENTY: 1 });
  const own = PLAN.beforePivot.filter((step) => !('sharesPivot' in step));
  for (const { name } of own) await s.runActivity(name, { orderId: held });
  await beginUnwinding(s.db, held, { reason: 'OPERATOR' });
  for (const undo of undosOf(own)) await s.runActivity(undo, { orderId: held, ...byHand });

  const skipped = await s.db.event.findMany({ where: { data: { path: ['skippedBy'], equals: 'op-7' } } });
  expect([...new Set(skipped.map(({ type }) => type))].sort()).toEqual([...ALL_DONE, ...ALL_UNDONE].sort());
  expect((await checkContracts(s.db)).breaches).toEqual([]);
});

test('an event that breaks its contract is found by this check', async () => {
  const { id: orderId } = await accept(s.db, { PLENTY: 1 });
  await s.db.$executeRaw`UPDATE outbox SET data = data || '{"surprise": 1}' WHERE order_id = ${orderId}::uuid`;
  const { breaches } = await checkContracts(s.db);
  expect(breaches).toEqual([expect.stringContaining('"additionalProperty":"surprise"')]);
});
