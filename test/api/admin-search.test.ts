/** One box: whatever an operator has in hand leads to the order, and what was found is on record without what was typed. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import { findReferences, readIdentityKey } from '../../domain/customers.js';
import { releaseInventory, reserveInventory } from '../../domain/inventory.js';
import { beginSearch, EXAMINED_MAX, findOrders } from '../../domain/order-finding.js';
import { beginUnwinding } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

let issuer: TokenIssuer;
let api: TestApi;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await startTestApi({
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  await api.db
    .$executeRaw`UPDATE installation SET pseudonyms_since = now() - interval '1 day', pseudonyms_complete_at = now()`;
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterAll(() => Promise.all([api.stop(), issuer.stop()]));

const as = async (role: string, subject = `a-${role}`) => ({
  authorization: await issuer.token({ subject, roles: [role] }),
});
type Answered = { orders: { order: Order; foundBy: string[] }[]; more: boolean };
const search = async (q: string, role = 'operator', more = '') =>
  api.get<Answered>(`/admin/search?q=${encodeURIComponent(q)}${more}`, await as(role));

/** Whatever it has to put on record is there when it has stopped. */
const anotherApi = () =>
  startTestApi({
    db: api.db,
    databaseUrl: api.databaseUrl,
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });

async function place(customerId: string, externalOrderId: string): Promise<Order> {
  const headers = await as('service');
  const { body, status } = await api.place(
    { customerId, externalOrderId, items: [{ sku: 'KEYBOARD', quantity: 1 }] },
    headers,
  );
  expect(status).toBe(201);
  return body;
}

test('each thing that leads to an order finds it, and says what it is of the order', async () => {
  const order = await place('cus_searched', 'web-3001');
  await place('cus_else', 'web-3002');
  await reserveInventory(api.db, order.id);
  await recordCharge(api.db, order.id, 'pi_searched');
  await api.db.payment.update({ where: { orderId: order.id }, data: { refundReference: 're_searched' } });
  const [reference = ''] = await findReferences(api.db, await readIdentityKey(api.db), 'cus_searched');
  for (const [q, foundBy] of [
    [order.id, 'order'],
    [order.id.toUpperCase(), 'order'],
    [`order-${order.id}`, 'order'],
    [`order-${order.id}-cancel`, 'order'],
    [`${order.id}-2`, 'event'],
    [order.correlationId, 'correlationId'],
    ['web-3001', 'externalOrderId'],
    ['pi_searched', 'gatewayReference'],
    ['re_searched', 'gatewayReference'],
    ['cus_searched', 'customerId'],
    [reference, 'customerReference'],
  ] as const) {
    const { status, body } = await search(q, 'auditor');
    expect([q, status, body]).toEqual([
      q,
      200,
      { orders: [{ order: expect.objectContaining({ id: order.id }), foundBy: [foundBy] }], more: false },
    ]);
  }
  expect((await search('web-3001')).body.orders[0]?.order).toEqual(
    (await api.get<Order>(`/orders/${order.id}`, await as('operator'))).body,
  );
  expect((await search('web-300')).body).toEqual({ orders: [], more: false });
});

test('what one text is of several orders is all found, newest first, and told apart', async () => {
  const named = await place('cus_same', 'web-4001');
  const customers = await place('web-4001', 'other');
  const { body } = await search('web-4001');
  expect(body.orders.map(({ order, foundBy }) => [order.id, foundBy])).toEqual([
    [customers.id, ['customerId']],
    [named.id, ['externalOrderId']],
  ]);
  expect((await search('web-4001', 'operator', '&limit=1')).body).toMatchObject({
    orders: [{ order: { id: customers.id } }],
    more: true,
  });
});

test('what was found is on record, an order by its id and a customer by reference; what was typed is not', async () => {
  const order = await place('cus_on_record', 'web-5001');
  await place('cus_on_record', 'web-5002');
  const other = await anotherApi();
  const reader = await as('auditor', 'aud-search');
  for (const q of ['web-5001', 'cus_on_record', 'cus_unheard_of', order.id])
    expect((await other.get(`/admin/search?q=${q}`, reader)).status).toBe(200);
  await other.stop();
  const [reference] = await findReferences(api.db, await readIdentityKey(api.db), 'cus_on_record');
  const entries = await eventually('the reads are on record', async () => {
    const found = await api.db.auditCall.findMany({ where: { subject: 'aud-search' }, orderBy: { id: 'asc' } });
    return found.length === 3 && found;
  });
  expect(entries).toMatchObject([
    { kind: 'read', route: 'GET /admin/search', resource: order.id, times: 2 },
    { kind: 'read', route: 'GET /admin/search', resource: `customer ${reference}`, times: 1 },
    { kind: 'read', route: 'GET /admin/search', resource: null, times: 1 },
  ]);
  expect(JSON.stringify(entries, (_, value) => (typeof value === 'bigint' ? `${value}` : value))).not.toMatch(
    /web-5001|on_record|unheard_of/,
  );
});

type Page = { orders: Order[]; next: string | null };
const find = async (query: string, role = 'operator') => api.get<Page>(`/admin/orders?${query}`, await as(role));
const idsOf = ({ status, body }: { status: number; body: Page }) => {
  expect(status).toBe(200);
  return body.orders.map(({ id }) => id);
};

describe('orders by what they have in common', () => {
  const ids: string[] = [];
  let startedAt: string;
  beforeAll(async () => {
    await api.db
      .$executeRaw`INSERT INTO inventory (sku, name, unit_price, currency, on_hand_total, available) VALUES ('LAMP', 'Lamp', 777777, 'USD', 100, 100)`;
    startedAt = new Date(Date.now() - 1).toISOString();
    for (const quantity of [1, 2, 1, 3]) ids.push((await accept(api.db, { LAMP: quantity })).id);
  });

  test('whose stock is held now is found by the SKU, newest first, in pages, and not what was bought or given back', async () => {
    const [bought = '', undone = '', first = '', second = ''] = ids;
    for (const id of ids) await reserveInventory(api.db, id);
    await recordCharge(api.db, bought, 'pi_bought', undefined, { confirm: true });
    await beginUnwinding(api.db, undone, { reason: 'OPERATOR' });
    await releaseInventory(api.db, undone);
    expect(idsOf(await find('heldSku=LAMP', 'auditor'))).toEqual([second, first]);
    const page = await find('heldSku=LAMP&limit=1');
    expect(idsOf(page)).toEqual([second]);
    const rest = await find(`heldSku=LAMP&limit=1&cursor=${page.body.next}`);
    expect([idsOf(rest), rest.body.next]).toEqual([[first], null]);
    expect(idsOf(await find('heldSku=LAMP&currency=USD&amountFrom=2000000'))).toEqual([second]);
    expect(idsOf(await find('heldSku=LAMP&status=CONFIRMED'))).toEqual([]);
    expect(idsOf(await find('heldSku=NOBODYS'))).toEqual([]);
    expect(rest.body.orders[0]).toEqual((await api.get<Order>(`/orders/${first}`, await as('operator'))).body);
  });

  test('a SKU finds the orders that are of it, whatever has come of them: the newest that bought it is the first CONFIRMED one', async () => {
    const [bought, undone, first, second] = ids;
    expect(idsOf(await find('sku=LAMP', 'auditor'))).toEqual([second, first, undone, bought]);
    expect(idsOf(await find('sku=LAMP&status=CONFIRMED'))).toEqual([bought]);
    expect(idsOf(await find('sku=LAMP&heldSku=LAMP'))).toEqual([second, first]);
    expect(idsOf(await find(`sku=LAMP&limit=1&cursor=${(await find('sku=LAMP&limit=1')).body.next}`))).toEqual([first]);
    expect(idsOf(await find('sku=NOBODYS'))).toEqual([]);
  });

  test('an amount finds its orders, exactly or between two, and in its currency alone', async () => {
    const [bought, undone, first, second] = ids;
    expect(idsOf(await find('currency=USD&amountFrom=777777&amountTo=777777'))).toEqual([first, bought]);
    expect(idsOf(await find('currency=USD&amountFrom=777778'))).toEqual([second, undone]);
    expect(idsOf(await find('currency=USD&amountFrom=700000&amountTo=1555554&status=CONFIRMED'))).toEqual([bought]);
    expect(idsOf(await find('currency=EUR&amountFrom=777777&amountTo=777777'))).toEqual([]);
    expect(idsOf(await find(`createdFrom=${startedAt}`))).toEqual([...ids].reverse());
    expect(idsOf(await find(`createdTo=${startedAt}&currency=USD&amountFrom=700000`))).toEqual([]);
  });

  test('a look through very many orders stops, and says where it goes on, until there is nothing behind', async () => {
    const wanted = { status: 'CANCELLED', createdFromMs: Date.parse(startedAt) } as const;
    await api.db.$executeRaw`
      INSERT INTO orders (id, customer_id, currency, total_amount, payment_method, correlation_id, event_count, event_xid, status, unwinding_reason)
      SELECT uuidv7(n * interval '1 ms'), 'cus_many', 'CHF', 5, 'pm_card_visa', 'c', 1, 1,
        CASE WHEN n = 1 THEN 'CANCELLED' ELSE 'PENDING' END, CASE WHEN n = 1 THEN 'OPERATOR' END
      FROM generate_series(1, ${EXAMINED_MAX + 5}::int) AS n`;
    const look = await findOrders(api.db, { wanted, beforeId: undefined, limit: 5 });
    expect(look).toEqual({ orders: [], end: expect.any(String) });
    const behind = await findOrders(api.db, { wanted, beforeId: look.end ?? '', limit: 5 });
    expect([behind.orders.map(({ status }) => status), behind.end]).toEqual([['CANCELLED'], null]);
    const answer = await find(`status=CANCELLED&createdFrom=${startedAt}`);
    expect(answer.body).toEqual({ orders: [], next: expect.any(String) });
    expect(idsOf(await find(`status=CANCELLED&createdFrom=${startedAt}&cursor=${answer.body.next}`))).toHaveLength(1);
  });

  test('however many looks a page takes, together they go no further than one', async () => {
    const all = { createdFromMs: Date.parse(startedAt) } as const;
    const { orders: newest } = await findOrders(api.db, { wanted: all, beforeId: undefined, limit: 8 });
    const one = await findOrders(api.db, { wanted: { ...all, status: 'CANCELLED' }, beforeId: undefined, limit: 8 });
    const look = beginSearch(api.db, all, undefined);
    const found = [...(await look(undefined, 8)).orders];
    expect(found).toEqual(newest);
    for (;;) {
      const { orders, end } = await look(found.at(-1)?.id, 9_000);
      found.push(...orders);
      if (orders.length === 9_000) continue;
      expect([found.length, found.at(-1)?.id, end]).toEqual([EXAMINED_MAX, one.end, one.end]);
      break;
    }
    const wanted = { amount: { currency: 'CHF', from: 5, to: 5 } };
    const [fourth] = await api.db.$queryRaw<{ id: string }[]>`
      SELECT id::text FROM orders WHERE currency = 'CHF' ORDER BY id LIMIT 1 OFFSET 3`;
    expect((await findOrders(api.db, { wanted, beforeId: fourth?.id, limit: 8 })).orders).toHaveLength(3);
  });

  test('each order that was found is on record by its id', async () => {
    const reader = { authorization: await issuer.token({ subject: 'aud-finding', roles: ['auditor'] }) };
    const other = await anotherApi();
    await other.get('/admin/orders?heldSku=LAMP', reader);
    await other.stop();
    const entries = await eventually('the reads are on record', async () => {
      const found = await api.db.auditCall.findMany({ where: { subject: 'aud-finding' } });
      return found.length >= 2 && found;
    });
    expect(entries.map(({ route, resource }) => [route, resource]).sort()).toEqual(
      ids.slice(2).map((id) => ['GET /admin/orders', id]),
    );
  });

  test.each([
    ['amountFrom=5', 'currency'],
    ['currency=CHF&amountFrom=5&amountTo=4', 'amountFrom'],
    ['currency=chf&amountFrom=5', 'currency'],
    ['sku=a%20b', 'sku'],
    ['heldSku=a%20b', 'heldSku'],
    ['createdTo=2026-02-30', 'createdTo'],
    ['limit=101', 'limit'],
    ['cursor=abc', 'cursor'],
  ])('what cannot be is refused by name: %s', async (query, name) => {
    const problem = expectProblem(await find(query), 400, 'invalid-request');
    expect(problem['errors']).toMatchObject([{ pointer: `querystring/${name}` }]);
  });

  test('customers and services cannot ask for it', async () => {
    for (const role of ['customer', 'service']) expectProblem(await find('heldSku=LAMP', role), 403, 'forbidden');
  });
});

test.each([
  ['q=', 'q'],
  ['', 'q'],
  [`q=${'x'.repeat(201)}`, 'q'],
  ['q=two%20words', 'q'],
  ['q=caf%C3%A9', 'q'],
  ['q=a%00b', 'q'],
  ['q=a&limit=101', 'limit'],
])('what cannot be is refused by name: %j', async (query, name) => {
  const problem = expectProblem(await api.get(`/admin/search?${query}`, await as('operator')), 400, 'invalid-request');
  expect(JSON.stringify(problem['errors'])).toContain(name);
});

test('customers and services search by GET /orders, as ever', async () => {
  for (const role of ['customer', 'service']) expectProblem(await search('web-3001', role), 403, 'forbidden');
});

test('a caller is told who it is here', async () => {
  const { body } = await api.get('/whoami', await as('auditor', 'ada'));
  expect(body).toEqual({
    subject: 'ada',
    roles: ['auditor'],
    isAuthenticated: true,
    expiresAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
  });
});

test('an order that is older than references is on record by its id', async () => {
  const order = await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_of_before' });
  await api.db.$executeRaw`UPDATE installation SET pseudonyms_complete_at = NULL`;
  await api.db.$executeRaw`UPDATE orders SET customer_id = 'cus_of_before' WHERE id = ${order.id}::uuid`;
  const { body } = await search('cus_of_before');
  expect(body.orders).toMatchObject([{ order: { id: order.id }, foundBy: ['customerId'] }]);
});
