/** Two charges of one confirmed order, of which the one on record no longer pays for it: what an operator orders of the other is done. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { refundReported } from '../../domain/finding-closures.js';
import { openFinding } from '../../domain/reconciliation.js';
import { type Finding, listFindings } from '../../domain/reconciliation-findings.js';
import { GatewayUnknown } from '../../gateways/payments.js';
import { type TestLedgers, openLedgers } from './support.js';

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers();
});
afterEach(() => b.heal());
afterAll(() => b.stop());

const found = async (orderId: string): Promise<Finding | undefined> =>
  (await listFindings(b.db, { orderId })).find(({ kind }) => kind === 'DOUBLE_CHARGE');
const giveBack = async (orderId: string) =>
  refundReported(b.db, (await found(orderId))?.id ?? '', { operator: 'op-1', reason: 'ticket 12' });
const holds = async (reference: string) => {
  const charge = await b.gateway.readCharge(reference);
  return charge && charge.received - charge.refunded;
};
const unanswered = {
  refund: async (): Promise<never> => {
    throw new GatewayUnknown('The payment gateway did not answer');
  },
};

/** An order with two charges, both ours, of which an operator has given the one on record back in the dashboard. */
async function givenBackByHand() {
  const { order, reference } = await b.confirmed();
  const other = await b.takeMoney(order.id);
  await b.byHand(reference);
  await b.reconcile({}, [order.id]);
  expect(await found(order.id)).toMatchObject({ reference: other, action: 'reported' });
  expect(await holds(other)).toBe(1_000);
  return { orderId: order.id, other };
}

test('a charge that an operator orders to be given back, told that no other pays for the order, goes back', async () => {
  const { orderId, other } = await givenBackByHand();
  expect(await giveBack(orderId)).toBe(true);
  expect(await b.reconcile({}, [orderId])).toMatchObject({ refunded: 1 });
  expect(await found(orderId)).toMatchObject({ action: 'refunded' });
  expect(await holds(other)).toBe(0);
  expect(await b.reconcile({}, [orderId])).toMatchObject({ refunded: 0, reported: 0 });
});

test('it goes back as well when the gateway does not answer at first', async () => {
  const { orderId, other } = await givenBackByHand();
  await giveBack(orderId);
  const gateway = { ...b.gateway, ...unanswered };
  for (let pass = 0; pass < 2; pass++) await b.reconcile({ gateway }, [orderId]).catch(() => undefined);
  expect(await found(orderId)).toMatchObject({
    action: 'refunding',
    detail: expect.stringContaining('did not answer'),
  });
  expect(await b.reconcile({}, [orderId])).toMatchObject({ refunded: 1 });
  expect(await holds(other)).toBe(0);
});

test('a surplus in hand is for an operator again once it is all that the order was paid with', async () => {
  const { order, reference } = await b.confirmed();
  const other = await b.takeMoney(order.id);
  const gateway = { ...b.gateway, ...unanswered };
  await b.reconcile({ gateway }, [order.id]).catch(() => undefined);
  expect(await found(order.id)).toMatchObject({ reference: other, action: 'refunding' });
  await b.byHand(reference);
  expect((await b.reconcile({}, [order.id])).reported).toBeGreaterThan(0);
  expect(await found(order.id)).toMatchObject({
    action: 'reported',
    detail: expect.stringContaining('another charge on record'),
  });
  expect(await holds(other)).toBe(1_000);
  expect(await b.reconcile({}, [order.id])).toMatchObject({ reported: 0 });
  // What they say knowing that is done.
  await giveBack(order.id);
  expect(await b.reconcile({}, [order.id])).toMatchObject({ refunded: 1 });
});

test('what an operator said when another charge still paid for the order moves nothing once none does', async () => {
  const { order, reference } = await b.confirmed();
  const other = await b.takeMoney(order.id);
  const subject = { reference: other, orderId: order.id, amount: 1_000, currency: 'USD' };
  await openFinding(b.db, 'DOUBLE_CHARGE', 'reported', subject, `two refunds have failed, ${randomUUID()}`);
  await giveBack(order.id);
  await b.byHand(reference);
  expect(await b.reconcile({}, [order.id])).toMatchObject({ refunded: 0 });
  expect(await found(order.id)).toMatchObject({ action: 'reported' });
  expect(await holds(other)).toBe(1_000);
});
