import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Stripe from 'stripe';
import { Faults } from '../../../sandbox/faults/faults.js';
import { cleanUp, errorOf, ledgerOf, order, type Running, setFault, startSandbox, until } from '../support.js';

let sandbox: Running;
let stripe: Stripe;
beforeEach(async () => {
  sandbox = await startSandbox();
  stripe = sandbox.stripe;
});
afterEach(cleanUp);

const charge = (orderId: string, idempotencyKey = orderId, timeout = 10_000) =>
  stripe.paymentIntents.create(order(orderId), { idempotencyKey, timeout });

describe('a fault before anything is recorded', () => {
  it.each([
    ['down', 503, Stripe.errors.StripeAPIError],
    ['busy', 429, Stripe.errors.StripeRateLimitError],
    ['reset', undefined, Stripe.errors.StripeConnectionError],
  ])('%s leaves no charge and no claim on the key', async (mode, status, errorClass) => {
    // Two, because the client asks once more after a cut connection even when retries are off.
    await setFault(sandbox, { mode, route: 'charge', count: mode === 'reset' ? 2 : 1 });
    const error = await errorOf(charge('o1'));
    expect(error).toBeInstanceOf(errorClass);
    expect(error.statusCode).toBe(status);
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ net: 0 });
    expect(await charge('o1')).toMatchObject({ status: 'succeeded' });
  });

  it('hang keeps silent and records nothing; the same key works meanwhile', async () => {
    await setFault(sandbox, { mode: 'hang', count: 1 });
    const hanging = errorOf(charge('o1', 'o1', 200));
    await until(async () => ((await faults()).length === 0 ? true : undefined));
    expect(await charge('o1')).toMatchObject({ status: 'succeeded' });
    expect(await hanging).toBeInstanceOf(Stripe.errors.StripeConnectionError);
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ net: 9_800 });
  });

  it('error answers 500 for good although nothing happened, so that only a look-up says so', async () => {
    await setFault(sandbox, { mode: 'error', count: 1 });
    expect((await errorOf(charge('o1'))).statusCode).toBe(500);
    expect((await errorOf(charge('o1'))).statusCode).toBe(500);
    expect((await stripe.paymentIntents.list()).data).toEqual([]);
    expect(await charge('o1', 'a-fresh-key')).toMatchObject({ status: 'succeeded' });
  });
});

describe('a fault after the effect', () => {
  it('error_after on a refund has refunded although it says 500', async () => {
    const { id } = await charge('o1');
    await setFault(sandbox, { mode: 'error_after', route: 'refund', count: 1 });
    const refund = () => stripe.refunds.create({ payment_intent: id }, { idempotencyKey: 'r1' });
    expect((await errorOf(refund())).statusCode).toBe(500);
    expect((await errorOf(refund())).statusCode).toBe(500);
    expect((await stripe.refunds.list({ payment_intent: id })).data).toMatchObject([{ amount: 9_800 }]);
  });

  it('reset_after has charged although the connection broke, and the repeated key says so', async () => {
    await setFault(sandbox, { mode: 'reset_after', count: 1 });
    // The client repeats a request whose connection was cut by itself; the key makes that harmless.
    expect(await charge('o1')).toMatchObject({ status: 'succeeded' });
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ net: 9_800, charges: { length: 1 } });
  });

  it('hang_after answers in the end', async () => {
    await setFault(sandbox, { mode: 'hang_after', delayMs: 50, count: 1 });
    expect(await charge('o1')).toMatchObject({ status: 'succeeded' });
  });
});

describe('a wrong Date header', () => {
  const listed = async () => {
    const { lastResponse, data } = await stripe.paymentIntents.list();
    return { date: String(lastResponse.headers['date']), created: data.map((intent) => intent.created * 1_000) };
  };

  it('is off by what was asked for, beside another fault, while the objects keep the true time', async () => {
    await charge('o1');
    await setFault(sandbox, { mode: 'wrong_date', aheadMs: -600_000 });
    await setFault(sandbox, { mode: 'down', count: 1 });
    const down = await errorOf(charge('o2'));
    expect(down.statusCode).toBe(503);
    for (const date of [String(down.headers?.['date']), (await listed()).date])
      expect(Math.abs(Date.now() - 600_000 - Date.parse(date))).toBeLessThan(10_000);
    for (const created of (await listed()).created) expect(Math.abs(Date.now() - created)).toBeLessThan(10_000);
  });

  it('is sent as it was given, as often as it says', async () => {
    await setFault(sandbox, { mode: 'wrong_date', date: 'junk', count: 1 });
    expect((await listed()).date).toBe('junk');
    expect(Math.abs(Date.now() - Date.parse((await listed()).date))).toBeLessThan(10_000);
  });
});

describe('the control of faults', () => {
  it('strikes only the route and the order it names, as often as it says', async () => {
    await setFault(sandbox, { mode: 'down', route: 'charge', orderId: 'o2', count: 2 });
    expect(await charge('o1')).toMatchObject({ status: 'succeeded' });
    expect((await errorOf(charge('o2'))).statusCode).toBe(503);
    expect((await errorOf(charge('o2'))).statusCode).toBe(503);
    const { id } = await charge('o2');
    await setFault(sandbox, { mode: 'down', route: 'refund', orderId: 'o2' });
    expect((await errorOf(stripe.refunds.create({ payment_intent: id }))).statusCode).toBe(503);
    expect(await charge('o3')).toMatchObject({ status: 'succeeded' });
  });

  it('strikes look-ups too, of one order if it names one', async () => {
    const { id } = await charge('o1');
    const other = await charge('o2');
    await setFault(sandbox, { mode: 'error', route: 'lookup', orderId: 'o1' });
    expect((await errorOf(stripe.paymentIntents.retrieve(id))).statusCode).toBe(500);
    expect((await errorOf(stripe.paymentIntents.search({ query: "metadata['orderId']:'o1'" }))).statusCode).toBe(500);
    expect((await stripe.paymentIntents.retrieve(other.id)).id).toBe(other.id);
    expect((await stripe.paymentIntents.list()).data).toHaveLength(2);
  });

  it('lists what is set and ends when it is cleared', async () => {
    await setFault(sandbox, { mode: 'down' });
    expect(await faults()).toMatchObject([{ mode: 'down', route: 'all', count: null, orderId: null }]);
    expect((await errorOf(stripe.paymentIntents.list())).statusCode).toBe(503);
    await fetch(`${sandbox.url}/sandbox/faults`, { method: 'DELETE' });
    expect(await faults()).toEqual([]);
    expect((await stripe.paymentIntents.list()).data).toEqual([]);
  });

  it.each([
    {},
    { mode: 'bogus' },
    { mode: 'down', count: 0 },
    { mode: 'down', colour: 'red' },
    { mode: 'slow', delayMs: '5' },
  ])('refuses %j', async (fault) => {
    await expect(setFault(sandbox, fault)).rejects.toThrow(/^400/);
  });

  it('says which modes and routes there are in the refusal of another one, and at /', async () => {
    const refused = setFault(sandbox, { mode: 'bogus', route: 'nowhere' });
    await expect(refused).rejects.toThrow('body/mode must be one of down, busy, reset, hang, slow, error, error_after');
    await expect(setFault(sandbox, { mode: 'down', route: 'nowhere' })).rejects.toThrow(
      'body/route must be one of charge, refund, lookup, all',
    );
    const { faults: help } = (await (await fetch(sandbox.url)).json()) as { faults: Record<string, object> };
    expect(help).toMatchObject({ mode: expect.arrayContaining(['down']), route: expect.arrayContaining(['charge']) });
    await setFault(sandbox, help['example'] ?? {});
    expect(await faults()).toMatchObject([help['example']]);
  });
});

it('stops at once although requests are hanging and a client has sent only half of one', async () => {
  const half = connect(Number(new URL(sandbox.url).port), '127.0.0.1');
  half.on('error', () => {}).write('POST /v1/refunds HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\na');
  const hanging = errorOf(stripe.paymentIntents.create(order('o1', 'pm_sandbox_timeout_after_charge')));
  await until(async () => (await stripe.paymentIntents.list()).data[0]);
  const before = Date.now();
  await sandbox.close();
  expect(Date.now() - before).toBeLessThan(2_000);
  expect(await hanging).toBeInstanceOf(Stripe.errors.StripeConnectionError);
});

it('ends the requests that wait when it stops', async () => {
  const faults = new Faults({ hangMs: 60_000, slowMs: 60_000 });
  const waiting = faults.wait(60_000);
  faults.stop();
  expect(await waiting).toBe(false);
});

async function faults(): Promise<object[]> {
  const response = await fetch(`${sandbox.url}/sandbox/faults`);
  return ((await response.json()) as { faults: object[] }).faults;
}
