import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createClient, orThrow, pagesOf, ProblemError } from '../../clients/typescript/client.js';
import { AUDIENCE, startTokenIssuer } from '../api/tokens.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { feedShowsAll, stock } from '../support/database.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 100);
});
afterAll(() => api.stop());

const body = { customerId: 'cus_42', items: [{ sku: 'KEYBOARD', quantity: 2 }], paymentMethod: 'pm_card_visa' };

test('is the one that is committed: `npm run client` after a change of the contract', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['node_modules/openapi-typescript/bin/cli.js', 'api/openapi.json'],
    { maxBuffer: 1 << 24 },
  );
  expect(await readFile('clients/typescript/openapi.ts', 'utf8')).toBe(stdout);
});

test('places an order once, however often it is called, and reads it back', async () => {
  const client = createClient({ baseUrl: api.url });
  const place = () => orThrow(client.POST('/orders', { params: { header: { 'idempotency-key': 'cart-1' } }, body }));
  const order = await place();
  expect(await place()).toEqual(order);
  expect(await orThrow(client.GET('/orders/{id}', { params: { path: { id: order.id } } }))).toEqual(order);
  const { orders, next } = await orThrow(
    client.GET('/orders', { params: { query: { customerId: 'cus_42', status: 'PENDING', limit: 10 } } }),
  );
  expect([orders.map(({ id }) => id), next]).toEqual([[order.id], null]);
});

test('follows a list to its end, though every page is shorter than asked for', async () => {
  const narrow = await startTestApi({ db: api.db, databaseUrl: api.databaseUrl, pageBytesMax: 1 });
  const client = createClient({ baseUrl: narrow.url });
  const customerId = 'cus_pages';
  for (let i = 0; i < 3; i++) await orThrow(client.POST('/orders', { body: { ...body, customerId } }));
  const counts: number[] = [];
  const list = (cursor?: string) =>
    orThrow(client.GET('/orders', { params: { query: { customerId, ...(cursor && { cursor }) } } }));
  for await (const { orders } of pagesOf(list)) counts.push(orders.length);
  expect(counts).toEqual([1, 1, 1]);
  await narrow.stop();
});

test('follows the feed to where nothing is new, though its `next` is never null', async () => {
  await feedShowsAll(api.db); // a transaction of another test may hold it back
  const client = createClient({ baseUrl: api.url });
  const ids: string[] = [];
  const feed = (after?: string) =>
    orThrow(client.GET('/events', { params: { query: { limit: 2, ...(after && { after }) } } }));
  for await (const { events } of pagesOf(feed)) ids.push(...events.map(({ id }) => id));
  expect(ids.length).toBeGreaterThan(2);
  expect(new Set(ids).size).toBe(ids.length);
});

test('says of a refusal after how many seconds to try again, if the server says so', async () => {
  const refusal = (headers: Record<string, string>) =>
    orThrow(Promise.resolve({ error: undefined, response: new Response(null, { status: 429, headers }) }));
  await expect(refusal({ 'retry-after': '7' })).rejects.toMatchObject({ status: 429, retryAfterS: 7 });
  await expect(refusal({})).rejects.toMatchObject({ retryAfterS: undefined });
  await expect(refusal({ 'retry-after': 'Sat, 28 Nov 2026 22:10:30 GMT' })).rejects.toMatchObject({
    retryAfterS: undefined,
  });
});

test('throws the server’s problem when a request is refused', async () => {
  const client = createClient({ baseUrl: api.url });
  const refused = orThrow(client.POST('/orders', { body: { ...body, items: [] } }));
  await expect(refused).rejects.toThrow(ProblemError);
  await expect(refused).rejects.toMatchObject({
    status: 400,
    problem: { code: 'invalid-request', errors: [{ pointer: '/items' }] },
  });
});

test('asks for a token before every request, and sends it', async () => {
  const issuer = await startTokenIssuer();
  const { url, jwksUrl } = issuer;
  const guarded = await startTestApi({
    authentication: { issuer: url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl },
    db: api.db,
    databaseUrl: api.databaseUrl,
  });
  const tokens = [await issuer.token(), 'Bearer expired'].map((token) => token.replace('Bearer ', ''));
  const client = createClient({ baseUrl: guarded.url, token: () => String(tokens.shift()) });
  expect((await client.GET('/orders', {})).response.status).toBe(200);
  expect((await client.GET('/orders', {})).error?.code).toBe('unauthenticated');
  await Promise.all([guarded.stop(), issuer.stop()]);
});
