/** All that is kept of a customer, as one document: whole or recognisably cut, for those who may have it, however many orders there are. */
import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { createAuditor } from '../../api/access/audit-recorder.js';
import { createAuthenticator } from '../../api/access/authentication.js';
import type { Order } from '../../contracts/orders.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { releaseInventory, reserveInventory } from '../../domain/inventory.js';
import { cancelOrder } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { exportCustomer } from '../../domain/privacy/export.js';
import type { ExportedOrder } from '../../domain/privacy/export-schema.js';
import { expectProblem, SILENT, startServer, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

type Document = {
  customerId: string;
  orders: ExportedOrder[];
  count: number;
  complete: true;
  recipients: { recipient: string }[];
};

const KEYS = auditKeys(['k'.repeat(32)]);
let issuer: TokenIssuer;
let api: TestApi;
const settings = () => ({ issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl });
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await startTestApi({ auditKeys: KEYS, authentication: settings() });
  await stock(api.db, 'KEYBOARD', 100_000);
});
afterAll(() => Promise.all([api.stop(), issuer.stop()]));

const as = async (subject: string, ...roles: string[]) => ({ authorization: await issuer.token({ subject, roles }) });
const exported = async (customerId: string, caller: Awaited<ReturnType<typeof as>>) =>
  api.get<Document>(`/customers/${customerId}/export`, caller);

describe('an order in it', () => {
  let order: Order;
  let document: Document;
  beforeAll(async () => {
    const placed = await api.place(
      { customerId: 'cus_whole', externalOrderId: 'web-whole-1' },
      { ...(await as('cus_whole', 'customer')), 'idempotency-key': 'key-whole', 'x-correlation-id': 'whole-7' },
    );
    order = placed.body;
    await reserveInventory(api.db, order.id);
    await recordCharge(api.db, order.id, 'pi_whole');
    await api.db.sagaLogEntry.create({
      data: {
        orderId: order.id,
        step: 'resolve',
        outcome: 'retry',
        attempts: 0,
        actor: 'op-jane',
        detail: 'chargePayment: ticket 7',
      },
    });
    const answer = await exported('cus_whole', await as('cus_whole', 'customer'));
    expect(answer.status).toBe(200);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    document = answer.body;
  });

  test('has what was ordered, paid, told and done, and under which ids', () => {
    expect(document).toMatchObject({ customerId: 'cus_whole', count: 1, complete: true });
    expect(document.orders).toEqual([
      expect.objectContaining({
        id: order.id,
        items: order.items,
        total: order.total,
        externalOrderId: 'web-whole-1',
        correlationId: 'whole-7',
        paymentMethod: 'pm_card_visa',
        payment: expect.objectContaining({
          status: 'CHARGED',
          gatewayReference: 'pi_whole',
          amount: order.total.amount,
        }),
        reservations: [expect.objectContaining({ sku: 'KEYBOARD', quantity: 2 })],
        requestKeys: [expect.objectContaining({ key: 'key-whole' })],
      }),
    ]);
    const [{ events = [], steps = [] } = {}] = document.orders;
    expect(events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['order.created', 'inventory.reserved', 'payment.charged']),
    );
    expect(steps).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ step: 'resolve', by: 'operator', detail: 'chargePayment: ticket 7' }),
      ]),
    );
    expect(document.recipients.map(({ recipient }) => recipient)).toEqual(expect.arrayContaining(['gateway', 'feed']));
  });

  test('and no operator’s name', () => expect(JSON.stringify(document)).not.toContain('op-jane'));

  test('as its schema says, which is published', async () => {
    const schema = JSON.parse(readFileSync('contracts/schemas/exports/customer-export.v1.json', 'utf8')) as object;
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    expect(validate(document) || validate.errors).toBe(true);
    const { complete: _, ...cut } = document;
    expect(validate(cut)).toBe(false);
  });
});

test('a cancelled order has the customer’s own words in it', async () => {
  const { id } = await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_words' });
  const caller = await as('cus_words', 'customer');
  await api.send('POST', `/orders/${id}/cancel`, { reason: 'Please, it is my mother’s' }, caller);
  await releaseInventory(api.db, id);
  await cancelOrder(api.db, id);
  const { body } = await exported('cus_words', caller);
  expect(body.orders[0]?.cancellation).toEqual({
    reason: 'CANCELLED_BY_CUSTOMER',
    message: 'Please, it is my mother’s',
  });
  expect(body.orders[0]?.steps).toEqual(
    expect.arrayContaining([expect.objectContaining({ step: 'unwinding', by: 'customer' })]),
  );
});

describe('who may have it:', () => {
  beforeAll(async () => {
    for (const customerId of ['cus_a', 'cus_b']) await accept(api.db, { KEYBOARD: 1 }, { customerId });
  });
  test('the customer, a service, an operator, an auditor', async () => {
    for (const caller of [as('cus_a', 'customer'), as('shop', 'service'), as('op-7', 'operator'), as('aud', 'auditor')])
      expect((await exported('cus_a', await caller)).body).toMatchObject({
        customerId: 'cus_a',
        count: 1,
        complete: true,
      });
  });
  test('nobody else; and whether there is such a customer, a stranger does not learn', async () => {
    const stranger = await as('cus_b', 'customer');
    const [there, absent] = [await exported('cus_a', stranger), await exported('cus_nobody', stranger)];
    for (const answer of [there, absent]) expectProblem(answer, 404, 'not-found');
    expect(there.text.replaceAll(/"correlationId":"[^"]*"/g, '')).toBe(
      absent.text.replaceAll(/"correlationId":"[^"]*"/g, ''),
    );
  });
  test('of one who never ordered it is empty to themselves, and 404 to whoever mistyped', async () => {
    expect((await exported('cus_new', await as('cus_new', 'customer'))).body).toMatchObject({
      orders: [],
      count: 0,
      complete: true,
    });
    expectProblem(await exported('cus_new', await as('op-7', 'operator')), 404, 'not-found');
  });
});

test('a reader by right of office is on record, also one who hangs up amid it; the id that clients know is not', async () => {
  const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
  const server = await startServer(api, { auditor, authenticate: createAuthenticator(settings()) });
  await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_read_of' });
  await server.client.get('/customers/cus_read_of/export', await as('op-1', 'operator'));
  await server.client.get('/customers/cus_read_of/export', await as('shop', 'service'));
  await server.client.get('/customers/cus_read_of/export', await as('cus_read_of', 'customer'));
  const { authorization } = await as('op-2', 'operator');
  await new Promise<void>((resolve) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () =>
      socket.write(
        `GET /customers/cus_read_of/export HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: ${authorization}\r\n\r\n`,
      ),
    );
    socket.once('data', () => socket.destroy());
    socket.once('close', () => resolve());
  });
  await server.stop();
  await auditor.stop();
  const entries = await api.db.auditCall.findMany({ where: { route: 'GET /customers/:id/export', kind: 'read' } });
  expect(entries.map(({ subject }) => subject)).toEqual(expect.arrayContaining(['op-1', 'op-2']));
  expect(entries.map(({ subject }) => subject)).not.toEqual(expect.arrayContaining(['shop']));
  expect(
    JSON.stringify(await api.db.auditCall.findMany(), (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
  ).not.toContain('"resource":"cus_');
});

describe('of thousands of orders', () => {
  const ORDERS = 2_500;
  beforeAll(async () => {
    const { id } = await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_large' });
    await api.db.$executeRaw`
      WITH copies AS MATERIALIZED (SELECT gen_random_uuid() AS id FROM generate_series(2, ${ORDERS}::int)), made AS (
        INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', c.id))).* FROM orders o, copies c WHERE o.id = ${id}::uuid)
      INSERT INTO order_lines
      SELECT (jsonb_populate_record(l, jsonb_build_object('order_id', c.id))).* FROM order_lines l, copies c WHERE l.order_id = ${id}::uuid`;
  }, 60_000);

  test('it is whole, each once, and takes the memory of fifty', async () => {
    const { body } = await exported('cus_large', await as('shop', 'service'));
    expect(body).toMatchObject({ count: ORDERS, complete: true });
    expect(new Set(body.orders.map(({ id }) => id)).size).toBe(ORDERS);
    const sizes: number[] = [];
    for await (const piece of exportCustomer(api.db, 'cus_large')) sizes.push(Buffer.byteLength(piece));
    expect(sizes.length).toBe(2 + ORDERS / 50);
    expect(Math.max(...sizes)).toBeLessThan(100_000);
  });

  test('one that breaks amid it is cut: no end of the answer, no JSON', async () => {
    let asked = 0;
    const breaking = new Proxy(api.db, {
      get: (db, name) =>
        name === '$queryRaw' && ++asked > 12 ? () => Promise.reject(new Error('gone')) : Reflect.get(db, name),
    });
    const server = await startServer(api, { db: breaking, authenticate: createAuthenticator(settings()) });
    const { authorization } = await as('cus_large', 'customer');
    const answer = await fetch(`${server.url}/customers/cus_large/export`, { headers: { authorization } });
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow('terminated');
    await server.stop();
  });

  test('a caller who asks for it again and again is answered 429', async () => {
    const callerLimits = {
      ...{
        customerPerSecond: 50,
        servicePerSecond: 50,
        strangerPerSecond: 50,
        customerAtATime: 100,
        serviceAtATime: 100,
      },
      ...{ turnWaitMaxMs: 30_000, refusalsPerSecond: 1_000 },
    };
    const own = await startTestApi({
      db: api.db,
      databaseUrl: api.databaseUrl,
      authentication: settings(),
      callerLimits,
    });
    const caller = await as('cus_a', 'customer');
    const statuses = await Promise.all(
      Array.from({ length: 30 }, async () => (await own.get('/customers/cus_a/export', caller)).status),
    );
    expect(statuses).toContain(429);
    await eventually(
      'it is answered again',
      async () => (await own.get('/customers/cus_a/export', caller)).status === 200,
    );
    await own.stop();
  });
});
