/** An API process remembers prices; what an order costs is still what the catalogue says when it is accepted. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createPricing } from '../../api/routes/pricing.js';
import type { Order } from '../../contracts/orders.js';
import { countStored, expectProblem, ORDER, startTestApi, type TestApi } from '../support/api.js';
import { createTestDatabase, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
let api: TestApi;
beforeAll(async () => {
  t = await createTestDatabase();
  api = await startTestApi({ db: t.db, databaseUrl: t.url });
});
afterAll(async () => {
  await api.stop();
  await t.drop();
});

const key = (value: string) => ({ 'idempotency-key': value });
const LINES = [
  { sku: 'KEYBOARD', quantity: 2 },
  { sku: 'MOUSE', quantity: 1 },
];
const place = (changed: object = {}, headers = {}) => api.place({ items: LINES, ...changed }, headers);
const usd = (amount: number) => ({ amount, currency: 'USD' });
/** As another process does: the API's memory does not learn of it. */
const reprice = (sku: string, data: { unitPrice?: number; currency?: string }) =>
  t.db.inventory.update({ where: { sku }, data });

describe('when the catalogue has changed behind its back, an API that remembers the old prices', () => {
  beforeEach(async () => {
    await stock(t.db, 'KEYBOARD', 1_000_000, 100);
    await stock(t.db, 'MOUSE', 1_000_000, 10);
    expect((await place()).body.total).toEqual(usd(210));
  });

  test('asks the new price at once', async () => {
    await reprice('KEYBOARD', { unitPrice: 50 });
    const { body } = await place();
    expect(body).toMatchObject({ items: [{ unitPrice: 50 }, { unitPrice: 10 }], total: usd(110) });
    expect((await api.get<Order>(`/orders/${body.id}`)).body).toEqual(body);
  });

  test('asks the new currency at once, and refuses two', async () => {
    await reprice('KEYBOARD', { currency: 'EUR' });
    expectProblem(await place(), 422, 'mixed-currencies');
    await reprice('MOUSE', { currency: 'EUR' });
    expect((await place()).body.total).toEqual({ amount: 210, currency: 'EUR' });
  });

  test('sells nothing that was withdrawn', async () => {
    await t.db.inventory.delete({ where: { sku: 'MOUSE' } });
    expectProblem(await place(), 422, 'unknown-sku', ['/items/1/sku']);
  });

  test('accepts an expected total only if it is the new one', async () => {
    await reprice('KEYBOARD', { unitPrice: 50 });
    expectProblem(await place({ expectedTotal: usd(210) }), 409, 'price-changed');
    await reprice('KEYBOARD', { unitPrice: 60 });
    expect((await place({ expectedTotal: usd(130) })).status).toBe(201);
  });

  test('refuses no order for an old price', async () => {
    await reprice('KEYBOARD', { unitPrice: 99_999_999 });
    const items = LINES.map((line) => ({ ...line, quantity: 1_000 }));
    expectProblem(await place({ items }), 422, 'total-too-large');
    await reprice('KEYBOARD', { unitPrice: 1 });
    expect((await place({ items })).body.total).toEqual(usd(11_000));
  });

  test('uses up a key for the order that it makes, not for the try that came to nothing', async () => {
    await reprice('KEYBOARD', { unitPrice: 50 });
    const before = await countStored(t.db);
    expectProblem(await place({ expectedTotal: usd(210) }, key('k')), 409, 'price-changed');
    expect(await countStored(t.db)).toEqual(before);
    await reprice('KEYBOARD', { unitPrice: 60 });
    const first = await place({}, key('k'));
    expect(first.body.total).toEqual(usd(130));
    await reprice('KEYBOARD', { unitPrice: 70 });
    const again = await place({}, key('k'));
    expect([again.text, again.headers.get('idempotent-replayed')]).toEqual([first.text, 'true']);
    expect((await countStored(t.db)).orders).toBe(before.orders + 1);
  });
});

test('fifty who order while the price rises each pay a price that held between their question and their answer', async () => {
  const CLIENTS = 50;
  const ORDERS_EACH = 4;
  const ORDERS_PER_PRICE = 40;
  const FIRST_PRICE = 100;
  await stock(t.db, 'RISING', 1_000_000, FIRST_PRICE);
  let [announced, effective, answered] = [FIRST_PRICE, FIRST_PRICE, 0];
  const raise = async () => {
    await reprice('RISING', { unitPrice: ++announced });
    effective = announced;
  };
  const oddPrices: object[] = [];
  const client = async () => {
    for (let n = 0; n < ORDERS_EACH; n++) {
      const atLeast = effective;
      const { status, body } = await place({ items: [{ sku: 'RISING', quantity: 1 }] });
      const paid = body.total?.amount;
      if (status !== 201 || paid < atLeast || paid > announced) oddPrices.push({ status, paid, atLeast, announced });
      if (++answered % ORDERS_PER_PRICE === 0) await raise();
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  expect(oddPrices).toEqual([]);
  expect(effective).toBe(FIRST_PRICE + (CLIENTS * ORDERS_EACH) / ORDERS_PER_PRICE);
});

test('a request that meets a change of prices at every try is answered 503, and has ordered nothing', async () => {
  await stock(t.db, 'RESTLESS', 1_000, 100);
  const restless = new Proxy(t.db, {
    get: (target, name) => {
      if (name !== '$queryRaw') return Reflect.get(target, name);
      return async (...statement: Parameters<typeof target.$queryRaw>) => {
        await target.inventory.update({ where: { sku: 'RESTLESS' }, data: { unitPrice: { increment: 1 } } });
        return target.$queryRaw(...statement);
      };
    },
  });
  const confused = await startTestApi({ db: restless, databaseUrl: t.url });
  const before = await countStored(t.db);
  const answer = await confused.place({ items: [{ sku: 'RESTLESS', quantity: 1 }] }, key('restless'));
  expectProblem(answer, 503, 'unavailable');
  expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
  expect(await countStored(t.db)).toEqual(before);
  await confused.stop();
});

test('of more prices than it remembers, it keeps those that were seen last', async () => {
  await t.db.$executeRaw`INSERT INTO inventory (sku, name, unit_price, currency, on_hand_total, available)
    SELECT 'MANY-' || n, 'x', 100, 'USD', 0, 0 FROM generate_series(1, 10001) AS n`;
  const pricing = createPricing(t.db);
  const orderOf = (...ns: number[]) => ({ ...ORDER, items: ns.map((n) => ({ sku: `MANY-${n}`, quantity: 1 })) });
  const everyone = Array.from({ length: 10_001 }, (_, i) => i + 1);
  for (const n of [1, 2, 1]) await pricing.read(orderOf(n));
  await pricing.read(orderOf(...everyone.slice(2)));
  expect(pricing.recall(orderOf(2))).toBeUndefined();
  expect(pricing.recall(orderOf(1, 10_001))).toMatchObject({ total: usd(200) });
});
