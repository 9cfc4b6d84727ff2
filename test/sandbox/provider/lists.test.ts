import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type Stripe from 'stripe';
import { cleanUp, errorOf, order, type Running, startSandbox } from '../support.js';

let sandbox: Running;
let stripe: Stripe;
let now: number;
beforeEach(async () => {
  now = Date.UTC(2030, 0, 1);
  sandbox = await startSandbox({ now: () => now, searchLagMs: 1_000 });
  stripe = sandbox.stripe;
});
afterEach(cleanUp);

/** One intent a second, oldest first. */
async function make(count: number): Promise<Stripe.PaymentIntent[]> {
  const made: Stripe.PaymentIntent[] = [];
  for (let n = 0; n < count; n += 1) {
    now += 1_000;
    made.push(await stripe.paymentIntents.create(order(`o${n}`)));
  }
  return made;
}
const ids = (intents: { id: string }[]) => intents.map(({ id }) => id);

describe('a list', () => {
  it('comes newest first, ten at a time, and says whether there is more', async () => {
    const newestFirst = ids(await make(12)).reverse();
    const first = await stripe.paymentIntents.list();
    expect(first).toMatchObject({ object: 'list', url: '/v1/payment_intents', has_more: true });
    expect(ids(first.data)).toEqual(newestFirst.slice(0, 10));
    const second = await stripe.paymentIntents.list({ starting_after: newestFirst[9] as string });
    expect(second.has_more).toBe(false);
    expect(ids(second.data)).toEqual(newestFirst.slice(10));
    expect(ids(await stripe.paymentIntents.list({ limit: 5 }).autoPagingToArray({ limit: 100 }))).toEqual(newestFirst);
  });

  it('goes back towards the newest with ending_before', async () => {
    const newestFirst = ids(await make(6)).reverse();
    const page = await stripe.paymentIntents.list({ ending_before: newestFirst[4] as string, limit: 2 });
    expect(ids(page.data)).toEqual(newestFirst.slice(2, 4));
    expect(page.has_more).toBe(true);
    const last = await stripe.paymentIntents.list({ ending_before: newestFirst[2] as string, limit: 2 });
    expect(ids(last.data)).toEqual(newestFirst.slice(0, 2));
    expect(last.has_more).toBe(false);
  });

  it('keeps to the span of time it is asked for', async () => {
    const made = await make(6);
    const at = (n: number) => made[n]?.created as number;
    const span = async (created: Stripe.RangeQueryParam) => ids((await stripe.paymentIntents.list({ created })).data);
    const expected = (from: number, until: number) => ids(made.slice(from, until)).reverse();
    expect(await span({ gte: at(2), lt: at(4) })).toEqual(expected(2, 4));
    expect(await span({ gt: at(2), lte: at(4) })).toEqual(expected(3, 5));
    expect(await span({ gte: at(5) + 1 })).toEqual([]);
    expect((await stripe.paymentIntents.list({ created: { lte: at(4) }, limit: 2 })).has_more).toBe(true);
    expect((await stripe.paymentIntents.list({ created: { gte: at(4) }, limit: 2 })).has_more).toBe(false);
  });

  it('stays in order when the clock runs backwards', async () => {
    const [first] = await make(1);
    now -= 60 * 60 * 1000;
    const second = await stripe.paymentIntents.create(order('o1'));
    expect(second.created).toBe(first?.created);
    const since = await stripe.paymentIntents.list({ created: { gte: first?.created as number } });
    expect(ids(since.data)).toEqual([second.id, first?.id]);
  });

  it('refuses a limit beyond 100 and a cursor it has never given out', async () => {
    expect((await errorOf(stripe.paymentIntents.list({ limit: 101 }))).statusCode).toBe(400);
    expect((await errorOf(stripe.paymentIntents.list({ limit: 0 }))).statusCode).toBe(400);
    expect(await errorOf(stripe.paymentIntents.list({ starting_after: 'pi_no' }))).toMatchObject({
      code: 'resource_missing',
    });
    expect((await errorOf(stripe.paymentIntents.retrieve('pi_no'))).statusCode).toBe(404);
  });
});

describe('a search', () => {
  it('finds an order by its reference, but not at once', async () => {
    const [intent] = await make(2);
    const query = "metadata['orderId']:'o1'";
    const early = await stripe.paymentIntents.search({ query });
    expect(early).toMatchObject({ object: 'search_result', data: [], has_more: false });
    expect((await stripe.paymentIntents.list()).data).toHaveLength(2);
    now += 1_000;
    expect((await stripe.paymentIntents.search({ query })).data).toMatchObject([{ metadata: { orderId: 'o1' } }]);
    const byStatus = await stripe.paymentIntents.search({ query: `metadata["orderId"]:"o0" AND status:'succeeded'` });
    expect(ids(byStatus.data)).toEqual([intent?.id]);
    expect((await stripe.paymentIntents.search({ query: `${query} AND status:'canceled'` })).data).toEqual([]);
  });

  it('pages through what it finds, newest first', async () => {
    const newestFirst = ids(await make(5)).reverse();
    now += 1_000;
    const query = "status:'succeeded'";
    const first = await stripe.paymentIntents.search({ query, limit: 2 });
    expect(first.has_more).toBe(true);
    expect(ids(first.data)).toEqual(newestFirst.slice(0, 2));
    expect(ids(await stripe.paymentIntents.search({ query, limit: 2 }).autoPagingToArray({ limit: 50 }))).toEqual(
      newestFirst,
    );
  });

  it.each(["metadata['orderId']", "status:'a' OR status:'b'", 'nonsense', "status:'a' AND "])(
    'refuses the query %s',
    async (query) => {
      expect((await errorOf(stripe.paymentIntents.search({ query }))).statusCode).toBe(400);
    },
  );
});
