import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import { listUnstarted } from '../../domain/acceptance.js';
import { putSku } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { countStored, expectProblem, lostTemporal, startTestApi, type TestApi } from '../support/api.js';
import { eventTypes, stock } from '../support/database.js';

let api: TestApi;
let stopping: Promise<void> | undefined;
beforeAll(async () => {
  api = await startTestApi();
  await putSku(api.db, 'KEYBOARD', { name: 'Keyboard', unitPrice: 4_900, currency: 'USD', onHand: 1_000 });
  await putSku(api.db, 'CHOCOLATE', { name: 'Chocolate', unitPrice: 250, currency: 'EUR', onHand: 1_000 });
  await stock(api.db, 'MOUSE', 1_000, 1_500);
  await stock(api.db, 'GIFT', 1_000, 0);
  await stock(api.db, 'DEAR', 1_000_000, 99_999_999);
});
afterAll(() => Promise.all([api.stop(), stopping]));

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const ISO_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe('an order placed while Temporal is away', () => {
  test('is accepted, in the contract’s words and no others', async () => {
    const { status, headers, body } = await api.place(
      { externalOrderId: 'web-1001' },
      { 'x-correlation-id': 'corr-1' },
    );
    expect(status).toBe(201);
    expect(headers.get('location')).toBe(`/orders/${body.id}`);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(body).toEqual({
      id: expect.stringMatching(UUID_V7),
      status: 'PENDING',
      customerId: 'cus_42',
      items: [{ sku: 'KEYBOARD', quantity: 2, unitPrice: 4_900 }],
      total: { amount: 9_800, currency: 'USD' },
      externalOrderId: 'web-1001',
      createdAt: expect.stringMatching(ISO_UTC),
      updatedAt: body.createdAt,
      correlationId: 'corr-1',
    });
  });

  test('is durable, has its first event, and waits in the sweep’s list for its saga', async () => {
    const { body } = await api.place();
    expect((await api.get(`/orders/${body.id}`)).body).toEqual(body);
    expect(await eventTypes(api.db, body.id)).toEqual(['order.created']);
    expect((await listUnstarted(api.db, -60_000, 1_000)).map((order) => order.id)).toContain(body.id);
  });

  test('is accepted by a process that has lost Temporal, too', async () => {
    const temporal = await lostTemporal();
    const lost = await startTestApi({ temporal });
    await stock(lost.db, 'KEYBOARD', 10);
    const { status, body } = await lost.place();
    expect(status).toBe(201);
    expect((await listUnstarted(lost.db, -60_000, 10)).map((order) => order.id)).toEqual([body.id]);
    // Stopping lets the start that is under way fail first; the other tests need not wait for that.
    stopping = lost.stop().then(() => temporal.close());
  });

  test('keeps the order of its lines, and costs what the catalogue says', async () => {
    const items = [
      { sku: 'MOUSE', quantity: 3 },
      { sku: 'KEYBOARD', quantity: 1 },
      { sku: 'GIFT', quantity: 1_000 },
    ];
    const { body } = await api.place({ items });
    const priced = items.map((item, i) => ({ ...item, unitPrice: [1_500, 4_900, 0][i] }));
    expect(body).toMatchObject({ items: priced, total: { amount: 9_400, currency: 'USD' } });
    expect((await api.get<Order>(`/orders/${body.id}`)).body.items).toEqual(priced);
  });

  test('keeps its price when the catalogue changes', async () => {
    await stock(api.db, 'SALE', 10, 700);
    const { body } = await api.place({ items: [{ sku: 'SALE', quantity: 1 }] });
    await stock(api.db, 'SALE', 10, 999);
    expect((await api.get<Order>(`/orders/${body.id}`)).body.total).toEqual({ amount: 700, currency: 'USD' });
  });
});

describe('the correlation id', () => {
  test('goes through: header, order, event', async () => {
    const { headers, body } = await api.place({}, { 'x-correlation-id': 'Shop:42_a.b-c' });
    expect(headers.get('x-correlation-id')).toBe('Shop:42_a.b-c');
    const { body: page } = await api.get<{ events: object[] }>(`/orders/${body.id}/events`);
    expect(page.events).toMatchObject([{ correlationid: 'Shop:42_a.b-c' }]);
  });

  test('is made when there is none, another one for each request', async () => {
    const [a, b] = await Promise.all([api.place(), api.place()]);
    expect(a.headers.get('x-correlation-id')).toMatch(UUID_V7);
    expect(a.body.correlationId).toBe(a.headers.get('x-correlation-id'));
    expect(b.body.correlationId).not.toBe(a.body.correlationId);
  });

  test.each([
    '',
    ' ',
    'a b',
    'a"b',
    '{"a":1}',
    'x'.repeat(129),
    '-rf',
    'é',
    'a,b',
    '<script>',
    '$(reboot)',
    '%0d%0aSet-Cookie:x',
  ])('is replaced when it could do harm: %p', async (harmful) => {
    const { headers, body } = await api.place({}, { 'x-correlation-id': harmful });
    expect(headers.get('x-correlation-id')).toMatch(UUID_V7);
    expect(body.correlationId).toBe(headers.get('x-correlation-id'));
  });

  test('is on every answer, also where there is nothing', async () => {
    for (const path of ['/livez', '/orders/none', '/nowhere', '/docs', '/openapi.json']) {
      expect((await api.get(path, { 'x-correlation-id': 'c-1' })).headers.get('x-correlation-id')).toBe('c-1');
    }
  });
});

describe('an order that cannot be', () => {
  const refusals: [string, object, number, string, string[] | undefined][] = [
    [
      'of SKUs that are not in the catalogue',
      {
        items: [
          { sku: 'MOUSE', quantity: 1 },
          { sku: 'NONE-1', quantity: 1 },
          { sku: 'NONE-2', quantity: 1 },
        ],
      },
      422,
      'unknown-sku',
      ['/items/1/sku', '/items/2/sku'],
    ],
    [
      'priced in two currencies',
      {
        items: [
          { sku: 'KEYBOARD', quantity: 1 },
          { sku: 'CHOCOLATE', quantity: 1 },
        ],
      },
      422,
      'mixed-currencies',
      undefined,
    ],
    [
      'dearer than its buyer expects',
      { expectedTotal: { amount: 9_799, currency: 'USD' } },
      409,
      'price-changed',
      undefined,
    ],
    [
      'in another currency than its buyer expects',
      { expectedTotal: { amount: 9_800, currency: 'EUR' } },
      409,
      'price-changed',
      undefined,
    ],
    [
      'beyond what any gateway takes',
      {
        items: [
          { sku: 'DEAR', quantity: 1_000 },
          { sku: 'MOUSE', quantity: 1 },
        ],
      },
      422,
      'total-too-large',
      undefined,
    ],
  ];
  test.each(refusals)('%s is refused, and nothing of it is stored', async (_, changed, status, code, pointers) => {
    const before = await countStored(api.db);
    expectProblem(await api.place(changed, { 'idempotency-key': 'refused' }), status, code, pointers);
    expect(await countStored(api.db)).toEqual(before);
  });

  test('names the new price', async () => {
    const problem = expectProblem(
      await api.place({ expectedTotal: { amount: 1, currency: 'USD' } }),
      409,
      'price-changed',
    );
    expect(problem.detail).toContain('9800 USD');
    expect((await api.place({ expectedTotal: { amount: 9_800, currency: 'USD' } })).status).toBe(201);
  });
});

describe('reading an order', () => {
  test('that is cancelled says why, to every reader', async () => {
    const { body } = await api.place();
    await beginUnwinding(api.db, body.id, { reason: 'CANCELLED_BY_CUSTOMER', message: 'found it cheaper' });
    expect((await api.get<Order>(`/orders/${body.id}`)).body).not.toHaveProperty('cancellation');
    await cancelOrder(api.db, body.id);
    const { body: cancelled } = await api.get<Order>(`/orders/${body.id}`);
    expect(cancelled).toMatchObject({
      status: 'CANCELLED',
      cancellation: { reason: 'CANCELLED_BY_CUSTOMER', message: 'found it cheaper' },
    });
    expect(Date.parse(cancelled.updatedAt)).toBeGreaterThanOrEqual(Date.parse(cancelled.createdAt));
  });

  test.each([
    '01999999-9999-7999-8999-999999999999',
    'none',
    '1',
    '%00',
    '%F0%9F%98%80',
    "'%20OR%201=1",
    '..%2F..%2Fetc%2Fpasswd',
    'null',
    'a'.repeat(300),
    '%20',
  ])('that is not there (%p) is 404, whatever is asked of it', async (id) => {
    for (const rest of ['', '/saga', '/events']) expectProblem(await api.get(`/orders/${id}${rest}`), 404, 'not-found');
  });
});
