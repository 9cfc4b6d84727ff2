/** What metrics say of orders, as Postgres knows it: which ended how, how long they took, and whether they were final in time. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { confirmOrder } from '../../domain/confirmation.js';
import { countDue, countFinal, readFeedEnd, readOpenOrders } from '../../domain/figures.js';
import { releaseInventory, reserveInventory } from '../../domain/inventory.js';
import { cancelOrder, requestCancellation } from '../../domain/orders.js';
import { FEED_START } from '../../domain/outbox.js';
import { recordCharge, recordRefund, shutPayment } from '../../domain/payments.js';
import { PROBE_CUSTOMER, probeCorrelationId } from '../../domain/probes.js';
import { accept, createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
afterAll(() => t.drop());

async function confirmed(): Promise<string> {
  const { id } = await accept(t.db, { A: 2 });
  await reserveInventory(t.db, id);
  await recordCharge(t.db, id, `pi_${id}`);
  await confirmOrder(t.db, id);
  return id;
}
async function takeBack(id: string): Promise<void> {
  await requestCancellation(t.db, id, { reason: 'OPERATOR' });
  await shutPayment(t.db, id);
  await recordRefund(t.db, id, { charge: `pi_${id}`, refund: `re_${id}`, gaveBack: 2_000 });
  await releaseInventory(t.db, id);
  expect(await cancelOrder(t.db, id)).toBe('done');
}
const end = async () => {
  await feedShowsAll(t.db);
  return (await readFeedEnd(t.db)) ?? FEED_START;
};

test('orders that ended are told by their end and worth, once, and one that is taken back by that, too', async () => {
  const from = await end();
  await confirmed();
  const other = await confirmed();
  const between = await end();
  const both = await countFinal(t.db, from, between);
  expect(both.reduce((sum, { count }) => sum + count, 0)).toBe(2);
  expect(both.reduce((sum, { amount }) => sum + amount, 0)).toBe(4_000);
  for (const group of both) {
    expect(group).toMatchObject({ status: 'CONFIRMED', reason: '', currency: 'USD', takenBack: false });
    expect(group.seconds).toBeGreaterThanOrEqual(0);
    expect(group.seconds).toBeLessThan(60);
  }
  await takeBack(other);
  const after = await countFinal(t.db, between, await end());
  expect(after).toMatchObject([{ status: 'CANCELLED', reason: 'OPERATOR', takenBack: true, count: 1, amount: 2_000 }]);
});

test('a probe of the doctor is none of them; what somebody has ordered in its name is', async () => {
  const from = await end();
  const [probe, order] = [
    await accept(t.db, { A: 1 }, { customerId: PROBE_CUSTOMER }),
    await accept(t.db, { A: 1 }, { customerId: PROBE_CUSTOMER }),
  ];
  await t.db.order.update({ where: { id: probe.id }, data: { correlationId: probeCorrelationId(probe.id) } });
  for (const { id } of [probe, order]) {
    await requestCancellation(t.db, id, { reason: 'OPERATOR' });
    expect(await cancelOrder(t.db, id)).toBe('done');
  }
  expect(await countFinal(t.db, from, await end())).toMatchObject([{ status: 'CANCELLED', count: 1, amount: 1_000 }]);
});

test('an order is late while it is open, or if its end came after its time, and not because of what came later', async () => {
  const from = new Date(Date.now() - 1);
  const { id: open } = await accept(t.db, { A: 1 });
  const late = await confirmed();
  const takenBackLater = await confirmed();
  await confirmed();
  const upTo = new Date();
  await t.db
    .$executeRaw`UPDATE orders SET updated_at = created_at + interval '31 s' WHERE id = ANY(${[late, takenBackLater]}::uuid[])`;
  await t.db.$executeRaw`
    UPDATE outbox SET occurred_at = occurred_at + interval '31 s' WHERE order_id = ${late}::uuid AND type = 'order.confirmed'`;
  expect(await countDue(t.db, from, upTo)).toEqual({ inTime: 2, late: 2 });
  expect(await countDue(t.db, upTo, new Date(upTo.getTime() + 60_000))).toEqual({ inTime: 0, late: 0 });
  const { count, oldestSeconds } = await readOpenOrders(t.db);
  expect(count).toBe(1);
  await confirm(open);
  expect(await readOpenOrders(t.db)).toEqual({ count: 0, oldestSeconds: 0 });
  expect(oldestSeconds).toBeLessThan(60);
});

async function confirm(id: string): Promise<void> {
  await reserveInventory(t.db, id);
  await recordCharge(t.db, id, `pi_${id}`);
  await confirmOrder(t.db, id);
}
