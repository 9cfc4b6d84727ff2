/** A card whose customer is not there to authenticate is declined, whatever became of the attempt that called its charge off. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { reserveInventory } from '../../domain/inventory.js';
import { type Gateway, GatewayUnknown } from '../../gateways/payments.js';
import { json, type OddGateway, startOddGateway } from '../gateways/odd-gateway.js';
import { openLedgers, type TestLedgers } from '../reconciliation/support.js';
import { accept } from '../support/database.js';
import { charge, failureOf, finish, refund, unwind } from './undo.js';

let b: TestLedgers;
let odd: OddGateway;
beforeAll(async () => {
  [b, odd] = await Promise.all([openLedgers(), startOddGateway(1_000)]);
});
afterEach(() => {
  odd.asked.length = 0;
  return b.heal();
});
afterAll(() => Promise.all([b.stop(), odd.stop()]));

const UNAUTHENTICATED = 'authentication_required';

async function ordered(paymentMethod = 'pm_card_authenticationRequired'): Promise<string> {
  const order = await accept(b.db, { A: 1 }, { paymentMethod });
  await reserveInventory(b.db, order.id);
  return order.id;
}
/** It has called the charge off, and nobody hears of it. */
const unheard = (gateway: Gateway): Gateway => ({
  ...gateway,
  charge: async (request) => {
    await gateway.charge(request);
    throw new GatewayUnknown('The payment gateway did not answer');
  },
});
const paymentOf = (orderId: string) => b.db.payment.findUnique({ where: { orderId } });
const declinesOf = async (orderId: string) =>
  (await b.db.event.findMany({ where: { orderId, type: 'payment.declined' } })).map(({ data }) => data);
/** As every attempt of one order must end, once it has been called off. */
async function isDeclined(orderId: string): Promise<void> {
  expect(await paymentOf(orderId)).toMatchObject({ status: 'DECLINED', declineCode: UNAUTHENTICATED });
  expect(await declinesOf(orderId)).toMatchObject([{ orderId }]);
  expect((await refund(b, orderId)).undone).toBe('nothing');
  expect(await finish(b, orderId)).toBe('CANCELLED');
  expect(await b.ledger(orderId)).toMatchObject({ captured: 0 });
}

describe('a charge that waits for its customer, and was called off by an attempt', () => {
  test('that nobody heard of is declined by the next one, in the same word', async () => {
    const orderId = await ordered();
    expect((await failureOf(charge(b, orderId, { gateway: unheard(b.gateway) }))).failure.type).toBe('GatewayUnknown');
    expect(await paymentOf(orderId)).toBeNull();
    await b.requests();
    const { failure } = await failureOf(charge(b, orderId, { attempt: 2 }));
    expect([failure.type, failure.message]).toEqual(['Refusal', 'Refused: PAYMENT_DECLINED']);
    // Its key's answer, and how it stands now: there is nothing to be called off any more.
    expect(await b.requests()).toEqual({ 'POST /v1/payment_intents': 1, 'GET /v1/payment_intents/:id': 1 });
    await isDeclined(orderId);
  });

  test('that could not record its decline is declined by the next one', async () => {
    const orderId = await ordered();
    await b.db.$executeRaw`ALTER TABLE payments ADD CONSTRAINT away CHECK (status <> 'DECLINED') NOT VALID`;
    await failureOf(charge(b, orderId)).finally(() => b.db.$executeRaw`ALTER TABLE payments DROP CONSTRAINT away`);
    expect(await paymentOf(orderId)).toBeNull();
    expect((await failureOf(charge(b, orderId, { attempt: 2 }))).failure.type).toBe('Refusal');
    await isDeclined(orderId);
  });
});

describe('a charge that waits for its customer, and is something else by the time that it is called off', () => {
  const intentOf = (orderId: string, status: string) => ({
    id: 'pi_odd',
    object: 'payment_intent',
    status,
    amount: 1_000,
    amount_received: status === 'succeeded' ? 1_000 : 0,
    currency: 'usd',
    created: Math.floor(Date.now() / 1_000),
    metadata: { orderId, installationId: b.installationId, purpose: 'order' },
  });
  const refusal = { error: { type: 'invalid_request_error', code: 'payment_intent_unexpected_state', message: 'No.' } };
  /** It waits until it is called off, which is refused. */
  const becomes = (orderId: string, status: string): void => {
    let isRefused = false;
    odd.answer = ({ method, url = '' }, response) => {
      if (method === 'GET' && url.includes('/search'))
        return json(response, { object: 'search_result', data: [intentOf(orderId, 'requires_action')] });
      if (!url.includes('/cancel')) return json(response, intentOf(orderId, isRefused ? status : 'requires_action'));
      isRefused = true;
      return json(response, refusal, 400);
    };
  };
  const chargeOdd = (orderId: string, attempt = 1) => charge(b, orderId, { gateway: odd.gateway, attempt });

  test.each(['canceled', 'requires_payment_method'])('%s is declined', async (status) => {
    const orderId = await ordered();
    becomes(orderId, status);
    expect((await failureOf(chargeOdd(orderId))).failure.type).toBe('Refusal');
    expect(await paymentOf(orderId)).toMatchObject({ status: 'DECLINED', declineCode: UNAUTHENTICATED });
  });

  test('completed by its customer is charged', async () => {
    const orderId = await ordered();
    becomes(orderId, 'succeeded');
    await chargeOdd(orderId);
    expect(await paymentOf(orderId)).toMatchObject({ status: 'CHARGED', gatewayReference: 'pi_odd' });
  });

  test.each(['processing', 'requires_action'])('%s is neither charged nor declined yet', async (status) => {
    const orderId = await ordered();
    becomes(orderId, status);
    expect((await failureOf(chargeOdd(orderId))).failure.type).toBe('GatewayUnknown');
    expect(await paymentOf(orderId)).toBeNull();
  });

  test('is seen by the undo, too: a search that shows it as it was keeps nothing from its end', async () => {
    const [calledOff, completed] = [await ordered(), await ordered()];
    for (const orderId of [calledOff, completed]) await unwind(b, orderId);
    becomes(calledOff, 'canceled');
    const list = odd.answer;
    odd.answer = (request, response) => {
      if (request.method === 'GET' && /payment_intents\?/.test(request.url ?? ''))
        return json(response, { object: 'list', data: [], has_more: false });
      return list(request, response);
    };
    expect((await refund(b, calledOff, { gateway: odd.gateway })).undone).toBe('nothing');
    becomes(completed, 'succeeded');
    const held = await odd.gateway.settleOpenCharges({
      due: { orderId: completed, installationId: b.installationId, amount: 1_000, currency: 'USD' },
      spans: [],
      dbNow: new Date(),
    });
    expect(held).toEqual([{ reference: 'pi_odd', refunded: 0 }]);
  });
});
