import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Stripe from 'stripe';
import { cleanUp, errorOf, ledgerOf, order, type Running, setFault, startSandbox, until } from '../support.js';

let sandbox: Running;
let stripe: Stripe;
beforeEach(async () => {
  sandbox = await startSandbox();
  stripe = sandbox.stripe;
});
afterEach(cleanUp);

const terms = { amount: 500, currency: 'usd' };
const key = (idempotencyKey: string) => ({ idempotencyKey });
const replayed = (answer: { lastResponse: { headers: Record<string, string> } }) =>
  answer.lastResponse.headers['idempotent-replayed'];

it('charges once however often the same key asks, and says which answers are repetitions', async () => {
  const first = await stripe.paymentIntents.create(order('o1'), key('k1'));
  const second = await stripe.paymentIntents.create(order('o1'), key('k1'));
  expect(second).toEqual(first);
  expect(replayed(first)).toBeUndefined();
  expect(replayed(second)).toBe('true');
  expect(second.lastResponse.headers['original-request']).toBe(first.lastResponse.requestId);
  expect((await stripe.paymentIntents.list()).data).toHaveLength(1);
});

it('charges once when fifty requests with one key race', async () => {
  const race = await Promise.allSettled(
    Array.from({ length: 50 }, () => stripe.paymentIntents.create(order('o1'), key('k1'))),
  );
  const ids = race.flatMap((one) => (one.status === 'fulfilled' ? [one.value.id] : []));
  expect(new Set(ids).size).toBe(1);
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ net: 9_800, charges: { length: 1 } });
});

it('repeats the first answer even after the intent has changed', async () => {
  const first = await stripe.paymentIntents.create(terms, key('k1'));
  await stripe.paymentIntents.cancel(first.id);
  const again = await stripe.paymentIntents.create(terms, key('k1'));
  expect(again.status).toBe('requires_payment_method');
});

it('repeats a decline, with its intent, without trying the card again', async () => {
  const request = order('o1', 'pm_card_chargeDeclined');
  const first = await errorOf(stripe.paymentIntents.create(request, key('k1')));
  const second = await errorOf(stripe.paymentIntents.create(request, key('k1')));
  expect(second).toBeInstanceOf(Stripe.errors.StripeCardError);
  expect(second.payment_intent).toEqual(first.payment_intent);
  expect(second.headers?.['idempotent-replayed']).toBe('true');
  expect((await stripe.charges.list()).data).toHaveLength(1);
});

it('refuses a key that comes back with other parameters', async () => {
  await stripe.paymentIntents.create(order('o1'), key('k1'));
  const error = await errorOf(stripe.paymentIntents.create(order('o1', 'pm_card_visa', 1), key('k1')));
  expect(error).toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
  expect(error).toMatchObject({ statusCode: 400, rawType: 'idempotency_error' });
});

it('refuses a key that comes back on another route', async () => {
  const { id } = await stripe.paymentIntents.create(order('o1'), key('k1'));
  const error = await errorOf(stripe.refunds.create({ payment_intent: id }, key('k1')));
  expect(error).toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ net: 9_800 });
});

it('refuses a key that comes back for another intent, even with the same parameters', async () => {
  const [one, two] = [await stripe.paymentIntents.create(terms), await stripe.paymentIntents.create(terms)];
  await stripe.paymentIntents.cancel(one.id, {}, key('k1'));
  const error = await errorOf(stripe.paymentIntents.cancel(two.id, {}, key('k1')));
  expect(error).toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
  expect(error.message).toContain('same endpoint');
});

it('takes the same parameters in another order for the same request', async () => {
  const first = await stripe.paymentIntents.create(order('o1'), key('k1'));
  const { metadata, ...rest } = order('o1');
  const second = await stripe.paymentIntents.create({ metadata, ...rest }, key('k1'));
  expect(second.id).toBe(first.id);
});

it('answers 409 while the first request with the key is still at work', async () => {
  await sandbox.close();
  sandbox = await startSandbox({ slowMs: 1_500 });
  const request = order('o1', 'pm_sandbox_slow');
  const first = sandbox.stripe.paymentIntents.create(request, key('k1'));
  const error = await until(async () => {
    // The second may overtake the first; then it is the one at work, and comes back with the answer in the end.
    const answer = await sandbox.stripe.paymentIntents.create(request, key('k1')).catch((err: unknown) => err);
    return answer instanceof Stripe.errors.StripeAPIError ? answer : undefined;
  });
  expect(error).toMatchObject({ statusCode: 409, code: 'idempotency_key_in_use' });
  await first.catch(() => undefined);
  expect(await sandbox.stripe.paymentIntents.create(request, key('k1'))).toMatchObject({ status: 'succeeded' });
  expect((await sandbox.stripe.paymentIntents.list()).data).toHaveLength(1);
});

it('does not bind a key to a request it refused before doing anything', async () => {
  expect((await errorOf(stripe.paymentIntents.create(order('o1', 'pm_unknown'), key('k1')))).statusCode).toBe(400);
  expect((await errorOf(stripe.refunds.create({ payment_intent: 'pi_unknown' }, key('k1')))).statusCode).toBe(404);
  await setFault(sandbox, { mode: 'down', count: 1 });
  expect((await errorOf(stripe.paymentIntents.create(order('o1'), key('k1')))).statusCode).toBe(503);
  expect(await stripe.paymentIntents.create(order('o1'), key('k1'))).toMatchObject({ status: 'succeeded' });
});

it('remembers keys across a restart: successes, declines and 500s', async () => {
  const cards = ['pm_card_visa', 'pm_card_chargeDeclined', 'pm_sandbox_error_after_charge'];
  const ask = (client: Stripe) =>
    Promise.all(
      cards.map((card) =>
        client.paymentIntents.create(order(card, card), key(card)).then(
          (intent) => ({ status: 200, id: intent.id }),
          (err: Stripe.errors.StripeError) => ({ status: err.statusCode, id: err.payment_intent?.id }),
        ),
      ),
    );
  const before = await ask(stripe);
  expect(before.map(({ status }) => status)).toEqual([200, 402, 500]);
  await sandbox.close();
  const restarted = await startSandbox({ dataDir: sandbox.dataDir });
  expect(await ask(restarted.stripe)).toEqual(before);
  expect((await restarted.stripe.paymentIntents.list()).data).toHaveLength(3);
});

describe('after 24 hours', () => {
  const HOUR = 60 * 60 * 1000;
  let now: number;
  let clocked: Running;
  const charge = async (name: string) => (await clocked.stripe.paymentIntents.create(order(name), key(name))).id;
  beforeEach(async () => {
    now = Date.now();
    clocked = await startSandbox({ now: () => now });
  });

  it('a key is forgotten, and the same key charges again, as the provider would', async () => {
    const first = await charge('o1');
    now += 24 * HOUR - 1_000;
    expect(await charge('o1')).toBe(first);
    now += 2_000;
    expect(await charge('o1')).not.toBe(first);
    expect(await ledgerOf(clocked)).toMatchObject({ ordersChargedMoreThanOnce: { count: 1 } });
  });

  it('a key is forgotten across a restart too, also behind one that was used again', async () => {
    await charge('o1');
    now += HOUR;
    const second = await charge('o2');
    now += 24 * HOUR;
    const again = await charge('o1');
    await clocked.close();
    now += HOUR;
    clocked = await startSandbox({ now: () => now, dataDir: clocked.dataDir });
    expect(await charge('o1')).toBe(again);
    expect(await charge('o2')).not.toBe(second);
  });
});
