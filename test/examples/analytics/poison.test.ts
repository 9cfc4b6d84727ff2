/** What nobody should send, to the read side: it goes on, counts what it can to the cent, and says what is missing. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { created, event, NESTED, startFeed } from '../poison.js';
import { startReadSide, sumOf } from './read-side.js';

const LARGE = 999_999_999_999;
const large = () =>
  created({ items: [{ sku: 'B', quantity: 1, unitPrice: LARGE }], total: { amount: LARGE, currency: 'IDR' } });
const withItem = (item: unknown) => created({ items: [item] });
const UNREADABLE = [
  created({}, { time: '0000-01-01T00:00:00Z' }),
  created({}, { time: '0001-01-01T00:00:00+10:00' }),
  created({}, { time: '-000001-01-01T00:00:00Z' }),
  created({}, { time: 1e15 }),
  created({}, { time: null, id: 'a\0b' }),
  created({}, { time: null, id: 'c\ud800d' }),
  created({}, { time: null, id: 'x'.repeat(10_000) }),
  created({}, { dataschema: 'urn:order-saga:schema:order.created:v2' }),
  created({}, { subject: 'no order' }),
  withItem({ sku: 'a\0b', quantity: 1, unitPrice: 100 }),
  withItem({ sku: 'a\ud800b', quantity: 1, unitPrice: 100 }),
  withItem({ sku: 'A', quantity: 1_000, unitPrice: Number.MAX_SAFE_INTEGER }),
  withItem({ sku: 'A', quantity: 0.5, unitPrice: 2 }),
  withItem(null),
  created({ total: { amount: Number.MAX_SAFE_INTEGER, currency: 'USD' } }),
  created({ total: { amount: 1, currency: 'U\0D' } }),
  event('order.cancelled', { reason: 'a\0b' }),
  { ...created(), data: NESTED },
  null,
  { id: 'no type' },
];
const GOOD = [created(), large(), large(), large(), created()];

let feed: Awaited<ReturnType<typeof startFeed>>;
let own: TestDatabase;
let readSide: Awaited<ReturnType<typeof startReadSide>>;
beforeAll(async () => {
  own = await createTestDatabase();
  const unknown = event('constructor', {});
  const page = [GOOD[0], ...UNREADABLE, unknown, event('__proto__', {}), ...GOOD.slice(1)];
  feed = await startFeed(page, [{ id: 'an order without anything' }]);
  readSide = await startReadSide({ DATABASE_URL: own.url, ORDERS_URL: feed.url });
});
afterAll(async () => {
  await readSide?.kill();
  feed?.stop();
  await own?.drop();
});

test('what cannot be read is said to be missing, what can is counted to the cent, and nothing stands still', async () => {
  const answer = await readSide.isBeyond(Date.now());
  expect(sumOf(answer).totals).toMatchObject({ placed: 5, placedAmount: 200 + 3 * LARGE });
  expect(answer.unreadable).toBe(UNREADABLE.length + 1);
});
