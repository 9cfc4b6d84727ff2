/** Texts of customers, sealed, as clients see them: a reason for cancelling is read back, and is nowhere in the database as it was said. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { withSealing } from '../../domain/database.js';
import { putSku } from '../../domain/inventory.js';
import { cancelOrder } from '../../domain/orders.js';
import { destroyCustomerKeys } from '../../domain/sealing/customer-keys.js';
import { createDataKeys } from '../../domain/sealing/data-keys.js';
import { createSealing } from '../../domain/sealing/sealing.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, feedShowsAll, type TestDatabase } from '../support/database.js';
import { keyStoreForTests } from '../support/keys.js';
import { AUDIENCE, startTokenIssuer } from './tokens.js';

const store = keyStoreForTests();
let t: TestDatabase;
let api: TestApi;

/** A process of the API that has no key in memory. */
const startApi = (settings: Parameters<typeof startTestApi>[0] = {}) => {
  const keys = createDataKeys(t.db, store, { customersMax: 100, ttlMs: 60_000 });
  return startTestApi({ db: withSealing(t.db, createSealing(keys)), databaseUrl: t.url, ...settings });
};

beforeAll(async () => {
  t = await createTestDatabase();
  await putSku(t.db, 'KEYBOARD', { name: 'Keyboard', unitPrice: 4_900, currency: 'USD', onHand: 1_000 });
  api = await startApi();
});
afterAll(async () => {
  await api?.stop();
  await t?.drop();
});

const REASON = { reason: 'Zieht um: Ahornweg 12 🏠' };
type Cancelled = { status: string; customerId: string; cancellation?: { reason: string; message: string } };

/** An order of a customer who has a reference. */
async function placed(): Promise<{ id: string; reference: string }> {
  const { body } = await api.place({ customerId: `cus_${randomUUID()}` });
  const held = await heldBy(body.id);
  const reference = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(held) ? held : randomUUID();
  if (reference !== held) {
    await t.db
      .$executeRaw`INSERT INTO customers (reference, lookup, client_id) VALUES (${reference}::uuid, ${Buffer.from(reference)}, ${held})`;
    await t.db.$executeRaw`UPDATE orders SET customer_id = ${reference} WHERE id = ${body.id}::uuid`;
  }
  return { id: body.id, reference };
}
const unwindingOf = async (id: string) =>
  (
    (await t.db.$queryRaw`SELECT unwinding_reason AS reason FROM orders WHERE id = ${id}::uuid`) as [{ reason: string }]
  )[0].reason;
const heldBy = async (id: string) =>
  ((await t.db.$queryRaw`SELECT customer_id AS held FROM orders WHERE id = ${id}::uuid`) as [{ held: string }])[0].held;
const storedMessage = async (id: string) =>
  (
    (await t.db.$queryRaw`SELECT cancellation_message AS text FROM orders WHERE id = ${id}::uuid`) as [
      { text: string | null },
    ]
  )[0].text;

async function cancelled(reason: object = REASON): Promise<{ id: string; reference: string }> {
  const order = await placed();
  expect((await api.send('POST', `/orders/${order.id}/cancel`, reason)).status).toBe(202);
  await cancelOrder(t.db, order.id);
  return order;
}

test('the reason that a customer gives is read back, and stands sealed in the order’s row', async () => {
  const { id } = await cancelled();
  expect(await storedMessage(id)).toMatch(/^sealed:v1:1:/);
  const read = await api.get<Cancelled>(`/orders/${id}`);
  expect(read.body).toMatchObject({ cancellation: { reason: 'CANCELLED_BY_CUSTOMER', message: REASON.reason } });
  expect((await api.get(`/orders?limit=1`)).text).toContain('Ahornweg');
});

test('a reason that looks sealed is read back as it was given', async () => {
  const reason = `sealed:v1:1:${'A'.repeat(60)}`;
  const { id } = await cancelled({ reason });
  expect((await api.get<Cancelled>(`/orders/${id}`)).body.cancellation?.message).toBe(reason);
});

test('while the key store is away, a process that starts meanwhile takes orders; what shows a sealed text or client’s id waits', async () => {
  const { id } = await cancelled();
  store.isAway = true;
  const other = await startApi();
  try {
    const read = await other.get<{ code: string; detail: string }>(`/orders/${id}`);
    expect(read).toMatchObject({ status: 503, body: { code: 'key-unavailable' } });
    expect(read.headers.get('retry-after')).toBe('2');
    expect((await other.get('/orders?limit=5')).status).toBe(503);
    expect((await other.get(`/orders/${id}/saga`)).status).toBe(200);
    // The first event names the client's id, which is sealed too.
    expect((await other.get(`/orders/${id}/events`)).status).toBe(503);
    expect(await other.get('/events')).toMatchObject({ status: 503, body: { code: 'key-unavailable' } });
    const behindIt = Buffer.from('1').toString('base64url');
    expect((await other.get(`/orders/${id}/events?cursor=${behindIt}`)).status).toBe(200);

    const placedNow = await other.place({ customerId: `cus_${randomUUID()}` }, { 'idempotency-key': randomUUID() });
    expect(placedNow.status).toBe(201);
    const late = await placed();
    // What would show the client's id says the reference, as of an erased customer.
    const key = { 'idempotency-key': randomUUID() };
    const cancel = () => other.send<Cancelled>('POST', `/orders/${late.id}/cancel`, REASON, key);
    expect(await cancel()).toMatchObject({ status: 202, body: { customerId: late.reference } });
    expect(await cancel()).toMatchObject({ status: 202, body: { customerId: late.reference } });
    expect(await unwindingOf(late.id)).toBe('CANCELLED_BY_CUSTOMER');
  } finally {
    store.isAway = false;
  }
  await eventually('the key store has been asked again', async () => {
    const { body } = await other.get<Cancelled>(`/orders/${id}`);
    return body.cancellation?.message === REASON.reason;
  });
  await other.stop();
});

test('an API that starts while the key store is away has no need of it for a customer’s own id, nor to tell references', async () => {
  const issuer = await startTokenIssuer();
  const customerId = `cus_${randomUUID()}`;
  const { body: order } = await api.place({ customerId });
  store.isAway = true;
  const authentication = { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl };
  const [own, reserved] = await Promise.all([startApi({ authentication }), startApi({ customersTold: 'reference' })]);
  try {
    const headers = { authorization: await issuer.token({ subject: customerId, roles: ['customer'] }) };
    expect(await own.get(`/orders/${order.id}`, headers)).toMatchObject({ status: 200, body: { customerId } });
    expect(await own.get('/orders', headers)).toMatchObject({ status: 200, body: { orders: [{ customerId }] } });
    expect(await own.get(`/orders/${order.id}/events`, headers)).toMatchObject({
      status: 200,
      body: { events: [{ data: { customerId } }] },
    });
    const stream = await own.stream(`/orders/${order.id}/events`, headers);
    await eventually('the order’s first event is streamed', () => stream.events.length === 1);
    stream.close();
    const cancelled = await own.send(`POST`, `/orders/${order.id}/cancel`, REASON, headers);
    expect(cancelled).toMatchObject({ status: 202, body: { customerId } });

    const reference = await heldBy(order.id);
    await feedShowsAll(t.db);
    const feed = await reserved.get<{ events: { subject: string; data: object }[] }>('/events?limit=1000');
    expect(feed.status).toBe(200);
    expect(feed.body.events.find(({ subject }) => subject === order.id)?.data).toMatchObject({ customerId: reference });
    expect((await reserved.get(`/orders/${order.id}/events`)).status).toBe(200);
  } finally {
    store.isAway = false;
    await Promise.all([own.stop(), reserved.stop(), issuer.stop()]);
  }
});

test('with EVENTS_CUSTOMER=reference a customer reads its own id in its own order’s events and stream, and no key is needed for it', async () => {
  const issuer = await startTokenIssuer();
  const customerId = `cus_${randomUUID()}`;
  const { body: order } = await api.place({ customerId });
  store.isAway = true;
  const authentication = { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl };
  const own = await startApi({ authentication, customersTold: 'reference' });
  try {
    const headers = { authorization: await issuer.token({ subject: customerId, roles: ['customer'] }) };
    const { status, body, text } = await own.get<{ events: { data: object }[] }>(`/orders/${order.id}/events`, headers);
    expect([status, body.events[0]?.data]).toMatchObject([200, { customerId }]);
    const stream = await own.stream(`/orders/${order.id}/events`, headers);
    await eventually('the order’s first event is streamed', () => stream.events.length === 1);
    stream.close();
    expect(JSON.stringify(stream.events)).toContain(customerId);
    expect(text + JSON.stringify(stream.events)).not.toContain(await heldBy(order.id));
    const service = { authorization: await issuer.token({ roles: ['service'] }) };
    const told = await own.get<{ events: { data: object }[] }>(`/orders/${order.id}/events`, service);
    expect(told.body.events[0]?.data).toMatchObject({ customerId: await heldBy(order.id) });
  } finally {
    store.isAway = false;
    await Promise.all([own.stop(), issuer.stop()]);
  }
});

test('once the customer’s keys are destroyed the reason reads as erased', async () => {
  const { id, reference } = await cancelled();
  await destroyCustomerKeys(t.db, reference);
  const other = await startApi();
  expect((await other.get<Cancelled>(`/orders/${id}`)).body.cancellation?.message).toBe('[erased]');
  await other.stop();
});
