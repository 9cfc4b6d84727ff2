import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createAuthenticator } from '../../api/access/authentication.js';
import type { ApiDependencies } from '../../api/dependencies.js';
import { CHANGES_NOTHING, PERMISSIONS, ROLES } from '../../api/access/permissions.js';
import { createServer } from '../../api/server.js';
import type { Order } from '../../contracts/orders.js';
import { type Answer, expectProblem, ORDER, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { type OpenApi, resolve } from '../support/openapi.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

let issuer: TokenIssuer;
let api: TestApi;
let own: Order;
let others: Order;
let document: OpenApi;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await startTestApi({
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  await stock(api.db, 'KEYBOARD', 1_000);
  document = (await api.get<OpenApi>('/openapi.json')).body;
  own = await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_own' });
  others = await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_other' });
});
afterAll(() => Promise.all([api.stop(), issuer.stop()]));

const as = async (...roles: string[]) => ({ authorization: await issuer.token({ subject: 'cus_own', roles }) });

type Named = Pick<Order, 'id' | 'customerId'>;
const MISSING: Named = { id: '01a1fc4b-0000-7000-8000-000000000000', customerId: 'cus_own' };

/** A request that the route would serve, of an order of the caller's own, of another customer's, or of none. */
async function request(route: string, order: Named, headers: Record<string, string>): Promise<Answer<unknown>> {
  const [method = '', pattern = ''] = route.split(' ');
  const path = pattern
    .replace(/:(id|orderId)\b/, order.id)
    .replace(':sku', 'KEYBOARD')
    .replace(':brake', 'charging')
    .replace(':code', 'not-found');
  const query = `${new URLSearchParams(exampleQueryOf(method, pattern))}`;
  const body = route === 'POST /orders' ? { ...ORDER, customerId: order.customerId } : exampleOf(method, pattern);
  return api.send(method, query ? `${path}?${query}` : path, body, headers);
}

/** The parameters that a route cannot do without, as the document gives them as examples. */
function exampleQueryOf(method: string, pattern: string): Record<string, string> {
  const operation = document.paths[pattern.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
  const needed = (operation?.parameters ?? []).filter((one) => one.in === 'query' && one.required);
  return Object.fromEntries(needed.map(({ name, example }) => [name, String(example)]));
}

/** The body that the OpenAPI document gives as an example: a new route needs no line here. */
function exampleOf(method: string, pattern: string): unknown {
  const operation = document.paths[pattern.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
  const schema = operation?.requestBody?.content['application/json']?.schema;
  if (!schema) return undefined;
  const [example] = (resolve(document, schema)['examples'] ?? []) as Record<string, unknown>[];
  if (!example) throw new Error(`the document gives no example of ${method} ${pattern}`);
  const { operator: _, ...anybodys } = example; // who decides is the token's to say
  return anybodys;
}

const routes = Object.entries(PERMISSIONS);
const guarded = routes.filter(([, allowed]) => allowed !== 'open').map(([route]) => route);
const opened = routes.filter(([, allowed]) => allowed === 'open').map(([route]) => route);

describe('without a token', () => {
  test.each(guarded)('%s is 401', async (route) => {
    expectProblem(await request(route, own, {}), 401, 'unauthenticated');
  });

  test.each(opened)('%s is open', async (route) => {
    expect([401, 403]).not.toContain((await request(route, own, {})).status);
  });

  test('the documentation is open', async () => {
    expect((await api.get('/docs')).status).toBe(200);
    expect((await api.get('/docs/static/index.html')).status).toBe(200);
  });
});

describe('with a token without roles', () => {
  test.each(guarded)('%s is 403 for every subject', async (route) => {
    for (const roles of [[], ['admin'], ['Operator'], ['customers']])
      expectProblem(await request(route, own, await as(...roles)), 403, 'forbidden');
  });
});

/** Routes whose `:id` is an order's. */
const ORDERS = / \/(orders|admin\/sagas)\/:id/;

/** Served, whatever state the thing is in (409), and while Temporal is away (503). */
function expectServed(route: string, { status, text }: Answer<unknown>): void {
  const elsewhere = route.includes(':id') && !ORDERS.test(route) ? [404] : [];
  const served = status < 300 || [409, 503, ...elsewhere].includes(status);
  expect({ route, served, text }).toEqual({ route, served: true, text });
}

const matrix = guarded.flatMap((route) =>
  ROLES.map((role) => [role, route, PERMISSIONS[route]?.includes(role) === true] as const),
);
describe.each(matrix)('%s, %s', (role, route, allowed) => {
  /** A customer orders for itself only, and another's order is not even there. */
  const confined =
    role === 'customer' && (route === 'POST /orders' ? 'forbidden' : route.includes(' /orders/:id') && 'not-found');

  test(allowed ? 'is served' : 'is forbidden', async () => {
    const answer = await request(route, own, await as(role));
    if (allowed) expectServed(route, answer);
    else expectProblem(answer, 403, 'forbidden');
  });

  test(`${allowed && !confined ? 'is served' : 'is refused'} for another customer’s order`, async () => {
    const answer = await request(route, others, await as(role));
    if (!allowed) expectProblem(answer, 403, 'forbidden');
    else if (confined) expectProblem(answer, confined === 'forbidden' ? 403 : 404, confined);
    else expectServed(route, answer);
  });

  if (!ORDERS.test(route)) return;
  test(`is answered ${allowed ? 'that there is no such order' : 'with the role it needs'}, of an order that is not there`, async () => {
    const answer = await request(route, MISSING, await as(role));
    if (allowed) expectProblem(answer, 404, 'not-found');
    else expectProblem(answer, 403, 'forbidden');
  });
});

describe('a customer', () => {
  test('sees its own orders only, whatever it asks for', async () => {
    const list = async (query: string) =>
      (await api.get<{ orders: Order[]; next: null }>(`/orders${query}`, await as('customer'))).body;
    for (const query of ['', '?limit=1000', '?customerId=cus_own', '?status=PENDING']) {
      const { orders } = await list(query);
      expect(orders.map((order) => order.id)).toContain(own.id);
      expect(new Set(orders.map((order) => order.customerId))).toEqual(new Set(['cus_own']));
    }
    expect(await list('?customerId=cus_other')).toEqual({ orders: [], next: null });
  });

  test('cannot distinguish another’s order from one that is not there', async () => {
    const strip = ({ body, status }: Answer<unknown>) => ({ status, ...(body as object), correlationId: '' });
    const missing = own.id.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    const [foreign, none] = await Promise.all(
      [others.id, missing].map(async (id) => api.get(`/orders/${id}`, await as('customer'))),
    );
    expect(JSON.stringify(strip(foreign as Answer<unknown>)).replaceAll(others.id, '*')).toBe(
      JSON.stringify(strip(none as Answer<unknown>)).replaceAll(missing, '*'),
    );
  });

  test('cannot follow another customer’s order live', async () => {
    const headers = { ...(await as('customer')), accept: 'text/event-stream' };
    expectProblem(await api.get(`/orders/${others.id}/events`, headers), 404, 'not-found');
    const stream = await api.stream(`/orders/${own.id}/events`, await as('customer'));
    await eventually('its own can be followed', () => stream.events.length === 1);
    stream.close();
  });

  test('who is an auditor as well reads everything, and still orders for itself only', async () => {
    const both = await as('customer', 'auditor');
    expect((await api.get(`/orders/${others.id}`, both)).status).toBe(200);
    expectProblem(await api.place({ customerId: 'cus_other' }, both), 403, 'forbidden');
    expect((await api.place({ customerId: 'cus_own' }, both)).status).toBe(201);
  });

  test('who is an operator as well orders for others', async () => {
    expect((await api.place({ customerId: 'cus_other' }, await as('customer', 'operator'))).status).toBe(201);
  });
});

test('an operator decides in its own name only', async () => {
  const [{ id } = { id: 0n }] = await api.db.$queryRaw<{ id: bigint }[]>`
    INSERT INTO dead_letters (destination, order_id, sequence, type, cause, error, attempts)
    VALUES ('webhook', ${own.id}::uuid, 1, 'order.created', 'rejected', 'no', 3) RETURNING id`;
  const discard = async (operator?: string) =>
    api.send('POST', `/admin/dead-letters/${id}/discard`, { reason: 'stale', operator }, await as('operator'));
  expectProblem(await discard('op-other'), 403, 'forbidden');
  expect(await api.db.deadLetter.findMany({ select: { state: true, decidedBy: true } })).toEqual([
    { state: 'PARKED', decidedBy: null },
  ]);
  expect((await discard('cus_own')).body).toMatchObject({ state: 'DISCARDED', decidedBy: 'cus_own' });
});

describe('the table of permissions', () => {
  test('names every route: one that it does not name cannot be registered', async () => {
    const dependencies = {
      authenticate: createAuthenticator(undefined),
      db: api.db,
      stopping: new AbortController().signal,
    } as unknown as ApiDependencies;
    const app = await createServer(dependencies, SILENT);
    expect(() => app.get('/secrets', async () => 'open by oversight')).toThrow(
      'GET /secrets is not in the table of permissions',
    );
    for (const route of Object.keys(PERMISSIONS)) {
      const [method, url] = route.split(' ');
      expect([route, app.hasRoute({ method: method as 'GET', url: String(url) })]).toEqual([route, true]);
    }
    await app.close();
  });

  test('has in it what the contract says', () => {
    expect(PERMISSIONS).toMatchObject({
      'POST /orders': ['customer', 'service', 'operator'],
      'GET /events': ['service', 'operator', 'auditor'],
      'PUT /inventory/:sku': ['operator'],
    });
    expect(
      opened.every((route) => /^GET \/(livez|readyz|openapi\.json|problems\/:code)$|^POST \/webhooks\//.test(route)),
    ).toBe(true);
  });

  test('lets an auditor change nothing', () => {
    const changing = routes.filter(
      ([route]) => !route.startsWith('GET ') && !CHANGES_NOTHING.has(route.replace('POST ', '')),
    );
    expect(changing.filter(([, allowed]) => allowed !== 'open' && allowed.includes('auditor'))).toEqual([]);
  });
});
