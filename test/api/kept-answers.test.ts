/** What is kept of an answer, for its repetition: nothing of a person; and the answer is the same all the same, byte for byte. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import { putSku } from '../../domain/inventory.js';
import { cancelOrder } from '../../domain/orders.js';
import { startTestApi, type TestApi } from '../support/api.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await putSku(api.db, 'KEYBOARD', { name: 'Keyboard', unitPrice: 4_900, currency: 'USD', onHand: 1_000 });
});
afterAll(() => api?.stop());

const CANARIES = { customerId: 'cus_canary-1', externalOrderId: 'web-canary-2' };
const CORRELATION = 'call-canary-3';
const kept = async () =>
  JSON.stringify([
    await api.db.$queryRaw`SELECT response FROM idempotency_keys`,
    await api.db.$queryRaw`SELECT response FROM idempotency_answers`,
  ]);

test('a repeated order is answered byte for byte, of an answer that is kept without customer, number and correlation id', async () => {
  const headers = { 'idempotency-key': randomUUID(), 'x-correlation-id': CORRELATION };
  const first = await api.place(CANARIES, headers);
  expect(first.status).toBe(201);
  expect(first.body).toMatchObject({ ...CANARIES, correlationId: CORRELATION });
  const again = await api.place(CANARIES, { ...headers, 'x-correlation-id': 'another' });
  expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
  expect(again.text).toBe(first.text);
  expect(await kept()).not.toContain('canary');
});

test('a repeated cancellation is answered byte for byte, its reason too, which is not kept with the answer', async () => {
  const { body: order } = await api.place({ customerId: 'cus_canary-4' }, { 'x-correlation-id': CORRELATION });
  const reason = { reason: 'canary "5" \\ Ahornweg 🏠' };
  const cancel = () =>
    api.send<Order>('POST', `/orders/${order.id}/cancel`, reason, { 'idempotency-key': 'cancelled' });
  await api.send('POST', `/orders/${order.id}/cancel`, reason);
  await cancelOrder(api.db, order.id);
  const first = await cancel();
  expect(first.body.cancellation?.message).toBe(reason.reason);
  const again = await cancel();
  expect([again.status, again.headers.get('idempotent-replayed'), again.text]).toEqual([202, 'true', first.text]);
  expect(await kept()).not.toMatch(/canary|Ahornweg/);
});

test('an answer of before, which was kept whole, is given as it stands', async () => {
  const headers = { 'idempotency-key': randomUUID() };
  const first = await api.place({ customerId: 'cus_before' }, headers);
  const whole = first.text.replace('PENDING', 'PENDING'.toLowerCase());
  await api.db.$executeRaw`UPDATE idempotency_keys SET response = ${whole} WHERE key = ${headers['idempotency-key']}`;
  expect((await api.place({ customerId: 'cus_before' }, headers)).text).toBe(whole);
});
