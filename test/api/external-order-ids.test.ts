/** A shop's own order number after its first order came to nothing: it may be ordered again, and never twice at a time. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openDatabase } from '../../runtime/database.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { releaseInventory, reserveInventory } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder, requestCancellation } from '../../domain/orders.js';
import { recordCharge, recordRefund, shutPayment } from '../../domain/payments.js';
import type { Order } from '../../contracts/orders.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { stock } from '../support/database.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 10_000);
});
afterAll(() => api.stop());

const declined = { reason: 'PAYMENT_DECLINED' as const };

async function place(externalOrderId: string, headers = {}): Promise<string> {
  const answer = await api.place({ externalOrderId }, headers);
  expect(answer.status).toBe(201);
  return answer.body.id;
}
const expectTaken = async (externalOrderId: string, by: string) =>
  expect(expectProblem(await api.place({ externalOrderId }), 409, 'order-exists').orderId).toBe(by);

test('of a declined order is free again when the order is CANCELLED, not before', async () => {
  const first = await place('declined');
  await beginUnwinding(api.db, first, declined);
  await expectTaken('declined', first);
  await cancelOrder(api.db, first);
  const second = await place('declined');
  await expectTaken('declined', second);
  await beginUnwinding(api.db, second, declined);
  await cancelOrder(api.db, second);
  const third = await place('declined');
  const { orders } = (await api.get<{ orders: Order[] }>('/orders?customerId=cus_42')).body;
  const same = orders.filter((order) => order.externalOrderId === 'declined');
  expect(same.map(({ id, status }) => [id, status])).toEqual([
    [third, 'PENDING'],
    [second, 'CANCELLED'],
    [first, 'CANCELLED'],
  ]);
});

test('of an order that was confirmed and then cancelled is free as well', async () => {
  const first = await place('taken-back');
  await reserveInventory(api.db, first);
  await recordCharge(api.db, first, 'pi_taken_back');
  await confirmOrder(api.db, first);
  await expectTaken('taken-back', first);
  await requestCancellation(api.db, first, { reason: 'CANCELLED_BY_CUSTOMER' });
  await expectTaken('taken-back', first);
  await shutPayment(api.db, first);
  await recordRefund(api.db, first, { charge: 'pi_taken_back', refund: 're_taken_back', gaveBack: 2_000 });
  await releaseInventory(api.db, first);
  await cancelOrder(api.db, first);
  await place('taken-back');
});

test('an Idempotency-Key goes on answering with its own first order', async () => {
  const key = { 'idempotency-key': 'of-the-first' };
  const first = await api.place({ externalOrderId: 'replayed' }, key);
  await beginUnwinding(api.db, first.body.id, declined);
  await cancelOrder(api.db, first.body.id);
  await place('replayed');
  const replay = await api.place({ externalOrderId: 'replayed' }, key);
  expect([replay.status, replay.text]).toEqual([201, first.text]);
});

test('twenty who order again at once make one order', async () => {
  const first = await place('again');
  await beginUnwinding(api.db, first, declined);
  await cancelOrder(api.db, first);
  const answers = await Promise.all(Array.from({ length: 20 }, () => api.place({ externalOrderId: 'again' })));
  const [winner, ...others] = answers.filter(({ status }) => status === 201);
  expect(others).toEqual([]);
  for (const loser of answers.filter(({ status }) => status !== 201))
    expect(expectProblem(loser, 409, 'order-exists').orderId).toBe(winner?.body.id);
});

test.each([true, false])(
  'a second order that arrives while the first is being cancelled is refused until that is committed (it is: %s)',
  async (commits) => {
    const number = `while-cancelling-${commits}`;
    const first = await place(number);
    await beginUnwinding(api.db, first, declined);
    const other = openDatabase(api.databaseUrl, 1);
    const second = () => api.place({ externalOrderId: number });
    const cancelling = other.$transaction(
      async (tx) => {
        await cancelOrder(tx, first);
        expect(expectProblem(await second(), 409, 'order-exists').orderId).toBe(first);
        if (!commits) throw new Error('rolled back');
      },
      { timeout: 30_000 },
    );
    await (commits ? cancelling : expect(cancelling).rejects.toThrow('rolled back'));
    await other.$disconnect();
    if (commits) expect((await second()).status).toBe(201);
    else expect(expectProblem(await second(), 409, 'order-exists').orderId).toBe(first);
  },
);

test('the index has the name by which the previous release knows a number that is taken', async () => {
  const [index] = await api.db.$queryRaw<{ indexdef: string }[]>`
    SELECT indexdef FROM pg_indexes WHERE indexname = 'orders_external_order_id_key'`;
  expect(index?.indexdef).toMatch(/^CREATE UNIQUE INDEX .* WHERE .*status <> 'CANCELLED'/);
});
