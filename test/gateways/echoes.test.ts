/** What the gateway says that it has is held against what the order costs, whichever way it is learnt of. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { charge, failureOf, refund, unwind } from '../activities/undo.js';
import { type TestLedgers, openLedgers } from '../reconciliation/support.js';
import { json, startOddGateway } from './odd-gateway.js';

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers();
});
afterEach(() => b.heal());
afterAll(() => b.stop());

const WRONG = [{ amount: 999 }, { amount: 100_000 }, { currency: 'eur' }];
const MISMATCH = { name: 'GatewayMismatch' };
/** Search is late, as at the provider: the list is asked. */
const searchIsLate = () => b.fault({ mode: 'empty_page', route: 'search' });

describe.each(WRONG)('an answer of %j instead of 1000 USD', (wrong) => {
  const lie = (route: string) => b.fault({ mode: 'wrong_echo', route, ...wrong });

  test('to a charge is a mismatch, and no payment', async () => {
    const orderId = randomUUID();
    await lie('charge');
    await expect(b.gateway.charge(b.request(orderId))).rejects.toMatchObject(MISMATCH);
  });

  test('by the intent itself, once it has been processed', async () => {
    await lie('retrieve');
    const request = { ...b.request(randomUUID()), paymentMethod: 'pm_sandbox_processing' };
    await expect(b.gateway.charge(request)).rejects.toMatchObject(MISMATCH);
  });

  test.each(['search', 'list'])('by %s, where the answer to a charge was lost', async (route) => {
    const orderId = randomUUID();
    await b.fault({ mode: 'error_after', route: 'charge', count: 1 });
    await lie(route);
    if (route === 'list') await searchIsLate();
    for (const _ of ['now', 'and when the stored answer is replayed'])
      await expect(b.gateway.charge(b.request(orderId))).rejects.toMatchObject(MISMATCH);
    await b.heal();
    expect(await b.gateway.charge(b.request(orderId))).toMatchObject({ outcome: 'charged' });
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000 });
  });

  test.each(['search', 'list'])('by %s is never taken for "no charge" when the order is undone', async (route) => {
    const order = await b.pending();
    await b.takeMoney(order.id);
    await unwind(b, order.id);
    await lie(route);
    if (route === 'list') await searchIsLate();
    expect((await failureOf(refund(b, order.id))).need).toBe('GatewayMismatch');
    expect(await b.ledger(order.id)).toMatchObject({ net: 1_000 });
    await b.heal();
    expect((await refund(b, order.id)).undone).toBe('done');
    expect(await b.ledger(order.id)).toMatchObject({ net: 0 });
  });
});

test('a step that meets a mismatch asks for an operator at once', async () => {
  const order = await b.pending();
  await b.fault({ mode: 'wrong_echo', route: 'charge', amount: 999 });
  const { need, failure } = await failureOf(charge(b, order.id));
  expect([need, failure.nonRetryable]).toEqual(['GatewayMismatch', true]);
  expect(failure.message).toContain('999');
  expect(await b.db.payment.findUnique({ where: { orderId: order.id } })).toBeNull();
  await b.heal();
  await unwind(b, order.id);
  expect((await refund(b, order.id)).undone).toBe('done');
  expect(await b.ledger(order.id)).toMatchObject({ captured: 1_000, net: 0 });
});

test.each([999, 0, 1_001])(
  'a charge that says it has succeeded, and has taken %i of 1000, is no payment',
  async (received) => {
    const odd = await startOddGateway(1_000);
    try {
      const created = Math.floor(Date.now() / 1_000);
      const orderId = randomUUID();
      const intent = {
        id: 'pi_1',
        object: 'payment_intent',
        status: 'succeeded',
        amount: 1_000,
        currency: 'usd',
        created,
        metadata: { orderId, installationId: b.installationId, purpose: 'order' }, // else it would be refused as a stranger's
      };
      odd.answer = (_request, response) => json(response, { ...intent, amount_received: received });
      await expect(odd.gateway.charge(b.request(orderId))).rejects.toMatchObject(MISMATCH);
    } finally {
      await odd.stop();
    }
  },
);

test('an order that waited a day is not called paid by a charge of another amount in its name', async () => {
  const order = await b.pending();
  await b.takeMoney(order.id, { amount: 1_200 });
  const old = { ...b.request(order.id), since: new Date(Date.now() - 21 * 3_600_000) };
  await expect(b.gateway.charge(old)).rejects.toMatchObject(MISMATCH);
  expect(await b.ledger(order.id)).toMatchObject({ captured: 1_200 });
});
