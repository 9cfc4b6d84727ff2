import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { GatewayUnknown } from '../../gateways/payments.js';
import { type TestLedgers, openLedgers } from '../reconciliation/support.js';

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers();
});
afterEach(() => b.heal());
afterAll(() => b.stop());

const HOUR_MS = 3_600_000;
const request = (orderId: string, since = new Date()) => ({ ...b.request(orderId), since });

test('an order that is retried after the gateway has forgotten its key is still charged once', async () => {
  const orderId = randomUUID();
  const first = await b.gateway.charge(request(orderId));
  b.setClock(25 * HOUR_MS);
  expect(await b.gateway.charge(request(orderId, new Date(Date.now() - 25 * HOUR_MS)))).toEqual(first);
  expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 1_000 });
});

test('an old order that was never charged is charged, once', async () => {
  const orderId = randomUUID();
  const old = request(orderId, new Date(Date.now() - 48 * HOUR_MS));
  const first = await b.gateway.charge(old);
  expect(first).toMatchObject({ outcome: 'charged' });
  expect(await b.gateway.charge(old)).toEqual(first);
  expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000 });
});

test('the ledger is read page by page, newest first, with what was given back', async () => {
  const since = new Date(Date.now() + 30 * HOUR_MS);
  b.setClock(31 * HOUR_MS);
  const orderIds = Array.from({ length: 105 }, () => randomUUID());
  for (const orderId of orderIds) await b.gateway.charge(request(orderId));
  const first = await b.gateway.listCharges({ since });
  expect(first.items).toHaveLength(100);
  const second = await b.gateway.listCharges({ since, ...(first.after !== undefined && { after: first.after }) });
  expect(second.after).toBeUndefined();
  const all = [...first.items, ...second.items];
  expect(all.map((charge) => charge.orderId)).toEqual(orderIds.reverse());
  const [charge] = all;
  if (!charge) throw new Error('there is no charge');
  expect(charge).toMatchObject({ state: 'succeeded', received: 1_000, refunded: 0, currency: 'USD' });
  await b.giveBack(charge.orderId ?? '', charge.reference);
  expect(await b.gateway.readCharge(charge.reference)).toMatchObject({ received: 1_000, refunded: 1_000 });
  expect((await b.gateway.listRefunds({ since })).items).toMatchObject([
    { chargeReference: charge.reference, status: 'succeeded', amount: 1_000 },
  ]);
});

test('what the gateway does not have differs from what it does not say', async () => {
  expect(await b.gateway.readCharge('pi_absent')).toBeNull();
  await b.fault({ mode: 'down', route: 'lookup' });
  await expect(b.gateway.readCharge('pi_absent')).rejects.toBeInstanceOf(GatewayUnknown);
});

test('no order’s name becomes a query of its own', async () => {
  expect(await b.gateway.findCharges("x' OR status:'succeeded")).toEqual([]);
});
