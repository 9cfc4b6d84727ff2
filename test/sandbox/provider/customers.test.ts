import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Stripe from 'stripe';
import { cleanUp, errorOf, type Running, startSandbox } from '../support.js';

let sandbox: Running;
let stripe: Stripe;
beforeEach(async () => {
  sandbox = await startSandbox();
  stripe = sandbox.stripe;
});
afterEach(cleanUp);

const INSTALLATION = { metadata: { installation: 'i-1', purpose: 'order-saga' }, description: 'a note' };

describe('a customer', () => {
  it('is made with its metadata, and read as it was made, also after a restart', async () => {
    const made = await stripe.customers.create(INSTALLATION);
    expect(made).toMatchObject({ object: 'customer', livemode: false, email: null, ...INSTALLATION });
    expect(made.id).toMatch(/^cus_\w+$/);
    expect(await stripe.customers.retrieve(made.id)).toEqual(made);
    await sandbox.close();
    const restarted = await startSandbox({ dataDir: sandbox.dataDir });
    expect(await restarted.stripe.customers.retrieve(made.id)).toEqual(made);
  });

  it('is made once however often the same key asks, and another request may not have its key', async () => {
    const key = { idempotencyKey: 'k1' };
    const first = await stripe.customers.create(INSTALLATION, key);
    await stripe.customers.update(first.id, { metadata: { installation: 'i-2' } });
    const again = await stripe.customers.create(INSTALLATION, key);
    expect(again).toEqual(first);
    expect(again.lastResponse.headers['idempotent-replayed']).toBe('true');
    expect((await stripe.customers.list()).data).toHaveLength(1);
    expect(await errorOf(stripe.customers.create({ description: 'another' }, key))).toMatchObject({
      statusCode: 400,
      rawType: 'idempotency_error',
    });
  });

  it('keeps the metadata that an update does not name; an empty value unsets its key', async () => {
    const { id } = await stripe.customers.create(INSTALLATION);
    const updated = await stripe.customers.update(id, { metadata: { purpose: '', database: 'd-1' } });
    expect(updated).toMatchObject({ description: 'a note', metadata: { installation: 'i-1', database: 'd-1' } });
    expect(updated.metadata).not.toHaveProperty('purpose');
    expect(await stripe.customers.retrieve(id)).toEqual(updated);
    expect((await stripe.customers.update(id, { metadata: '' })).metadata).toEqual({});
  });

  it('that was never made is missing, whether it is read, changed or deleted', async () => {
    for (const asked of [
      stripe.customers.retrieve('cus_none'),
      stripe.customers.update('cus_none', { metadata: { a: 'b' } }),
      stripe.customers.del('cus_none'),
    ]) {
      const error = await errorOf(asked);
      expect(error).toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
      expect(error).toMatchObject({ statusCode: 404, code: 'resource_missing', param: 'id' });
      expect(error.message).toBe("No such customer: 'cus_none'");
    }
  });

  it('that was deleted says so, is in no list, and takes no change', async () => {
    const { id } = await stripe.customers.create(INSTALLATION);
    expect(await stripe.customers.del(id)).toMatchObject({ id, deleted: true });
    expect(await stripe.customers.retrieve(id)).toMatchObject({ id, object: 'customer', deleted: true });
    expect((await stripe.customers.list()).data).toEqual([]);
    expect((await errorOf(stripe.customers.update(id, {}))).code).toBe('resource_missing');
  });
});

it('dates its answers, refusals too, by the clock by which it dates its records', async () => {
  let now = Date.UTC(2031, 4, 5, 6, 7, 8, 900);
  const clocked = await startSandbox({ now: () => now });
  const { created, lastResponse } = await clocked.stripe.customers.create({});
  expect(created).toBe(Date.UTC(2031, 4, 5, 6, 7, 8) / 1000);
  expect(lastResponse.headers['date']).toBe('Mon, 05 May 2031 06:07:08 GMT');
  now += 60_000;
  expect((await errorOf(clocked.stripe.customers.retrieve('cus_none'))).headers?.['date']).toMatch(/06:08:08/);
});
