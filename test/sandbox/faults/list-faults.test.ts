import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type Stripe from 'stripe';
import { cleanUp, errorOf, order, type Running, setFault, startSandbox } from '../support.js';

let sandbox: Running;
let stripe: Stripe;
let ids: string[];
beforeEach(async () => {
  sandbox = await startSandbox();
  stripe = sandbox.stripe;
  ids = [];
  for (let n = 0; n < 5; n += 1) ids.unshift((await stripe.paymentIntents.create(order(`o${n}`))).id);
});
afterEach(cleanUp);

const list = (params: Stripe.PaymentIntentListParams = {}) => stripe.paymentIntents.list({ limit: 2, ...params });
const search = () => stripe.paymentIntents.search({ query: "metadata['orderId']:'o1'" });
const retrieve = () => stripe.paymentIntents.retrieve(ids[0] as string);
const further = () => list({ starting_after: ids[1] as string });
const asked = { list, search, retrieve, further };

describe('a route', () => {
  it.each([
    ['lookup', ['list', 'search', 'retrieve', 'further']],
    ['list', ['list', 'further']],
    ['page', ['further']],
    ['search', ['search']],
    ['retrieve', ['retrieve']],
    ['charge', []],
  ] as [string, (keyof typeof asked)[]][])('%s strikes %j and nothing else', async (route, struck) => {
    await setFault(sandbox, { mode: 'busy', route });
    for (const name of Object.keys(asked) as (keyof typeof asked)[]) {
      const status = await asked[name]().then(
        () => 200,
        (err: Stripe.errors.StripeError) => err.statusCode,
      );
      expect({ [name]: status }).toEqual({ [name]: struck.includes(name) ? 429 : 200 });
    }
  });

  it('page strikes other lists as well', async () => {
    const { id } = await stripe.refunds.create({ payment_intent: ids[0] as string });
    await setFault(sandbox, { mode: 'busy', route: 'page' });
    expect((await errorOf(stripe.refunds.list({ ending_before: id }))).statusCode).toBe(429);
    expect((await stripe.charges.list()).data).toHaveLength(5);
  });
});

describe('the route customer', () => {
  it('strikes whatever is asked of customers, and nothing else', async () => {
    const { id } = await stripe.customers.create({});
    await setFault(sandbox, { mode: 'busy', route: 'customer' });
    for (const asking of [
      stripe.customers.create({}),
      stripe.customers.retrieve(id),
      stripe.customers.update(id, { email: 'a@example.com' }),
      stripe.customers.list({ email: 'a@example.com' }),
    ])
      expect((await errorOf(asking)).statusCode).toBe(429);
    await Promise.all([list(), search(), retrieve(), stripe.paymentIntents.create(order('o9'))]);
  });
});

describe('Retry-After', () => {
  it.each(['Infinity', '1e400', '-1', '86400', 'Wed, 21 Oct 2099 07:28:00 GMT', '', '0x10', '9'.repeat(400)])(
    '%j is sent as it was set, with 429 and with 503',
    async (retryAfter) => {
      for (const [mode, status] of Object.entries({ busy: 429, down: 503 })) {
        await setFault(sandbox, { mode, retryAfter, count: 2 });
        for (const asking of [list(), stripe.paymentIntents.create(order('o9'))]) {
          const error = await errorOf(asking);
          expect(error.statusCode).toBe(status);
          expect(error.headers?.['retry-after']).toBe(retryAfter);
        }
      }
    },
  );

  it('is absent when none was set', async () => {
    await setFault(sandbox, { mode: 'busy' });
    expect((await errorOf(list())).headers?.['retry-after']).toBeUndefined();
  });
});

describe('a list', () => {
  it('shows its first page for ever under repeat_page, whatever is asked for', async () => {
    await setFault(sandbox, { mode: 'repeat_page' });
    for (const params of [{}, { starting_after: ids[1] as string }, { starting_after: ids[4] as string }]) {
      const page = await list(params);
      expect(page.has_more).toBe(true);
      expect(page.data.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    }
    const found = await search();
    expect(found).toMatchObject({ has_more: true, data: [{ metadata: { orderId: 'o1' } }] });
    const again = await stripe.paymentIntents.search({
      query: "metadata['orderId']:'o1'",
      page: found.next_page as string,
    });
    expect(again.data).toEqual(found.data);
    expect((await retrieve()).id).toBe(ids[0]);
  });

  it('shows nothing under empty_page, and says that there is more', async () => {
    await setFault(sandbox, { mode: 'empty_page', route: 'page' });
    expect((await list()).data).toHaveLength(2);
    expect(await further()).toMatchObject({ data: [], has_more: true });
    await setFault(sandbox, { mode: 'empty_page', route: 'search' });
    expect(await search()).toMatchObject({ data: [], has_more: true, next_page: expect.any(String) });
  });

  it('is slow by as much as the fault says', async () => {
    await setFault(sandbox, { mode: 'slow', route: 'page', delayMs: 300 });
    const before = Date.now();
    await list();
    const first = Date.now() - before;
    await further();
    expect(Date.now() - before - first).toBeGreaterThanOrEqual(290);
  });
});

describe('a wrong echo', () => {
  it('names another amount for a charge, in its answer and in the repetition of it; the ledger says what was charged', async () => {
    await setFault(sandbox, { mode: 'wrong_echo', route: 'charge', amount: 1, count: 1 });
    const charge = () => stripe.paymentIntents.create(order('o9'), { idempotencyKey: 'k9' });
    const first = await charge();
    expect(first).toMatchObject({ amount: 1, amount_received: 1, currency: 'usd', status: 'succeeded' });
    expect(await charge()).toEqual(first);
    expect(await stripe.paymentIntents.retrieve(first.id)).toMatchObject({ amount: 9_800, amount_received: 9_800 });
  });

  it('names another currency in every look-up, of charges in place too', async () => {
    await setFault(sandbox, { mode: 'wrong_echo', route: 'lookup', currency: 'eur' });
    const expand = ['latest_charge'];
    expect(await stripe.paymentIntents.retrieve(ids[0] as string, { expand })).toMatchObject({
      amount: 9_800,
      currency: 'eur',
      latest_charge: { amount: 9_800, currency: 'eur' },
    });
    expect((await list()).data.map(({ currency }) => currency)).toEqual(['eur', 'eur']);
    expect((await search()).data).toMatchObject([{ currency: 'eur' }]);
    expect((await stripe.paymentIntents.create(order('o9'))).currency).toBe('usd');
  });

  it('of one order leaves the others in a list alone; what was never paid stays unpaid', async () => {
    const open = await stripe.paymentIntents.create({ amount: 500, currency: 'usd', metadata: { orderId: 'open' } });
    await setFault(sandbox, { mode: 'wrong_echo', amount: 7, orderId: 'o1' });
    await setFault(sandbox, { mode: 'wrong_echo', amount: 8, orderId: 'open', route: 'retrieve' });
    const amounts = (await list({ limit: 10 })).data.map(({ amount, metadata }) => [metadata['orderId'], amount]);
    expect(Object.fromEntries(amounts)).toEqual({ o0: 9_800, o1: 7, o2: 9_800, o3: 9_800, o4: 9_800, open: 500 });
    expect(await stripe.paymentIntents.retrieve(open.id)).toMatchObject({ amount: 8, amount_received: 0 });
  });
});

describe('a fault that could never strike', () => {
  it.each([
    [{ mode: 'refund_pending', route: 'charge' }, 'refund_pending never happens on the route charge'],
    [{ mode: 'repeat_page', route: 'retrieve' }, 'repeat_page never happens on the route retrieve'],
    [{ mode: 'wrong_echo', amount: 1, route: 'customer' }, 'wrong_echo never happens on the route customer'],
    [{ mode: 'webhook_lost', route: 'lookup' }, 'webhook_lost never happens on the route lookup'],
    [{ mode: 'slow', retryAfter: '5' }, 'slow has no retryAfter'],
    [{ mode: 'wrong_echo' }, 'wrong_echo lacks its amount or currency'],
    [{ mode: 'down', amount: 5 }, 'down has no amount or currency'],
    [{ mode: 'down', event: 'refund.failed' }, 'down is about no event'],
    [{ mode: 'busy', retryAfter: 'a\nb' }, 'body/retryAfter'],
    [{ mode: 'wrong_date' }, 'wrong_date takes either date or aheadMs'],
    [{ mode: 'wrong_date', date: 'junk', aheadMs: 1 }, 'wrong_date takes either date or aheadMs'],
    [{ mode: 'wrong_date', aheadMs: 1, route: 'charge' }, 'wrong_date has no route and no orderId'],
    [{ mode: 'down', date: 'junk' }, 'down has no date or aheadMs'],
  ])('%j is refused in a sentence', async (fault, sentence) => {
    await expect(setFault(sandbox, fault)).rejects.toThrow(sentence);
  });
});
