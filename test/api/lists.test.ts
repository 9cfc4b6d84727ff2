import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { accept, stock } from '../support/database.js';

type Orders = { orders: Order[]; next: string | null };
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterAll(() => api.stop());

const list = async (query: string) => {
  const { status, body } = await api.get<Orders>(`/orders?${query}`);
  expect(status).toBe(200);
  return body;
};
const ids = ({ orders }: Orders) => orders.map((order) => order.id);

async function place(customerId: string, count: number): Promise<string[]> {
  const placed: string[] = [];
  for (let i = 0; i < count; i++) placed.unshift((await api.place({ customerId })).body.id);
  return placed;
}

describe('the list of orders', () => {
  test('is empty at first, in the same shape', async () => {
    expect(await list('customerId=cus_nobody')).toEqual({ orders: [], next: null });
  });

  test('is newest first, each order as one reads it by itself', async () => {
    const placed = await place('cus_list', 3);
    const { orders, next } = await list('customerId=cus_list');
    expect([ids({ orders, next }), next]).toEqual([placed, null]);
    for (const order of orders) expect((await api.get(`/orders/${order.id}`)).body).toEqual(order);
  });

  test('is filtered by status and customer, alone and together', async () => {
    const [cancelled = '', pending = ''] = await place('cus_filter', 2);
    await beginUnwinding(api.db, cancelled, { reason: 'OPERATOR' });
    await cancelOrder(api.db, cancelled);
    await place('cus_other', 1);
    expect(ids(await list('customerId=cus_filter&status=CANCELLED'))).toEqual([cancelled]);
    expect(ids(await list('customerId=cus_filter&status=PENDING'))).toEqual([pending]);
    expect(ids(await list('customerId=cus_filter&status=CONFIRMED'))).toEqual([]);
    expect(ids(await list('status=CANCELLED'))).toEqual([cancelled]);
    expect(new Set((await list('status=PENDING')).orders.map((order) => order.status))).toEqual(new Set(['PENDING']));
  });

  test('in pages has every order once, although orders keep coming', async () => {
    const placed = await place('cus_pages', 5);
    const seen: string[] = [];
    let cursor = '';
    for (let pages = 0; pages < 10; pages++) {
      const page = await list(`customerId=cus_pages&limit=2${cursor}`);
      expect(page.orders.length).toBeLessThanOrEqual(2);
      seen.push(...ids(page));
      await place('cus_pages', 1);
      if (page.next === null) break;
      cursor = `&cursor=${page.next}`;
    }
    expect(seen).toEqual(placed);
  });

  test('says that a page that is just full is the last', async () => {
    const placed = await place('cus_full', 2);
    expect(await list('customerId=cus_full&limit=2')).toMatchObject({ next: null });
    const { next } = await list('customerId=cus_full&limit=1');
    expect(await list(`customerId=cus_full&limit=1&cursor=${next}`)).toMatchObject({
      orders: [{ id: placed[1] }],
      next: null,
    });
  });

  test('has 100 orders to a page unless asked for others, 1000 at most', async () => {
    await Promise.all(Array.from({ length: 101 }, () => accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_many' })));
    const first = await list('customerId=cus_many');
    expect([first.orders.length, typeof first.next]).toEqual([100, 'string']);
    expect((await list(`customerId=cus_many&cursor=${first.next}`)).orders).toHaveLength(1);
    expect((await list('customerId=cus_many&limit=1000')).orders).toHaveLength(101);
    expectProblem(await api.get('/orders?limit=1001'), 400, 'invalid-request', ['querystring/limit']);
  });

  test('takes no cursor of another list', async () => {
    const { body } = await api.get<{ next: string }>('/events?limit=1');
    expectProblem(await api.get(`/orders?cursor=${body.next}`), 400, 'invalid-request', ['querystring/cursor']);
  });

  test.each([
    ['/admin/erasures', `1700000000000 ${'-'.repeat(36)}`],
    ['/admin/operations', `2026-11-30T08:00:00.000Z ${'-'.repeat(36)}`],
    ['/admin/operations', '9999-99-99T99:99:99.999Z 00000000-0000-0000-0000-000000000000'],
    ['/admin/operations', '2026-02-30T08:00:00.000Z 00000000-0000-0000-0000-000000000000'],
  ])('takes no cursor that nobody has given: %s, %s', async (path, place) => {
    const cursor = Buffer.from(place).toString('base64url');
    expectProblem(await api.get(`${path}?cursor=${cursor}`), 400, 'invalid-request', ['querystring/cursor']);
  });
});
