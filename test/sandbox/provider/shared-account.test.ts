/** What strangers do on the same account: all through the provider's own API, and all of it in the ledger. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type Stripe from 'stripe';
import { cleanUp, errorOf, intervene, ledgerOf, order, type Running, startSandbox } from '../support.js';

let sandbox: Running;
let stripe: Stripe;
beforeEach(async () => {
  sandbox = await startSandbox();
  stripe = sandbox.stripe;
});
afterEach(cleanUp);

const UUID = '4f6c1f9e-5a0f-4d3b-9b51-0d2f6d3a9f10';
const terms = { amount: 5_000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true };

it('charges without metadata and with metadata of others are theirs in the ledger', async () => {
  const bare = await stripe.paymentIntents.create(terms);
  expect(bare.metadata).toEqual({});
  await stripe.paymentIntents.create({ ...terms, metadata: { orderId: 'WOO-1001', site: 'https://shop.example' } });
  await stripe.paymentIntents.create({ ...terms, metadata: { orderId: UUID, installation: 'another' } });
  expect(await ledgerOf(sandbox)).toMatchObject({
    charges: { succeeded: 3 },
    chargesWithoutOrder: 1,
    ordersCharged: 2,
    currencies: { usd: { captured: 15_000, net: 15_000 } },
  });
  expect(await ledgerOf(sandbox, 'WOO-1001')).toMatchObject({ net: 5_000, charges: [{ held: 5_000 }] });
  expect(await ledgerOf(sandbox, UUID)).toMatchObject({ net: 5_000 });
  const found = await stripe.paymentIntents.search({ query: `metadata['orderId']:'${UUID}'` });
  expect(found.data).toMatchObject([{ metadata: { installation: 'another' } }]);
});

it('open intents of others wait, for their customer or for a card, and hold nothing', async () => {
  const metadata = { orderId: 'WOO-1002' };
  const asking = await stripe.paymentIntents.create({ ...order('WOO-1002', 'pm_card_authenticationRequired') });
  const waiting = await stripe.paymentIntents.create({ amount: 5_000, currency: 'usd', metadata });
  expect([asking.status, waiting.status]).toEqual(['requires_action', 'requires_payment_method']);
  expect(await ledgerOf(sandbox, 'WOO-1002')).toMatchObject({ captured: 0, net: 0, charges: [] });

  const paid = await intervene(sandbox, `payment_intents/${asking.id}/settle`);
  expect(paid.body).toMatchObject({ id: asking.id, status: 'succeeded', amount_received: 9_800 });
  expect(await ledgerOf(sandbox, 'WOO-1002')).toMatchObject({ captured: 9_800, charges: [{ held: 9_800 }] });
  expect((await intervene(sandbox, `payment_intents/${waiting.id}/settle`)).status).toBe(400);
});

it('a customer who fails to authenticate, and a charge that is declined while it is processing, leave nothing taken', async () => {
  await sandbox.close();
  sandbox = await startSandbox({ processingMs: 60_000 });
  for (const card of ['pm_card_authenticationRequired', 'pm_sandbox_processing']) {
    const { id } = await sandbox.stripe.paymentIntents.create(order(card, card));
    const declined = await intervene(sandbox, `payment_intents/${id}/decline`);
    expect(declined.body).toMatchObject({ status: 'requires_payment_method', amount_received: 0 });
    expect((await sandbox.stripe.paymentIntents.retrieve(id)).last_payment_error?.code).toBe('card_declined');
    expect(await ledgerOf(sandbox, card)).toMatchObject({ captured: 0, charges: [{ status: 'failed', held: 0 }] });
  }
});

it('a goodwill refund by hand carries whatever metadata it was given, and takes that much off the charge', async () => {
  const intent = await stripe.paymentIntents.create(order('o1'));
  const goodwill = { payment_intent: intent.id, amount: 500, metadata: { ticket: '4711', agent: 'ada' } };
  const refund = await stripe.refunds.create(goodwill);
  expect((await stripe.refunds.list({ payment_intent: intent.id })).data).toEqual([refund]);
  expect(refund.metadata).toEqual({ ticket: '4711', agent: 'ada' });
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({
    captured: 9_800,
    refunded: 500,
    net: 9_300,
    charges: [{ held: 9_300, amount_refunded: 500 }],
    refunds: [{ status: 'succeeded', metadata: { ticket: '4711' } }],
  });
});

it('the totals say per currency what was taken, given back, is under way and failed, without paging', async () => {
  const paid = async (orderId: string, currency: string, card?: string) =>
    (await stripe.paymentIntents.create({ ...order(orderId, card), currency })).id;
  const usd = await paid('o1', 'usd');
  await stripe.refunds.create({ payment_intent: usd, amount: 1_000 });
  const failing = await stripe.refunds.create({ payment_intent: usd, amount: 2_000 });
  await intervene(sandbox, `refunds/${failing.id}/fail`);
  await stripe.refunds.create({ payment_intent: await paid('o2', 'usd', 'pm_card_pendingRefund'), amount: 300 });
  const canceled = await stripe.refunds.create({ payment_intent: await paid('o3', 'eur', 'pm_card_pendingRefund') });
  await intervene(sandbox, `refunds/${canceled.id}/cancel`);
  await intervene(sandbox, `payment_intents/${await paid('o4', 'eur')}/dispute`);
  await errorOf(stripe.paymentIntents.create(order('o5', 'pm_card_chargeDeclined')));
  const none = { pending: 0, failed: 0, canceled: 0, disputed: 0 };
  expect(await ledgerOf(sandbox)).toMatchObject({
    charges: { succeeded: 4, failed: 1 },
    refunds: 4,
    refundsByStatus: { succeeded: 1, failed: 1, pending: 1, canceled: 1 },
    disputesByStatus: { needs_response: 1 },
    currencies: {
      usd: { ...none, captured: 19_600, refunded: 1_300, pending: 300, failed: 2_000, net: 18_300 },
      eur: { ...none, captured: 19_600, refunded: 0, canceled: 9_800, disputed: 9_800, net: 19_600 },
    },
  });
});
