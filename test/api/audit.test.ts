import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createAuditor } from '../../api/access/audit-recorder.js';
import { createAuthenticator } from '../../api/access/authentication.js';
import type { Order } from '../../contracts/orders.js';
import { beginChain } from '../../domain/audit/acts.js';
import { recordCalls } from '../../domain/audit/calls.js';
import { findReferences, lookupOf, readIdentityKey } from '../../domain/customers.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { verifyAudit } from '../../domain/audit/verification.js';
import { type Answer, expectProblem, ORDER, SILENT, startServer, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { type OpenApi, operationsOf } from '../support/openapi.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const KEYS = auditKeys(['k'.repeat(32)]);
let issuer: TokenIssuer;
let api: TestApi;
let own: Order;
let others: Order;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await startTestApi({
    auditKeys: KEYS,
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  await stock(api.db, 'KEYBOARD', 1_000);
  own = await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_own' });
  others = await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_other' });
  await beginChain(api.db, KEYS);
});
afterAll(() => Promise.all([api.stop(), issuer.stop()]));

const as = async (subject: string, ...roles: string[]) => ({ authorization: await issuer.token({ subject, roles }) });
const authenticator = () =>
  createAuthenticator({ issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl });
const SKU = { name: 'Keyboard', unitPrice: 1_000, currency: 'USD', onHand: 1_000 };

type Entry = Record<string, unknown> & { id: number; kind: string; at: string; times: number };
type Trail = { entries: Entry[]; next: string };
let seen = '-';
const trail = async (after = seen): Promise<Trail> =>
  (await api.get<Trail>(`/admin/audit?limit=1000${after === '' ? '' : `&after=${after}`}`, await as('aud', 'auditor')))
    .body;
/** What stands in the trail since this test began. */
const since = async () =>
  (await trail()).entries.map(
    ({ id: _, at: __, firstAt: ___, correlationId: ____, hash: _____, before: ______, after: _______, ...entry }) =>
      entry,
  );
/** What acts of this route have changed since this test began. */
const changes = async (route: string) =>
  (await trail()).entries
    .filter((entry) => entry['route'] === route)
    .map(({ kind, status, before, after }) => ({ kind, status, before, after }));
const away = async (table: string, meanwhile: () => Promise<unknown>) => {
  await api.db.$executeRawUnsafe(`ALTER TABLE ${table} RENAME TO audit_away`);
  try {
    return await meanwhile();
  } finally {
    await api.db.$executeRawUnsafe(`ALTER TABLE audit_away RENAME TO ${table}`);
  }
};
beforeEach(async () => {
  for (let next = ''; next !== seen; ) [seen, next] = [next, (await trail(next)).next];
});

describe('an act is on record before it is answered:', () => {
  const plain = { times: 1, source: null, reason: null };
  test('a change of stock, with what it was before and after', async () => {
    const put = async (unitPrice: number) =>
      api.send(
        'PUT',
        '/inventory/MOUSE',
        { ...SKU, unitPrice },
        {
          ...(await as('op-7', 'operator')),
          'x-correlation-id': 'c-put',
        },
      );
    for (const price of [4900, 0, 4900]) expect((await put(price)).status).toBe(200);
    const { entries } = await trail();
    const stored = (unitPrice: number) => ({ ...SKU, sku: 'MOUSE', unitPrice, available: 1_000, reserved: 0, sold: 0 });
    const [first] = entries;
    expect(first).toEqual({
      id: expect.any(Number),
      kind: 'act',
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      firstAt: first?.at,
      times: 1,
      subject: 'op-7',
      route: 'PUT /inventory/:sku',
      resource: 'MOUSE',
      reason: null,
      status: 200,
      correlationId: 'c-put',
      source: null,
      before: null,
      after: stored(4900),
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(entries.map(({ before, after }) => [before, after])).toEqual([
      [null, stored(4900)],
      [stored(4900), stored(0)],
      [stored(0), stored(4900)],
    ]);
    expect(new Set(entries.map((entry) => entry['hash'])).size).toBe(3);
  });

  test('a decision, before it is sent, and what came of it', async () => {
    const decision = { action: 'retry', reason: 'gateway is back' };
    const answer = await api.send('POST', `/admin/sagas/${own.id}/resolve`, decision, await as('op-8', 'operator'));
    expectProblem(answer, 503, 'unavailable'); // there is no Temporal
    const about = {
      ...plain,
      subject: 'op-8',
      route: 'POST /admin/sagas/:id/resolve',
      resource: own.id,
      reason: decision.reason,
    };
    expect(await since()).toEqual([
      { ...about, kind: 'act', status: 0 },
      { ...about, kind: 'outcome', status: 503 },
    ]);
    expect(await changes('POST /admin/sagas/:id/resolve')).toMatchObject([
      { before: { state: 'RUNNING' }, after: { decision: 'retry' } },
      { before: { decision: 'retry' }, after: { outcome: 'unavailable' } },
    ]);
  });

  test('an operator’s cancellation and order, and not a customer’s', async () => {
    const cancel = async (order: Order, caller: ReturnType<typeof as>) =>
      (await api.send('POST', `/orders/${order.id}/cancel`, { reason: 'x' }, await caller)).status;
    const place = async (caller: ReturnType<typeof as>, extra = {}) =>
      (await api.place({ customerId: 'cus_own', ...extra }, await caller)).status;
    const [mine, theirs] = [
      await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_own' }),
      await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_own' }),
    ];
    expect([await cancel(mine, as('cus_own', 'customer')), await place(as('cus_own', 'customer'))]).toEqual([202, 201]);
    expect(await since()).toEqual([]);
    const once = { externalOrderId: 'by-phone-1' };
    expect([await cancel(theirs, as('op-7', 'operator')), await place(as('op-7', 'operator'), once)]).toEqual([
      202, 201,
    ]);
    expect(await changes('POST /orders/:id/cancel')).toMatchObject([
      { kind: 'act', before: { status: 'PENDING', unwindingReason: null }, after: { unwindingReason: 'OPERATOR' } },
    ]);
    expect(await changes('POST /orders')).toMatchObject([{ kind: 'act', before: null, after: { status: 'PENDING' } }]);
    // What changes nothing is no act, but a call that is on record, too.
    expect([await cancel(theirs, as('op-7', 'operator')), await place(as('op-7', 'operator'), once)]).toEqual([
      202, 409,
    ]);
    expect((await since()).slice(2)).toMatchObject([
      { kind: 'no-effect', route: 'POST /orders/:id/cancel', status: 202 },
      { kind: 'no-effect', route: 'POST /orders', status: 409 },
    ]);
  });

  test.each([
    ['PUT /inventory/:sku', 400, () => ['PUT', '/inventory/KEYBOARD', { ...SKU, onHand: -1 }]],
    ['PUT /inventory/:sku', 400, () => ['PUT', '/inventory/a%20b', SKU]],
    ['POST /admin/dead-letters/:id/discard', 404, () => ['POST', '/admin/dead-letters/7/discard', { reason: 'x' }]],
  ])('one that failed, as a call: %s', async (route, status, call) => {
    const [method, path, body] = call() as [string, string, unknown];
    await api.send(method, path, body, await as('op-7', 'operator'));
    expect(await since()).toMatchObject([{ kind: 'no-effect', subject: 'op-7', route, status }]);
  });

  test('and is not done if it cannot be', async () => {
    const put = async () => api.send('PUT', '/inventory/UNRECORDED', SKU, await as('op-7', 'operator'));
    const order = await accept(api.db, { KEYBOARD: 1 });
    const cancel = async () =>
      api.send('POST', `/orders/${order.id}/cancel`, { reason: 'x' }, await as('op-7', 'operator'));
    await away('audit_acts', async () => {
      expectProblem(await put(), 503, 'unavailable');
      expectProblem(await cancel(), 503, 'unavailable');
      expect((await api.place({ customerId: 'cus_own' }, await as('cus_own', 'customer'))).status).toBe(201);
    });
    expect((await api.get('/inventory/UNRECORDED', await as('op-7', 'operator'))).status).toBe(404);
    expect(await api.db.order.findUnique({ where: { id: order.id } })).toMatchObject({ unwindingReason: null });
    expect((await put()).status).toBe(200);
    expect(await changes('PUT /inventory/:sku')).toHaveLength(1);
  });

  test('and many at a time are one chain', async () => {
    const operator = await as('op-7', 'operator');
    const put = (n: number) => api.send('PUT', `/inventory/CROWD-${n % 5}`, { ...SKU, onHand: n }, operator);
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => put(n)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    const { entries } = await trail();
    expect(entries.map(({ id }) => id)).toEqual(entries.map((_, i) => (entries[0]?.id ?? 0) + i));
    expect((await verifyAudit(api.db, KEYS)).flaw).toBeNull();
    // Each finds what the one before it left.
    const last = new Map<unknown, unknown>();
    for (const { resource, before, after } of entries as (Entry & {
      resource: string;
      before: unknown;
      after: unknown;
    })[]) {
      expect(before).toEqual(last.get(resource) ?? null);
      last.set(resource, after);
    }
  });
});

describe('a read by an operator or an auditor', () => {
  test('of what is somebody else’s is on record, counted; the catalogue is everybody’s', async () => {
    const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
    const own = await startServer(api, { auditor, authenticate: authenticator() });
    for (const path of [`/orders/${others.id}`, `/orders/${others.id}`, '/admin/sagas', '/inventory'])
      await own.client.get(path, await as('op-7', 'operator'));
    await own.client.get('/orders', await as('cus_own', 'customer'));
    await own.stop();
    await auditor.stop();
    expect(await since()).toMatchObject([
      { kind: 'read', subject: 'op-7', route: 'GET /orders/:id', resource: others.id, times: 2, status: 200 },
      { kind: 'read', subject: 'op-7', route: 'GET /admin/sagas', times: 1, status: 503 },
    ]);
  });
});

describe('whose data was read is in the trail, and never by an id that clients know:', () => {
  /** A server of its own, whose trail is written when it stops. */
  const reading = async (
    read: (get: (path: string, caller: Awaited<ReturnType<typeof as>>) => Promise<unknown>) => Promise<void>,
  ) => {
    const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
    const server = await startServer(api, { auditor, authenticate: authenticator() });
    await read((path, caller) => server.client.get(path, caller));
    await server.stop();
    await auditor.stop();
    return (await since()).filter(({ kind }) => kind === 'read');
  };

  /** As the routes note them, with no request of its own for each. */
  const readAs = (subject: string, url = '/orders/:id') => ({
    ...{ method: 'GET', routeOptions: { url }, caller: { subject, roles: ['operator'] }, id: `c-${subject}` },
  });
  test('a hundred of one answer each by itself', async () => {
    const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
    const shown = Array.from({ length: 100 }, (_, n) => `customer ${n}`);
    auditor.note({ ...readAs('op-9', '/admin/search'), auditedAs: shown } as never, 'read', 200);
    await auditor.stop();
    expect((await since()).map((entry) => entry['resource'])).toEqual(shown);
  });

  test('also behind a flood: it blurs who made it, by name, and nobody else', async () => {
    const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
    const read = (subject: string, id: string, status = 200, url?: string) =>
      auditor.note({ ...readAs(subject, url), params: { id } } as never, 'read', status);
    for (let n = 0; n < 3_000; n++) read('op-nobody', `made-up-${n}`, 404);
    for (let n = 0; n < 3_000; n++) read('op-flood', `order-${n}`);
    for (let n = 0; n < 3_000; n++) read('op-routes', `o`, 200, `/route-${n}`);
    read('op-witness', own.id);
    read('op-nobody', own.id);
    read('op-flood', own.id);
    await auditor.stop();
    const flooders = ['op-witness', 'op-nobody', 'op-flood', 'op-routes'];
    const entries = await api.db.auditCall.findMany({
      where: { OR: [{ subject: { in: flooders } }, { route: '(several)', kind: 'read' }] },
    });
    const of = (subject: string) => entries.filter((entry) => entry.subject === subject);
    expect(of('op-witness')).toMatchObject([{ resource: own.id, times: 1 }]);
    expect(of('op-nobody')).toHaveLength(2);
    expect(of('op-nobody')).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ resource: null, status: 404, times: 3_000 }),
        expect.objectContaining({ resource: own.id, status: 200 }),
      ]),
    );
    const sum = (rows: typeof entries) => rows.reduce((all, { times }) => all + times, 0);
    expect([sum(of('op-flood')), sum(of('op-routes'))]).toEqual([3_001, 3_000]);
    expect(of('op-flood').length + of('op-routes').length).toBeLessThan(1_200);
    expect(of('op-flood').filter(({ resource }) => resource !== null)).toHaveLength(500);
    expect(entries.filter(({ subject }) => subject === null)).toEqual([]);
  });

  test('asked for without the answer, by its length alone', async () => {
    const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
    const server = await startServer(api, { auditor, authenticate: authenticator() });
    for (const path of ['/orders?customerId=cus_own', `/orders/${own.id}`])
      await server.client.send('HEAD', path, undefined, await as('op-7', 'operator'));
    await server.stop();
    await auditor.stop();
    expect(await since()).toMatchObject([
      { kind: 'read', route: 'HEAD /orders', subject: 'op-7' },
      { kind: 'read', route: 'HEAD /orders/:id', subject: 'op-7', resource: own.id },
    ]);
  });

  test('a customer’s orders, under the reference', async () => {
    const key = await readIdentityKey(api.db);
    const clientId = 'cus_looked_at';
    await api.place({ customerId: clientId }, await as(clientId, 'customer'));
    await api.db.$executeRaw`
      INSERT INTO customers (reference, lookup, client_id) SELECT gen_random_uuid(), ${lookupOf(key, clientId)}, ${clientId}
      WHERE NOT EXISTS (SELECT FROM customers WHERE lookup = ${lookupOf(key, clientId)})`;
    const [reference] = await findReferences(api.db, key, clientId);
    const entries = await reading(async (get) => {
      await get(`/orders?customerId=${clientId}`, await as('op-7', 'operator'));
      await get('/orders?customerId=cus_unheard_of', await as('op-7', 'operator'));
    });
    expect(entries).toMatchObject([
      { route: 'GET /orders', subject: 'op-7', resource: `customer ${reference}` },
      { route: 'GET /orders', subject: 'op-7', resource: null },
    ]);
    expect(JSON.stringify(entries)).not.toMatch(/looked_at|unheard_of/);
  });

  test('services and customers read for themselves, which is not recorded', async () => {
    const entries = await reading(async (get) => {
      for (const path of [`/orders/${own.id}`, '/orders', `/orders/${own.id}/saga`, `/orders/${own.id}/events`]) {
        await get(path, await as('cus_own', 'customer'));
        await get(path, await as('shop', 'service'));
      }
      await get('/events', await as('shop', 'service'));
    });
    expect(entries).toEqual([]);
  });

  test('a stream as soon as it begins', async () => {
    const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
    const server = await startServer(api, { auditor, authenticate: authenticator() });
    const open = await server.client.stream(`/orders/${own.id}/events`, await as('op-7', 'operator'));
    expect(open.response.status).toBe(200);
    await auditor.stop();
    expect((await since()).filter(({ kind }) => kind === 'read')).toMatchObject([
      { route: 'GET /orders/:id/events', resource: own.id, times: 1, status: 200 },
    ]);
    open.close();
    await server.stop();
  });
});

test('every operation of the document says whether it answers personal data; those that do are read on record', async () => {
  const { body } = await api.get<OpenApi>('/openapi.json');
  const said = operationsOf(body).map(({ method, path, ...rest }) => [
    `${method} ${path}`,
    (rest as Record<string, unknown>)['x-personal-data'],
  ]);
  expect(said.filter(([, answer]) => typeof answer !== 'boolean')).toEqual([]);
  expect(said.length).toBeGreaterThan(20);
  const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
  const server = await startServer(api, { auditor, authenticate: authenticator() });
  const reads = said.filter(([operation]) => String(operation).startsWith('GET '));
  for (const [operation] of reads)
    await server.client.get(
      String(operation)
        .slice(4)
        .replace('{id}', own.id)
        .replace('{sku}', 'KEYBOARD')
        .replace('/search', `/search?q=${own.id}`),
      await as('aud-3', 'auditor'),
    );
  await server.stop();
  await auditor.stop();
  const recorded = (await since())
    .filter((entry) => entry['subject'] === 'aud-3')
    .map((entry) => String(entry['route']).replaceAll(/:(\w+)/g, '{$1}'));
  // One that finds orders is on record for each of them.
  expect([...new Set(recorded)].sort()).toEqual(
    reads
      .filter(([, answer]) => answer)
      .map(([operation]) => operation)
      .sort(),
  );
});

describe('a refused call is on record soon:', () => {
  /** Customers are persons: told apart, and not named. */
  const A_CUSTOMER = expect.stringMatching(/^customer:[0-9a-f]{32}$/);
  const PLAIN = { kind: 'refused', times: 1, source: null, reason: null };
  const soon = (count: number) =>
    eventually(`${count} entries are there`, async () => {
      const entries = await since();
      return entries.length >= count && entries;
    });

  test('for want of a token, of a role, and for what the caller may not see', async () => {
    await api.get('/orders', { authorization: 'Bearer a.b.c' });
    await api.send('PUT', '/inventory/KEYBOARD', SKU, await as('cus_own', 'customer'));
    await api.get(`/orders/${others.id}`, await as('cus_own', 'customer'));
    await api.send('POST', '/orders', { ...ORDER, customerId: 'cus_other' }, await as('cus_own', 'customer'));
    // What is not there is no secret.
    await api.get(`/orders/${others.id.replace(/^./, 'f')}`, await as('cus_own', 'customer'));
    await api.get('/nothing', await as('cus_own', 'customer'));
    expect(await soon(4)).toEqual([
      { ...PLAIN, subject: null, route: 'GET /orders', resource: null, status: 401 },
      { ...PLAIN, subject: A_CUSTOMER, route: 'PUT /inventory/:sku', resource: 'KEYBOARD', status: 403 },
      { ...PLAIN, subject: A_CUSTOMER, route: 'GET /orders/:id', resource: others.id, status: 404 },
      { ...PLAIN, subject: A_CUSTOMER, route: 'POST /orders', resource: null, status: 403 },
    ]);
  });

  test('a thousand of them are few entries that count them', async () => {
    const customer = await as('cus_own', 'customer');
    const knock = (i: number): Promise<Answer<unknown>> =>
      i % 2 ? api.get('/events', customer) : api.get('/orders', { authorization: `Bearer a.b.c${i}` });
    for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 50 }, (_, n) => knock(n)));
    const counted = await eventually('all are counted', async () => {
      const entries = (await since()) as unknown as { route: string; times: number }[];
      const times = (route: string) => entries.filter((e) => e.route === route).reduce((sum, e) => sum + e.times, 0);
      return times('GET /events') === 500 && times('GET /orders') === 500 && entries;
    });
    expect(counted.length).toBeLessThanOrEqual(10);
  });

  test('from however many callers, in a bounded number of rows', async () => {
    const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
    for (let i = 0; i < 5_000; i++) {
      const request = {
        method: 'GET',
        routeOptions: { url: '/events' },
        caller: { subject: `s-${i}`, roles: ['auditor'] },
        id: `c-${i}`,
      };
      auditor.note(request as never, 'refused', i % 2 ? 403 : 401);
    }
    await auditor.stop();
    const { entries } = await trail();
    expect(entries.length).toBe(62);
    expect(entries.filter((entry) => entry['subject'] === null)).toMatchObject([
      { times: 2_470, route: '(several)', status: 401 },
      { times: 2_470, route: '(several)', status: 403 },
    ]);
  });

  test('whose subject Postgres cannot keep', async () => {
    const auditor = createAuditor({ db: api.db, keys: KEYS, logger: SILENT, namesSource: false });
    const subject = `a\0b${'x'.repeat(510)}\ud83d\ude00`;
    const request = {
      method: 'GET',
      routeOptions: { url: '/events' },
      caller: { subject, roles: ['auditor'] },
      id: 'c',
    };
    auditor.note(request as never, 'refused', 403);
    await auditor.stop();
    expect((await trail()).entries).toHaveLength(1);
    expect((await verifyAudit(api.db, KEYS)).flaw).toBeNull();
  });
});

describe('the source of a call', () => {
  const put = async (to: TestApi) => {
    const spoofed = { ...(await as('op-7', 'operator')), 'x-forwarded-for': '203.0.113.7, 198.51.100.9' };
    expect((await to.send('PUT', '/inventory/KEYBOARD', SKU, spoofed)).status).toBe(200);
    return (await since()).filter((entry) => entry.kind === 'act').map((entry) => entry['source']);
  };
  const behind = (trustProxy: string) =>
    startTestApi({
      db: api.db,
      databaseUrl: api.databaseUrl,
      auditKeys: KEYS,
      authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
      trustProxy,
    });

  test('is not recorded unless TRUST_PROXY says which proxies to believe', async () => {
    expect(await put(api)).toEqual([null]);
  });

  test.each([
    ['our proxy', '127.0.0.1', '198.51.100.9'],
    ['a chain of ours', '127.0.0.0/8,198.51.100.0/24', '203.0.113.7'],
    ['another address', '10.0.0.1', '127.0.0.1'],
  ])('as %s forwards it', async (_, trusted, source) => {
    const proxied = await behind(trusted);
    const sources = await put(proxied);
    await proxied.stop();
    expect(sources).toEqual([source]);
  });
});

describe('the trail', () => {
  const call = (n: number) => ({
    ...{ kind: 'refused' as const, subject: `s-${n}`, route: 'GET /events', resource: null, status: 403 },
    ...{ correlationId: `c-${n}`, source: null },
  });

  test('is read page by page without a gap, while others write', async () => {
    const operator = await as('op-7', 'operator');
    const writing = Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        Promise.all([
          recordCalls(api.db, KEYS, [call(n), call(n)]),
          api.send('PUT', `/inventory/PAGED-${n}`, SKU, operator),
        ]),
      ),
    );
    const read: Entry[] = [];
    let after = seen;
    await eventually('all are read', async () => {
      const query = `/admin/audit?limit=7&after=${after}`;
      const { entries, next } = (await api.get<Trail>(query, await as('aud', 'auditor'))).body;
      read.push(...entries.filter(({ kind }) => kind !== 'read'));
      if (entries.length === 0) expect(next).toBe(after);
      after = next;
      return read.length === 120;
    });
    await writing;
    for (const [kind, count] of [
      ['act', 40],
      ['refused', 80],
    ] as const) {
      const ids = read.filter((entry) => entry.kind === kind).map(({ id }) => id);
      expect(ids).toEqual(Array.from({ length: count }, (_, i) => (ids[0] ?? 0) + i));
    }
  });

  test('is for auditors and operators', async () => {
    expect((await api.get('/admin/audit', await as('op', 'operator'))).status).toBe(200);
    expectProblem(await api.get('/admin/audit', await as('shop', 'service')), 403, 'forbidden');
    expectProblem(await api.get('/admin/audit', await as('cus', 'customer')), 403, 'forbidden');
  });

  test.each(['x', 'MC0w', Buffer.from('-1').toString('base64url'), Buffer.from('9'.repeat(30)).toString('base64url')])(
    'has no place %p',
    async (after) => {
      const answer = await api.get(`/admin/audit?after=${after}`, await as('aud', 'auditor'));
      expectProblem(answer, 400, 'invalid-request', ['querystring/after']);
    },
  );

  test.each([
    'UPDATE audit_trail SET subject = NULL',
    'DELETE FROM audit_trail',
    'TRUNCATE audit_trail',
    "UPDATE audit_acts SET after = '{}'",
    "UPDATE audit_acts SET subject = 'nobody'",
    'DELETE FROM audit_acts',
    'DELETE FROM audit_acts WHERE false',
    'TRUNCATE audit_acts',
    'UPDATE audit_calls SET times = 1, status = 200',
    'TRUNCATE audit_calls',
    'INSERT INTO audit_acts SELECT (SELECT max(id) + 2 FROM audit_acts), clock_timestamp(), kind, route, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, status, correlation_id, before, after, key_id, hash FROM audit_acts LIMIT 1',
    "INSERT INTO audit_acts SELECT (SELECT max(id) + 1 FROM audit_acts), now() - interval '1 day', kind, route, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, status, correlation_id, before, after, key_id, hash FROM audit_acts LIMIT 1",
  ])('refuses %s, even by its owner', async (statement) => {
    await recordCalls(api.db, KEYS, [call(1)]);
    await expect(api.db.$executeRawUnsafe(statement)).rejects.toThrow(/append-only|added to at its end/);
  });

  test('lets the service’s own role add and read, and nothing else', async () => {
    const migrations = await Promise.all(
      [
        '20261121050100_audit_trail',
        '20261121070000_reconciliation_closings',
        '20261129100000_audit_chain',
        '20261129110000_least_rights',
        '20261129193000_bookkeeping_rights',
      ].map((name) => readFile(`prisma/migrations/${name}/migration.sql`, 'utf8')),
    );
    const revokes = migrations.map((migration) => /^DO \$\$ BEGIN[\s\S]*^END \$\$;/m.exec(migration)?.[0] ?? '');
    const client = new pg.Client({ connectionString: api.databaseUrl });
    await client.connect();
    const grantAll = () =>
      client.query('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO order_saga_app');
    const readRights = () =>
      client.query<{ name: string; rights: string[] }>(`
        SELECT name, array_agg(what ORDER BY what) AS rights
        FROM unnest(ARRAY['_prisma_migrations', 'audit_acts', 'audit_calls', 'audit_trail', 'reconciliation_closings', 'saga_log', 'orders', 'order_lines', 'outbox']) name,
          unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) what
        WHERE has_table_privilege('order_saga_app', name, what) GROUP BY name ORDER BY name`);
    // roles.sql, which is run again for new passwords, grants everything and takes back the same.
    const [, ending = ''] = (await readFile('deploy/postgres/roles.sql', 'utf8')).split(
      /^GRANT USAGE ON ALL SEQUENCES.*$/m,
    );
    const generators = ending.split('\\gexec').filter((statement) => statement.includes('SELECT'));
    expect(generators).toHaveLength(2);
    const runRoles = async () => {
      for (const generator of generators)
        for (const row of (await client.query<{ format: string }>(generator)).rows) await client.query(row.format);
    };
    const takeBack: (() => Promise<void>)[] = [
      async () => {
        for (const revoke of revokes) await client.query(revoke);
      },
      runRoles,
    ];
    try {
      await client.query('BEGIN'); // the role is the cluster's, and goes with the transaction
      await client.query('CREATE ROLE order_saga_app');
      for (const revokeAll of takeBack) {
        await grantAll();
        await revokeAll();
        expect((await readRights()).rows).toEqual([
          { name: '_prisma_migrations', rights: ['SELECT'] },
          { name: 'audit_acts', rights: ['INSERT', 'SELECT'] },
          { name: 'audit_calls', rights: ['DELETE', 'INSERT', 'SELECT'] }, // by retention
          { name: 'audit_trail', rights: ['INSERT', 'SELECT'] },
          { name: 'order_lines', rights: ['INSERT', 'SELECT'] },
          { name: 'orders', rights: ['INSERT', 'SELECT', 'UPDATE'] },
          { name: 'outbox', rights: ['DELETE', 'INSERT', 'SELECT'] },
          { name: 'reconciliation_closings', rights: ['INSERT', 'SELECT'] },
          { name: 'saga_log', rights: ['INSERT', 'SELECT'] },
        ]);
      }
      await client.query('SET ROLE order_saga_app');
      await client.query('SELECT count(*) FROM _prisma_migrations');
      await expect(client.query('UPDATE _prisma_migrations SET rolled_back_at = now()')).rejects.toThrow(
        'permission denied',
      );
    } finally {
      await client.query('ROLLBACK');
      await client.end();
    }
  });
});
