import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type Stripe from 'stripe';
import { cleanUp, errorOf, ledgerOf, order, type Running, startSandbox, until } from '../support.js';

let sandbox: Running;
let stripe: Stripe;
beforeEach(async () => {
  sandbox = await startSandbox();
  stripe = sandbox.stripe;
});
afterEach(cleanUp);

it('metadata of intents, charges and refunds is merged, and nothing else of them changes', async () => {
  const intent = await stripe.paymentIntents.create(order('o1'));
  const refund = await stripe.refunds.create({ payment_intent: intent.id, amount: 100, metadata: { ticket: '1' } });
  const metadata = { note: 'by hand' };
  expect(await stripe.paymentIntents.update(intent.id, { metadata, description: 'two keyboards' })).toEqual({
    ...intent,
    description: 'two keyboards',
    metadata: { orderId: 'o1', ...metadata },
  });
  expect(await stripe.refunds.update(refund.id, { metadata })).toEqual({
    ...refund,
    metadata: { ticket: '1', ...metadata },
  });
  const charge = await stripe.charges.update(intent.latest_charge as string, { metadata: { orderId: '' } });
  expect(charge).toMatchObject({ object: 'charge', amount_refunded: 100, metadata: {} });
  expect(await stripe.charges.retrieve(charge.id)).toEqual(charge);
});

it('an intent is found by the order that it names now, and not by the one that it named', async () => {
  const { id } = await stripe.paymentIntents.create(order('o1'));
  await stripe.paymentIntents.create(order('o1'));
  await stripe.paymentIntents.update(id, { metadata: { orderId: 'o2' } });
  const found = async (orderId: string) =>
    (await stripe.paymentIntents.search({ query: `metadata['orderId']:'${orderId}'` })).data.map((intent) => intent.id);
  expect(await found('o2')).toEqual([id]);
  expect(await found('o1')).not.toContain(id);
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ captured: 9_800 });
  await sandbox.close();
  sandbox = await startSandbox({ dataDir: sandbox.dataDir });
  stripe = sandbox.stripe;
  expect(await found('o2')).toEqual([id]);
});

it('what is not there, and what cannot be changed, is refused', async () => {
  const { id } = await stripe.paymentIntents.create(order('o1'));
  expect((await errorOf(stripe.refunds.update('re_none', { metadata: { a: 'b' } }))).statusCode).toBe(404);
  expect((await errorOf(stripe.paymentIntents.update(id, { amount: 500 }))).code).toBe('parameter_unknown');
  expect((await errorOf(stripe.charges.update('ch_none', {}))).code).toBe('resource_missing');
});

it('says how often each route was asked, and how many requests are being answered', async () => {
  const { id } = await stripe.paymentIntents.create(order('o1'));
  for (let n = 0; n < 3; n += 1) await stripe.paymentIntents.retrieve(id);
  await errorOf(stripe.paymentIntents.retrieve('pi_none'));
  const asked = async (open: number, counts: object) => {
    const expected = JSON.stringify({ open, counts });
    await until(async () => (await (await fetch(`${sandbox.url}/sandbox/requests`)).text()) === expected || undefined);
  };
  await asked(0, { 'POST /v1/payment_intents': 1, 'GET /v1/payment_intents/:id': 4 });
  await fetch(`${sandbox.url}/sandbox/requests`, { method: 'DELETE' });
  await asked(0, {});
  const hanging = errorOf(
    stripe.paymentIntents.create(order('o2', 'pm_sandbox_timeout_after_charge'), { timeout: 500 }),
  );
  await asked(1, { 'POST /v1/payment_intents': 1 });
  await hanging;
  await asked(0, { 'POST /v1/payment_intents': 1 });
});

it('keeps a clock that can be set against the machine’s, forwards at any time, backwards only for what comes', async () => {
  const set = async (aheadMs: number) => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ aheadMs }),
    };
    return (await fetch(`${sandbox.url}/sandbox/clock`, init)).status;
  };
  const HOUR = 3_600_000;
  const create = () => stripe.paymentIntents.create(order('o1'), { idempotencyKey: 'k1' });
  const skewS = (intent: Stripe.PaymentIntent) => Math.round(intent.created - Date.now() / 1000);
  expect(await set(-HOUR)).toBe(200);
  const first = await create();
  expect(Math.abs(skewS(first) + 3_600)).toBeLessThan(60);
  expect(Math.abs(Date.parse(first.lastResponse.headers['date'] ?? '') + HOUR - Date.now())).toBeLessThan(60_000);
  expect((await create()).id).toBe(first.id);
  await set(25 * HOUR);
  expect((await create()).id).not.toBe(first.id);
  await set(0);
  const last = await stripe.paymentIntents.create(order('o2'));
  expect(Math.abs(skewS(last) - 25 * 3_600)).toBeLessThan(60);
  expect(await set(1e20)).toBe(400);
});
