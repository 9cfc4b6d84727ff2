/** Customers inside: a random reference each, which nobody outside can use as an id, and behind which the client's id stays the one answered. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { CloudEvent } from '../../contracts/events.js';
import type { Order } from '../../contracts/orders.js';
import pg from 'pg';
import { findReferences, identityKeyOf, lookupOf } from '../../domain/customers.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { type EventStream, expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { feedShowsAll, stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const REFERENCE = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;
let issuer: TokenIssuer;
let api: TestApi;
/** Another process on the same database, which tells consumers references alone. */
let reserved: TestApi;
const streams: EventStream[] = [];
beforeAll(async () => {
  issuer = await startTokenIssuer();
  const authentication = { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl };
  api = await startTestApi({ authentication });
  reserved = await startTestApi({
    authentication,
    db: api.db,
    databaseUrl: api.databaseUrl,
    customersTold: 'reference',
  });
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});
afterAll(async () => {
  await reserved.stop();
  await Promise.all([api.stop(), issuer.stop()]);
});

const as = async (role: string, subject: string) => ({
  authorization: await issuer.token({ subject, roles: [role] }),
});
const shop = () => as('service', 'shop');
const place = async (customerId: string, changed: object = {}) => {
  const answer = await api.place({ customerId, ...changed }, await shop());
  expect(answer.status).toBe(201);
  return answer.body;
};
const held = async ({ id }: Pick<Order, 'id'>) =>
  (await api.db.order.findUniqueOrThrow({ where: { id }, select: { customerId: true } })).customerId;
const customersOrders = async (customerId: string) => {
  const { body } = await api.get<{ orders: Order[] }>(`/orders?customerId=${customerId}`, await shop());
  return body.orders.map(({ id }) => id);
};
/** As an erasure begins: its orders are still the customer's. */
const beginErasure = (reference: string) =>
  api.db.$executeRaw`UPDATE customers SET erasing_since = now() WHERE reference = ${reference}::uuid`;
/** As it ends. */
const erase = (reference: string) => api.db.$executeRaw`
  UPDATE customers SET erasing_since = coalesce(erasing_since, now()), erased_at = now(), lookup = NULL, client_id = NULL
  WHERE reference = ${reference}::uuid`;

describe('an order', () => {
  test('is answered with the id that it was placed with, and holds a reference, the same for each order of that id', async () => {
    const [first, second] = [await place('cus_a'), await place('cus_a')];
    expect(await held(first)).toMatch(REFERENCE);
    expect(await held(second)).toBe(await held(first));
    expect(await held(await place('cus_b'))).not.toBe(await held(first));
    const read = await api.get<Order>(`/orders/${first.id}`, await shop());
    expect(read.body).toEqual(first);
    expect(first).toMatchObject({ customerId: 'cus_a' });
    expect(read.text).not.toContain(await held(first));
    expect(await customersOrders('cus_a')).toEqual([second.id, first.id]);
  });

  test('of a customer whose first orders come at the same time has the reference of all of them', async () => {
    // Another process is amid its first order: its row is there, and not committed.
    const other = new pg.Client(sessionConfig(api.databaseUrl));
    await other.connect();
    const reference = randomUUID();
    const lookup = Buffer.from(lookupOf(await identityKeyOf(api.db), 'cus_at_once'));
    try {
      await other.query('BEGIN');
      await other.query('INSERT INTO customers (reference, lookup, client_id) VALUES ($1, $2, $3)', [
        ...[reference, lookup, 'cus_at_once'],
      ]);
      const placing = Promise.allSettled(Array.from({ length: 3 }, () => place('cus_at_once')));
      await eventually('all of them have met it', async () => {
        const [row] = await api.db.$queryRaw<{ waiting: number }[]>`
          SELECT count(*)::int AS waiting FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO customers%'`;
        return row?.waiting === 3;
      });
      await other.query('COMMIT');
      const placed = (await placing).map((one) => (one.status === 'fulfilled' ? held(one.value) : one.reason));
      expect(await Promise.all(placed)).toEqual([reference, reference, reference]);
    } finally {
      await other.end();
    }
    expect(await api.db.customer.count({ where: { clientId: 'cus_at_once' } })).toBe(1);
  });

  test('that was refused leaves no customer behind', async () => {
    const answer = await api.place(
      { customerId: 'cus_refused', items: [{ sku: 'NOT-THERE', quantity: 1 }] },
      await shop(),
    );
    expectProblem(answer, 422, 'unknown-sku');
    expect(await api.db.customer.count({ where: { clientId: 'cus_refused' } })).toBe(0);
  });

  test('and all else that is stored about it is without the client’s id, but for the one row that an erasure destroys', async () => {
    const canary = 'cus_canary_7f3a';
    const number = 'web-canary';
    const customer = await as('customer', canary);
    const placed = await api.place({ customerId: canary, externalOrderId: number }, customer);
    expect(placed.status).toBe(201);
    const cancel = () =>
      api.send('POST', `/orders/${placed.body.id}/cancel`, { reason: 'no' }, { ...customer, 'idempotency-key': 'c-1' });
    const cancelled = await cancel();
    expect(cancelled.status).toBe(202);
    expect([(await cancel()).text, cancelled.text]).toEqual([cancelled.text, expect.stringContaining(canary)]);
    const keyed = { ...customer, 'idempotency-key': 'k-1' };
    const first = await api.place({ customerId: canary }, keyed);
    const again = await api.place({ customerId: canary }, keyed);
    expect([again.headers.get('idempotent-replayed'), again.text]).toEqual(['true', first.text]);
    expect(first.text).toContain(canary);
    expectProblem(await api.get('/inventory-of-nobody', customer), 404, 'not-found');
    expectProblem(await api.get('/admin/sagas', customer), 403, 'forbidden');
    const other = await place('cus_not_canary');
    expectProblem(await api.get(`/orders/${other.id}`, customer), 404, 'not-found');
    await eventually('the refusals are on record', async () => (await api.db.auditCall.count()) >= 2);
    expect(await tablesWith(canary)).toEqual(['customers']);
  });
});

/** Every table a row of which has this text in it, whatever the column. */
async function tablesWith(text: string): Promise<string[]> {
  const tables = await api.db.$queryRaw<{ name: string }[]>`
    SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = current_schema()`;
  const found = await Promise.all(
    tables.map(async ({ name }) => {
      const [row] = await api.db.$queryRawUnsafe<{ n: number }[]>(
        `SELECT count(*)::int AS n FROM ${name} t WHERE t::text LIKE '%' || $1 || '%'`,
        text,
      );
      return row?.n ? [name] : [];
    }),
  );
  return found.flat().sort();
}

describe('whose an order is', () => {
  test('a customer reads its own, and another’s is not there, not for one whose id is that one’s reference either', async () => {
    const order = await place('cus_owner');
    const reference = await held(order);
    expect((await api.get(`/orders/${order.id}`, await as('customer', 'cus_owner'))).status).toBe(200);
    for (const subject of ['cus_other', reference]) {
      const headers = await as('customer', subject);
      for (const path of ['', '/events', '/saga'])
        expectProblem(await api.get(`/orders/${order.id}${path}`, headers), 404, 'not-found');
      expectProblem(
        await api.send('POST', `/orders/${order.id}/cancel`, { reason: 'mine' }, headers),
        404,
        'not-found',
      );
      expect((await api.get<{ orders: Order[] }>('/orders', headers)).body.orders).toEqual([]);
    }
    expect(await customersOrders(reference)).toEqual([]);
    const impostors = await place(reference);
    expect(await customersOrders(reference)).toEqual([impostors.id]);
    expect(await customersOrders('cus_owner')).toEqual([order.id]);
  });

  test('and who asked for its end is told: its customer, an operator, or a service for the customer', async () => {
    const operator = await as('operator', 'alice');
    const callers = [
      [await as('customer', 'cus_ended'), 'customer', 'CANCELLED_BY_CUSTOMER'],
      [operator, 'operator', 'OPERATOR'],
      [await shop(), 'service', 'CANCELLED_BY_CUSTOMER'],
    ] as const;
    for (const [headers, who, code] of callers) {
      const { id } = await place('cus_ended');
      const timeline = async () =>
        (await api.get<{ cancelledBy: unknown; entries: unknown[] }>(`/admin/orders/${id}/timeline`, operator)).body;
      expect((await timeline()).cancelledBy).toBeNull();
      await api.send('POST', `/orders/${id}/cancel`, { reason: 'two of them' }, headers);
      const { cancelledBy, entries } = await timeline();
      const subject = { customer: await held({ id }), operator: 'alice', service: 'shop' }[who];
      expect([cancelledBy, entries]).toEqual([
        { who, subject },
        expect.arrayContaining([expect.objectContaining({ what: `to be given up: ${code}` })]),
      ]);
    }
  });

  test('a number is one customer’s: a client’s id that is another’s reference may use it as well', async () => {
    const order = await place('cus_number', { externalOrderId: 'web-1' });
    await place(await held(order), { externalOrderId: 'web-1' });
    const again = await api.place({ customerId: 'cus_number', externalOrderId: 'web-1' }, await shop());
    expect(expectProblem(again, 409, 'order-exists')['orderId']).toBe(order.id);
  });

  test('who is being erased still has its orders; what it orders from then on has another reference', async () => {
    const before = await place('cus_leaving');
    await beginErasure(await held(before));
    const after = await place('cus_leaving');
    expect(await held(after)).not.toBe(await held(before));
    expect(await customersOrders('cus_leaving')).toEqual([after.id, before.id]);
    const customer = await as('customer', 'cus_leaving');
    const { body } = await api.get<{ orders: Order[] }>('/orders?limit=1', customer);
    expect(body.orders.map(({ id }) => id)).toEqual([after.id]);
    for (const { id } of [before, after]) expect((await api.get(`/orders/${id}`, customer)).status).toBe(200);
  });

  test('an erased customer’s order is nobody’s, and says the reference', async () => {
    const order = await place('cus_gone');
    const reference = await held(order);
    await erase(reference);
    for (const subject of ['cus_gone', reference])
      expectProblem(await api.get(`/orders/${order.id}`, await as('customer', subject)), 404, 'not-found');
    expect(await customersOrders('cus_gone')).toEqual([]);
    expect((await api.get<Order>(`/orders/${order.id}`, await shop())).body.customerId).toBe(reference);
    const back = await place('cus_gone');
    expect(await held(back)).not.toBe(reference);
    const key = await identityKeyOf(api.db);
    expect(await findReferences(api.db, key, 'cus_gone')).toEqual([await held(back)]);
  });
});

describe('events', () => {
  const createdOf = async (of: TestApi, id: string, headers: Record<string, string>) => {
    const { body } = await of.get<{ events: CloudEvent[] }>(`/orders/${id}/events`, headers);
    return body.events[0]?.data as { customerId: string; customerReference?: string };
  };
  const inFeed = async (of: TestApi, id: string) => {
    await feedShowsAll(api.db);
    const { body } = await of.get<{ events: CloudEvent[] }>('/events?limit=1000', await shop());
    return body.events.find(({ subject }) => subject === id)?.data;
  };

  test('tell the client’s id and the reference, a customer its own id alone; with EVENTS_CUSTOMER=reference the reference is all', async () => {
    const order = await place('cus_events');
    const reference = await held(order);
    const stored = await api.db.event.findFirstOrThrow({ where: { orderId: order.id } });
    expect(stored.data).toMatchObject({ customerId: reference });
    const id = { customerId: 'cus_events', customerReference: reference };
    expect(await createdOf(api, order.id, await shop())).toMatchObject(id);
    expect(await inFeed(api, order.id)).toMatchObject(id);
    const own = await createdOf(api, order.id, await as('customer', 'cus_events'));
    expect(own).toMatchObject({ customerId: 'cus_events' });
    expect(JSON.stringify(own)).not.toContain(reference);
    const alone = { customerId: reference, customerReference: reference };
    expect(await createdOf(reserved, order.id, await shop())).toMatchObject(alone);
    expect(await inFeed(reserved, order.id)).toMatchObject(alone);
  });

  test.each([
    ['api', 'cus_stream', () => api],
    ['with EVENTS_CUSTOMER=reference', undefined, () => reserved],
  ])('are streamed as they are read: %s', async (_, customerId, of) => {
    const stream = await of().stream('/events', await shop());
    streams.push(stream);
    const order = await place('cus_stream');
    const reference = await held(order);
    const [created] = await eventually('it has come', async () => {
      const those = stream.events.map(({ data }) => data as CloudEvent).filter(({ subject }) => subject === order.id);
      return those.length > 0 && those;
    });
    expect(created?.data).toMatchObject({ customerId: customerId ?? reference, customerReference: reference });
  });

  test('of an erased customer say the reference, in a stream that resumes as well', async () => {
    const order = await place('cus_forgotten');
    const reference = await held(order);
    expect(await inFeed(api, order.id)).toMatchObject({ customerId: 'cus_forgotten' });
    await erase(reference);
    expect(await inFeed(api, order.id)).toMatchObject({ customerId: reference });
    expect(await createdOf(api, order.id, await shop())).toMatchObject({ customerId: reference });
  });
});

test('an id that looks like a reference is an id like any other', async () => {
  const id = randomUUID();
  const order = await place(id);
  expect(await held(order)).not.toBe(id);
  const read = await api.get<Order>(`/orders/${order.id}`, await as('customer', id));
  expect(read.body).toMatchObject({ id: order.id, customerId: id });
});
