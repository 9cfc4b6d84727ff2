import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type Stripe from 'stripe';
import { cleanUp, errorOf, ledgerOf, order, type Running, startSandbox } from '../support.js';

let sandbox: Running;
let stripe: Stripe;
let intent: Stripe.PaymentIntent;
beforeEach(async () => {
  sandbox = await startSandbox();
  stripe = sandbox.stripe;
  intent = await stripe.paymentIntents.create(order('o1'));
});
afterEach(cleanUp);

it('gives everything back when no amount is named', async () => {
  const refund = await stripe.refunds.create({ payment_intent: intent.id, metadata: { orderId: 'o1' } });
  expect(refund).toMatchObject({
    object: 'refund',
    amount: 9_800,
    currency: 'usd',
    status: 'succeeded',
    payment_intent: intent.id,
    charge: intent.latest_charge,
    metadata: { orderId: 'o1' },
  });
  expect(await stripe.refunds.retrieve(refund.id)).toEqual(refund);
  const read = await stripe.paymentIntents.retrieve(intent.id, { expand: ['latest_charge'] });
  expect(read).toMatchObject({ status: 'succeeded', amount_received: 9_800 });
  expect(read.latest_charge).toMatchObject({ amount_refunded: 9_800, refunded: true });
});

it('never gives back more than was taken, in whatever parts', async () => {
  await stripe.refunds.create({
    charge: intent.latest_charge as string,
    amount: 9_000,
    reason: 'requested_by_customer',
  });
  const tooMuch = await errorOf(stripe.refunds.create({ payment_intent: intent.id, amount: 801 }));
  expect(tooMuch).toMatchObject({ statusCode: 400, param: 'amount', type: 'StripeInvalidRequestError' });
  expect(await stripe.refunds.create({ payment_intent: intent.id })).toMatchObject({ amount: 800 });
  const nothingLeft = await errorOf(stripe.refunds.create({ payment_intent: intent.id }));
  expect(nothingLeft).toMatchObject({ statusCode: 400, code: 'charge_already_refunded' });
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ captured: 9_800, refunded: 9_800, net: 0 });
});

it('gives back once when twenty requests race', async () => {
  const race = await Promise.allSettled(
    Array.from({ length: 20 }, () => stripe.refunds.create({ payment_intent: intent.id })),
  );
  expect(race.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ net: 0 });
});

it('repeats a refund by its key instead of paying twice', async () => {
  const request = { payment_intent: intent.id, amount: 100 };
  const first = await stripe.refunds.create(request, { idempotencyKey: 'r1' });
  const second = await stripe.refunds.create(request, { idempotencyKey: 'r1' });
  expect(second).toEqual(first);
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ refunded: 100 });
});

it('refuses to refund what was never paid', async () => {
  const waiting = await stripe.paymentIntents.create({ amount: 500, currency: 'usd' });
  expect((await errorOf(stripe.refunds.create({ payment_intent: waiting.id }))).message).toMatch(/successful charge/);
  expect(await errorOf(stripe.refunds.create({ payment_intent: 'pi_none' }))).toMatchObject({
    code: 'resource_missing',
  });
  expect(await errorOf(stripe.refunds.create({ charge: 'ch_none' }))).toMatchObject({ code: 'resource_missing' });
  expect((await errorOf(stripe.refunds.create({}))).statusCode).toBe(400);
});

it('lists refunds of one intent, newest first, in pages', async () => {
  const other = await stripe.paymentIntents.create(order('o2'));
  const ids: string[] = [];
  for (let n = 0; n < 3; n += 1)
    ids.unshift((await stripe.refunds.create({ payment_intent: intent.id, amount: 10 })).id);
  await stripe.refunds.create({ payment_intent: other.id });
  const page = await stripe.refunds.list({ payment_intent: intent.id, limit: 2 });
  expect(page).toMatchObject({ object: 'list', has_more: true });
  expect(page.data.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  const all = await stripe.refunds.list({ payment_intent: intent.id, limit: 2 }).autoPagingToArray({ limit: 10 });
  expect(all.map(({ id }) => id)).toEqual(ids);
  expect((await stripe.refunds.list()).data).toHaveLength(4);
  expect((await stripe.refunds.list({ charge: other.latest_charge as string })).data).toHaveLength(1);
});

it('shows the totals per currency in /sandbox/ledger', async () => {
  await stripe.paymentIntents.create({ ...order('o2'), currency: 'eur', amount: 500 });
  await stripe.refunds.create({ payment_intent: intent.id, amount: 300 });
  expect(await ledgerOf(sandbox)).toMatchObject({
    paymentIntents: 2,
    charges: { succeeded: 2, failed: 0 },
    refunds: 1,
    currencies: { usd: { captured: 9_800, refunded: 300, net: 9_500 }, eur: { captured: 500, refunded: 0, net: 500 } },
    ordersChargedMoreThanOnce: { count: 0 },
    chargesWithoutOrder: 0,
  });
});
