/** What operators write is kept for ever: a person's data in it is refused, the field is named, and what it was is not repeated. */
import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { PERMISSIONS } from '../../api/access/permissions.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { accept, stock } from '../support/database.js';
import { bodyFor, OPERATIONS } from '../privacy/planting.js';
import { type OpenApi, resolve, type Schema } from '../support/openapi.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const DOCUMENT = JSON.parse(readFileSync('api/openapi.json', 'utf8')) as OpenApi;
const rolesOf = (method: string, path: string): readonly string[] => {
  const allowed = PERMISSIONS[`${method} ${path.replace(/\{(\w+)\}/g, ':$1')}`] ?? [];
  return typeof allowed === 'string' ? [] : allowed;
};

let issuer: TokenIssuer;
let api: TestApi;
let orderId: string;
const lines: string[] = [];
const write = (line: unknown, _: unknown, done: () => void) => {
  lines.push(String(line));
  done();
};
const logger = pino(new Writable({ write }));
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await startTestApi({
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
    logger,
  });
  await stock(api.db, 'KEYBOARD', 1_000);
  orderId = (await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_own' })).id;
});
afterAll(() => Promise.all([api.stop(), issuer.stop()]));

const as = async (subject: string, ...roles: string[]) => ({ authorization: await issuer.token({ subject, roles }) });
const PERSONAL: [string, string, string][] = [
  ['an e-mail address', 'asked by anna.schmidt@example.com', 'anna.schmidt'],
  ['a payment card number', 'paid with 4242 4242 4242 4242', '4242'],
  ['an IBAN', 'back to DE89 3704 0044 0532 0130 00', '3704'],
  ['a phone number', 'call +49 151 23456789', '23456'],
];
const ROUTES: [string, () => [string, string], object][] = [
  ['a decision', () => ['POST', `/admin/sagas/${orderId}/resolve`], { action: 'retry' }],
  ['a replay', () => ['POST', '/admin/dead-letters/7/replay'], {}],
  ['many replays', () => ['POST', '/admin/dead-letters/replay'], { all: true }],
  ['a discarded event', () => ['POST', '/admin/dead-letters/7/discard'], {}],
  ['a cancellation by an operator', () => ['POST', `/orders/${orderId}/cancel`], {}],
];

describe.each(ROUTES)('of %s', (_, route, body) => {
  test.each(PERSONAL)('%s in the reason is refused', async (form, reason, told) => {
    const answer = await api.send(...route(), { ...body, reason }, await as('op-7', 'operator'));
    const { detail } = expectProblem(answer, 400, 'invalid-request', ['/reason']);
    expect(detail).toBe(`/reason: looks as if it had ${form} in it; name a ticket or an order instead`);
    expect(answer.text).not.toContain(told);
  });
});

const takes = ({ pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY }: Schema, text: string): boolean =>
  new RegExp(String(pattern ?? ''), 'u').test(text) &&
  text.length >= Number(minLength) &&
  text.length <= Number(maxLength);

/** Every text of a request of operators in which a sentence can stand, as the document has them. */
const FREE_TEXTS = OPERATIONS.filter(({ path, method }) => rolesOf(method, path).includes('operator')).flatMap(
  (operation) => {
    const schema = operation.requestBody?.content['application/json']?.schema;
    const properties = Object.entries(
      (schema ? resolve(DOCUMENT, schema)['properties'] : {}) as Record<string, Schema>,
    );
    return properties
      .filter(
        ([, property]) =>
          property['type'] === 'string' && !property['enum'] && takes(property, 'Asked by Anna, ticket 4711'),
      )
      .map(([field]) => ({
        route: `${operation.method} ${operation.path}`,
        path: operation.path,
        method: operation.method,
        field,
      }));
  },
);
test('there are such texts in all of these requests', () => {
  expect(FREE_TEXTS.map(({ route, field }) => `${route} ${field}`)).toEqual(
    expect.arrayContaining([
      'POST /orders/{id}/cancel reason',
      'POST /admin/sagas/{id}/resolve reason',
      'POST /admin/brakes/{brake}/engage reason',
      'POST /admin/brakes/{brake}/engage message',
      'POST /admin/brakes/{brake}/release reason',
      'POST /admin/dead-letters/{id}/discard reason',
      'POST /admin/customers/{id}/erase reason',
      'PUT /inventory/{sku} name',
    ]),
  );
});

describe.each(FREE_TEXTS)('$route, $field', ({ route, path, method, field }) => {
  test.each(PERSONAL)('%s is refused, and not repeated', async (form, text, told) => {
    const chosen = { ...(route.startsWith('PUT') && { currency: 'USD' }), [field]: text };
    const body = bodyFor(route, chosen) as { operator?: string };
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      name === 'brake' ? 'accepting' : path.startsWith('/orders') ? orderId : 'any-1',
    );
    const answer = await api.send(method, filled, body, await as(body.operator ?? 'op-7', 'operator'));
    const { errors } = expectProblem(answer, 400, 'invalid-request');
    // Another field may have been wrong as well: a word is no id of a preview.
    const refused = errors?.find(({ pointer }) => pointer === `/${field}`);
    expect(refused?.detail).toContain(`looks as if it had ${form} in it`);
    expect(answer.text).not.toContain(told);
  });
});

test('a number of the shop’s own that looks like an e-mail address is taken, and no log has it: only its order, and what is told of it', async () => {
  const externalOrderId = 'anna.schmidt@example.com';
  const { status, body } = await api.place({ customerId: 'cus_own', externalOrderId }, await as('cus_own', 'customer'));
  expect([status, body.externalOrderId]).toEqual([201, externalOrderId]);
  expect(lines.filter((line) => line.includes('schmidt'))).toEqual([]);
});

test('a customer’s own words are a customer’s: they are taken, and no log has them, nor the customer’s id', async () => {
  const reason = 'Please write to anna.schmidt@example.com';
  const placed = await api.place(
    { customerId: 'cus_hidden', externalOrderId: 'web-hidden-1' },
    await as('cus_hidden', 'customer'),
  );
  expect(placed.status).toBe(201);
  const path = `/orders/${placed.body.id}`;
  const cancelled = await api.send('POST', `${path}/cancel`, { reason }, await as('cus_hidden', 'customer'));
  expect(cancelled.status).toBe(202);
  await api.get(`/orders?customerId=cus_hidden&externalOrderId=web-hidden-1`, await as('op-7', 'operator'));
  await api.get('/admin/audit', await as('cus_hidden', 'customer'));
  const story = lines.filter((line) => line.includes(placed.body.id)).join('');
  expect(story).toContain('asked to cancel');
  expect(lines.filter((line) => /hidden|schmidt/.test(line))).toEqual([]);
});

test.each([
  '4242424242424242',
  'web:4242-4242-4242-4242',
  'DE89370400440532013000',
  'pay.de89-3704-0044-0532-0130-00',
  '004915123456789',
  'tel:0049-151-23456789',
])('a correlation id that could be a person’s is not taken over: %s', async (given) => {
  const { headers, body } = await api.place(
    { customerId: 'cus_own' },
    { ...(await as('cus_own', 'customer')), 'x-correlation-id': given },
  );
  expect(headers.get('x-correlation-id')).toMatch(/^[0-9a-f]{8}-/);
  expect(body.correlationId).toBe(headers.get('x-correlation-id'));
});

test('one that could not is: ids, times and references of other systems', async () => {
  for (const given of [
    '01a1fc4b-2622-70f0-8b6b-725674f9c1d0',
    '1764428400000',
    'web-1001',
    'pi_3Ab0000000000001',
    'req.7:42',
  ])
    expect(
      (await api.get('/inventory', { ...(await as('op-7', 'operator')), 'x-correlation-id': given })).headers.get(
        'x-correlation-id',
      ),
    ).toBe(given);
});
