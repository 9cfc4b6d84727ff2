/** A database that had orders before there were references: as the previous release left it, after `ops pseudonyms --begin`, and when all is replaced. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { CloudEvent } from '../../contracts/events.js';
import type { Order } from '../../contracts/orders.js';
import { identityKeyOf } from '../../domain/customers.js';
import { readStage } from '../../domain/pseudonyms.js';
import { beginReferences, PASS_START, type PassPlace, replaceBatch } from '../../domain/replacement.js';
import { type DatabaseClient, openDatabase } from '../../runtime/database.js';
import { startReplacement } from '../../relay/replacement.js';
import { type Answer, expectProblem, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const ID = 'cus_before';
let issuer: TokenIssuer;
/** Two processes: each learns of the stage by itself. */
let api: TestApi;
let other: TestApi;
let db: DatabaseClient;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  const authentication = { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl };
  api = await startTestApi({ authentication });
  db = openDatabase(api.databaseUrl, 4);
  await db.$executeRaw`UPDATE installation SET pseudonyms_since = NULL, pseudonyms_complete_at = NULL`;
  other = await startTestApi({ authentication, db: openDatabase(api.databaseUrl, 4), databaseUrl: api.databaseUrl });
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterAll(async () => {
  await other.stop();
  await db.$disconnect();
  await Promise.all([api.stop(), issuer.stop()]);
});

const as = async (role: string, subject: string) => ({
  authorization: await issuer.token({ subject, roles: [role] }),
});
const shop = async (key?: string) => ({ ...(await as('service', 'shop')), ...(key && { 'idempotency-key': key }) });
const held = async ({ id }: Pick<Order, 'id'>) =>
  (await api.db.order.findUniqueOrThrow({ where: { id }, select: { customerId: true } })).customerId;
const listed = async (of: TestApi, customerId = ID) =>
  (await of.get<{ orders: Order[] }>(`/orders?customerId=${customerId}`, await shop())).body.orders.map(({ id }) => id);
const begin = () => db.$transaction((tx) => beginReferences(tx as never));

let before: Answer<Order>;
let cancelled: string;

test('until an operator begins, orders are as the previous release reads them', async () => {
  before = await api.place({ customerId: ID, externalOrderId: 'web-1' }, await shop('k-before'));
  expect(before.status).toBe(201);
  expect(await held(before.body)).toBe(ID);
  const [event, key] = [
    await api.db.event.findFirstOrThrow({ where: { orderId: before.body.id } }),
    await api.db.idempotencyKey.findFirstOrThrow({ where: { key: 'k-before' } }),
  ];
  expect(event.data).toMatchObject({ customerId: ID });
  expect([key.caller, key.response]).toEqual(['shop', before.text]);
  expect(await api.db.customer.count()).toBe(0);
  const other = await api.place({ customerId: 'cus_cancels' }, await shop());
  const answer = await api.send('POST', `/orders/${other.body.id}/cancel`, { reason: 'no' }, await shop('c-before'));
  cancelled = answer.text;
  expect(answer.status).toBe(202);
});

test('orders that are placed while an operator begins are accepted, each once', async () => {
  const placing = Array.from({ length: 40 }, async (_, i) =>
    (i % 2 ? api : other).place({ customerId: 'cus_meanwhile' }, await shop(`k-${i >> 1}`)),
  );
  const [begun, ...answers] = await Promise.all([begin(), ...placing]);
  expect(begun).toBe(true);
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(20);
  expect(await api.db.order.count({ where: { externalOrderId: null } })).toBe(21);
  expect(await readStage(db)).toBe('begun');
});

test('after it a customer has one list of orders, and its own alone; a number that is taken stays so, and a key answers what it has answered', async () => {
  const after = await eventually('this process knows', async () => {
    const placed = await api.place({ customerId: ID }, await shop());
    return (await held(placed.body)) !== ID && placed.body;
  });
  expect((await listed(api)).slice(0, 1)).toEqual([after.id]);
  expect(await listed(api)).toContain(before.body.id);
  const customer = await as('customer', ID);
  for (const { id } of [after, before.body]) expect((await api.get(`/orders/${id}`, customer)).status).toBe(200);
  const stranger = await as('customer', await held(after));
  for (const { id } of [after, before.body]) expectProblem(await api.get(`/orders/${id}`, stranger), 404, 'not-found');
  expect(await listed(api, await held(after))).toEqual([]);
  const taken = await api.place({ customerId: ID, externalOrderId: 'web-1' }, await shop());
  expect(expectProblem(taken, 409, 'order-exists')['orderId']).toBe(before.body.id);
  await expectReplays();
});

async function expectReplays() {
  for (const one of [api, other]) {
    const again = await one.place({ customerId: ID, externalOrderId: 'web-1' }, await shop('k-before'));
    expect([again.status, again.text]).toEqual([201, before.text]);
    const reused = await one.place({ customerId: ID }, await shop('k-before'));
    expectProblem(reused, 422, 'idempotency-key-reused');
    const { id } = JSON.parse(cancelled) as Order;
    const repeated = await one.send('POST', `/orders/${id}/cancel`, { reason: 'no' }, await shop('c-before'));
    expect([repeated.status, repeated.text]).toEqual([202, cancelled]);
  }
}

test('what is older is replaced, in batches, and then nothing but references is left; answers stay what they were', async () => {
  const key = await identityKeyOf(db);
  let place: PassPlace | undefined = PASS_START;
  while (place) place = (await replaceBatch(db, key, place, 7)).place;
  expect(await readStage(db)).toBe('begun'); // it has found something
  expect(await held(before.body)).not.toBe(ID);
  await expectReplays();
  await db.$executeRaw`UPDATE installation SET pseudonyms_since = now() - interval '1 minute'`;
  const stop = startReplacement(db, SILENT);
  await eventually('it is complete', async () => (await readStage(db)) === 'complete');
  await stop();
  for (const table of ['orders', 'outbox', 'idempotency_keys', 'idempotency_answers'])
    for (const id of [ID, 'cus_cancels', 'cus_meanwhile', '"shop"'])
      expect([
        table,
        id,
        await db.$queryRawUnsafe(`SELECT count(*)::int AS n FROM ${table} t WHERE t::text LIKE '%' || $1 || '%'`, id),
      ]).toEqual([table, id, [{ n: 0 }]]);
  await expectReplays();
  expect(await listed(other)).toContain(before.body.id);
  const { body } = await api.get<{ events: CloudEvent[] }>(`/orders/${before.body.id}/events`, await shop());
  expect(body.events[0]?.data).toMatchObject({ customerId: ID, customerReference: await held(before.body) });
  const taken = await api.place({ customerId: ID, externalOrderId: 'web-1' }, await shop());
  expect(expectProblem(taken, 409, 'order-exists')['orderId']).toBe(before.body.id);
});
