import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type Stripe from 'stripe';
import { cleanUp, errorOf, intervene, ledgerOf, order, type Running, startSandbox, until } from '../support.js';

const DAY = 24 * 3_600_000;

let now: number;
let sandbox: Running;
let stripe: Stripe;
beforeEach(async () => {
  now = Date.UTC(2030, 0, 1);
  sandbox = await startSandbox({ now: () => now, disputeAfterMs: 30 * DAY });
  stripe = sandbox.stripe;
});
afterEach(cleanUp);

const paid = (card = 'pm_card_visa', orderId = 'o1') => stripe.paymentIntents.create(order(orderId, card));
const chargeOf = (intent: Stripe.PaymentIntent) => stripe.charges.retrieve(intent.latest_charge as string);
const dispute = async (intent: Stripe.PaymentIntent, terms?: object) =>
  (await intervene(sandbox, `payment_intents/${intent.id}/dispute`, terms)).body as unknown as Stripe.Dispute;

describe('pm_card_createDispute', () => {
  it('is paid, and disputed in its time: the charge says so, and the dispute can be found', async () => {
    const intent = await paid('pm_card_createDispute');
    expect((await stripe.disputes.list()).data).toEqual([]);
    expect((await chargeOf(intent)).disputed).toBe(false);
    now += 30 * DAY;
    const [found] = (await stripe.disputes.list({ payment_intent: intent.id })).data;
    expect(found).toMatchObject({
      object: 'dispute',
      amount: 9_800,
      currency: 'usd',
      reason: 'fraudulent',
      status: 'needs_response',
      charge: intent.latest_charge,
      payment_intent: intent.id,
      is_charge_refundable: false,
    });
    expect(await stripe.disputes.retrieve(found?.id ?? '')).toEqual(found);
    expect((await chargeOf(intent)).disputed).toBe(true);
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ disputed: 9_800, net: 9_800 });
  });

  it('leaves alone what was refunded in full before', async () => {
    const intent = await paid('pm_card_createDispute');
    await stripe.refunds.create({ payment_intent: intent.id });
    now += 31 * DAY;
    expect((await stripe.disputes.list()).data).toEqual([]);
    expect((await chargeOf(intent)).disputed).toBe(false);
  });

  it('disputes after a restart too, once', async () => {
    const intent = await paid('pm_card_createDispute');
    await sandbox.close();
    now += 31 * DAY;
    for (let starts = 0; starts < 2; starts += 1) {
      sandbox = await startSandbox({ now: () => now, dataDir: sandbox.dataDir });
      expect((await sandbox.stripe.disputes.list({ payment_intent: intent.id })).data).toHaveLength(1);
      await sandbox.close();
    }
  });
});

it('is not disputed early because its time is further off than a timer can hold', async () => {
  const patient = await startSandbox({ disputeAfterMs: 2 ** 31 + 20, refundSettlesAfterMs: 150 });
  await patient.stripe.paymentIntents.create(order('o1', 'pm_card_createDispute'));
  const { id } = await patient.stripe.paymentIntents.create(order('o2', 'pm_card_pendingRefund'));
  const refund = await patient.stripe.refunds.create({ payment_intent: id });
  await until(async () => (await patient.stripe.refunds.retrieve(refund.id)).status === 'succeeded' || undefined);
  expect((await patient.stripe.disputes.list()).data).toEqual([]);
});

describe('while the bank has the money', () => {
  it('a refund is refused, for good if the dispute is lost', async () => {
    const intent = await paid();
    const { id } = await dispute(intent);
    const refund = () => stripe.refunds.create({ payment_intent: intent.id });
    expect(await errorOf(refund())).toMatchObject({ statusCode: 400, code: 'charge_disputed' });
    expect((await errorOf(refund())).message).toMatch(/has been charged back; cannot issue a refund/);
    await intervene(sandbox, `disputes/${id}/lose`);
    expect((await errorOf(refund())).code).toBe('charge_disputed');
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ disputed: 9_800 });
  });

  it('a refund that was under way fails, because the charge was disputed', async () => {
    const intent = await paid('pm_card_pendingRefund');
    const { id } = await stripe.refunds.create({ payment_intent: intent.id, amount: 800 });
    expect(await dispute(intent)).toMatchObject({ amount: 9_800 });
    expect(await stripe.refunds.retrieve(id)).toMatchObject({
      status: 'failed',
      failure_reason: 'charge_for_pending_refund_disputed',
    });
    expect(await chargeOf(intent)).toMatchObject({ amount_refunded: 0, disputed: true });
  });

  it('only what has not gone back already is disputed', async () => {
    const intent = await paid();
    await stripe.refunds.create({ payment_intent: intent.id, amount: 800 });
    expect(await dispute(intent)).toMatchObject({ amount: 9_000 });
  });
});

it('a dispute that is won gives the money back: the charge can be refunded again, and was disputed all the same', async () => {
  const intent = await paid();
  const { id } = await dispute(intent, { reason: 'product_not_received', amount: 500 });
  const won = await intervene(sandbox, `disputes/${id}/win`);
  expect(won.body).toMatchObject({ id, status: 'won', reason: 'product_not_received', amount: 500 });
  expect((await stripe.refunds.create({ payment_intent: intent.id })).status).toBe('succeeded');
  expect((await chargeOf(intent)).disputed).toBe(true);
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ disputed: 0 });
  expect((await intervene(sandbox, `disputes/${id}/lose`)).status).toBe(400);
});

it('an inquiry takes nothing back, and its charge can be refunded', async () => {
  const intent = await paid('pm_card_createDisputeInquiry');
  now += 31 * DAY;
  const [inquiry] = (await stripe.disputes.list()).data;
  expect(inquiry).toMatchObject({ status: 'warning_needs_response', is_charge_refundable: true });
  expect((await stripe.refunds.create({ payment_intent: intent.id })).status).toBe('succeeded');
});

it('disputes are listed newest first, by charge, by intent, by time and in pages', async () => {
  const intents: Stripe.PaymentIntent[] = [];
  const ids: string[] = [];
  for (let n = 0; n < 4; n += 1) {
    const intent = await paid('pm_card_visa', `o${n}`);
    now += DAY;
    intents.unshift(intent);
    ids.unshift((await dispute(intent)).id);
  }
  const first = await stripe.disputes.list({ limit: 3 });
  expect(first).toMatchObject({ object: 'list', has_more: true });
  expect(first.data.map(({ id }) => id)).toEqual(ids.slice(0, 3));
  const rest = await stripe.disputes.list({ starting_after: ids[2] as string });
  expect(rest.data.map(({ id }) => id)).toEqual([ids[3]]);
  const charge = intents[1]?.latest_charge as string;
  expect((await stripe.disputes.list({ charge })).data.map(({ id }) => id)).toEqual([ids[1]]);
  const since = await stripe.disputes.list({ created: { gte: first.data[1]?.created as number } });
  expect(since.data.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  expect((await errorOf(stripe.disputes.retrieve('dp_none'))).statusCode).toBe(404);
});

it('refuses to dispute what was never paid, went back, or is disputed already', async () => {
  const waiting = await stripe.paymentIntents.create({ amount: 500, currency: 'usd' });
  expect((await intervene(sandbox, `payment_intents/${waiting.id}/dispute`)).status).toBe(400);
  expect((await intervene(sandbox, 'payment_intents/pi_none/dispute')).status).toBe(404);
  const back = await paid();
  await stripe.refunds.create({ payment_intent: back.id });
  expect((await intervene(sandbox, `charges/${back.latest_charge}/dispute`)).status).toBe(400);
  const twice = await paid();
  expect((await intervene(sandbox, `charges/${twice.latest_charge}/dispute`)).status).toBe(200);
  expect((await intervene(sandbox, `charges/${twice.latest_charge}/dispute`)).status).toBe(400);
});
