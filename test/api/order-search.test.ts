/** Finding an order over HTTP by what a caller has in hand; who may see it is decided as ever. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import { reserveInventory } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { accept, stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

let issuer: TokenIssuer;
let api: TestApi;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await startTestApi({
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterAll(() => Promise.all([api.stop(), issuer.stop()]));

const as = async (role: string, subject = 'sub') => ({ authorization: await issuer.token({ subject, roles: [role] }) });
async function find(query: string, role = 'operator', subject = 'sub'): Promise<string[]> {
  const { status, body } = await api.get<{ orders: Order[] }>(`/orders?${query}`, await as(role, subject));
  expect([query, status]).toEqual([query, 200]);
  return body.orders.map(({ id }) => id);
}
const order = async (customerId: string, externalOrderId?: string) => {
  const accepted = await accept(api.db, { KEYBOARD: 1 }, { customerId });
  if (externalOrderId !== undefined)
    await api.db.order.update({ where: { id: accepted.id }, data: { externalOrderId } });
  return accepted;
};

test('all orders with a number are listed, newest first, whatever became of them and whoever’s they are', async () => {
  const first = await order('cus_a', 'web-1001');
  await beginUnwinding(api.db, first.id, { reason: 'PAYMENT_DECLINED' });
  await cancelOrder(api.db, first.id);
  const again = await order('cus_a', 'web-1001');
  const others = await order('cus_b', 'web-1001');
  await order('cus_a', 'web-1002');
  expect(await find('externalOrderId=web-1001')).toEqual([others.id, again.id, first.id]);
  expect(await find('externalOrderId=web-1001&customerId=cus_a')).toEqual([again.id, first.id]);
  expect(await find('externalOrderId=web-1001&customerId=cus_a&status=CANCELLED')).toEqual([first.id]);
  expect(await find('externalOrderId=web-10')).toEqual([]);
  const page = await api.get<{ orders: Order[]; next: string }>(
    '/orders?externalOrderId=web-1001&limit=2',
    await as('service'),
  );
  expect(page.body.orders.map(({ id }) => id)).toEqual([others.id, again.id]);
  expect(await find(`externalOrderId=web-1001&limit=2&cursor=${page.body.next}`)).toEqual([first.id]);
});

test('a customer finds by any of it only what is the customer’s own', async () => {
  const own = await order('cus_own', 'web-2001');
  const others = await order('cus_other', 'web-2001');
  await reserveInventory(api.db, others.id);
  await recordCharge(api.db, others.id, 'pi_of_another');
  const mine = (query: string) => find(query, 'customer', 'cus_own');
  expect(await mine('externalOrderId=web-2001')).toEqual([own.id]);
  for (const query of [
    'externalOrderId=web-2001&customerId=cus_other',
    'gatewayReference=pi_of_another',
    `correlationId=${others.correlationId}`,
    `eventId=${others.id}-1`,
  ])
    expect([query, await mine(query)]).toEqual([query, []]);
  expect(await mine(`correlationId=${own.correlationId}`)).toEqual([own.id]);
  expect((await mine('createdFrom=2020-01-01')).includes(others.id)).toBe(false);
});

test('an order is found by the provider’s references, its correlation id and its events', async () => {
  const one = await order('cus_refs');
  await reserveInventory(api.db, one.id);
  await recordCharge(api.db, one.id, 'pi_found');
  await api.db.payment.update({ where: { orderId: one.id }, data: { refundReference: 're_found' } });
  for (const query of [
    'gatewayReference=pi_found',
    'gatewayReference=re_found',
    `correlationId=${one.correlationId}`,
    `eventId=${one.id}-3`,
    `eventId=${one.id}-3&gatewayReference=pi_found&status=PENDING`,
  ])
    expect([query, await find(query)]).toEqual([query, [one.id]]);
  expect(await find(`eventId=${one.id}-4`)).toEqual([]); // it has no fourth event
  expect(await find('gatewayReference=pi_found&customerId=cus_else')).toEqual([]);
});

test('orders are found by when they were accepted: from a moment on, and before one', async () => {
  const [early, late] = [await order('cus_when'), await order('cus_when')];
  await api.db.order.update({
    where: { id: early.id },
    data: { createdAt: new Date(Date.parse(late.createdAt) - 60_000) },
  });
  const at = (ms: number) => new Date(Date.parse(late.createdAt) + ms).toISOString();
  expect(await find(`customerId=cus_when&createdFrom=${at(0)}`)).toEqual([late.id]);
  expect(await find(`customerId=cus_when&createdTo=${at(0)}`)).toEqual([early.id]);
  expect(await find(`customerId=cus_when&createdFrom=${at(-60_000)}&createdTo=${at(1)}`)).toEqual([late.id, early.id]);
  expect(await find(`customerId=cus_when&createdFrom=${at(0).slice(0, 10)}`)).toEqual([late.id, early.id]);
  for (const extreme of ['createdFrom=0000-01-01', 'createdTo=9999-12-31T23:59:59-12:00'])
    expect(await find(`customerId=cus_when&${extreme}`)).toEqual([late.id, early.id]);
});

test.each([
  ['createdFrom=yesterday', 'createdFrom'],
  ['createdTo=2026-13-01', 'createdTo'],
  ['createdFrom=2026-02-30', 'createdFrom'],
  ['eventId=7', 'eventId'],
  ['externalOrderId=', 'externalOrderId'],
  [`gatewayReference=${'x'.repeat(201)}`, 'gatewayReference'],
])('what cannot be is refused by name: %s', async (query, name) => {
  const problem = expectProblem(await api.get(`/orders?${query}`, await as('operator')), 400, 'invalid-request');
  expect(problem['errors']).toMatchObject([{ pointer: `querystring/${name}` }]);
});
