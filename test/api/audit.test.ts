import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createAuditor } from '../../api/access/audit-recorder.js';
import type { Order } from '../../contracts/orders.js';
import { recordAudit } from '../../domain/audit.js';
import type { PrismaClient } from '../../prisma/generated/client.js';
import { type Answer, expectProblem, ORDER, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

let issuer: TokenIssuer;
let api: TestApi;
let own: Order;
let others: Order;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await startTestApi({
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  await stock(api.db, 'KEYBOARD', 1_000);
  own = await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_own' });
  others = await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_other' });
});
afterAll(() => Promise.all([api.stop(), issuer.stop()]));

const as = async (subject: string, ...roles: string[]) => ({ authorization: await issuer.token({ subject, roles }) });
const SKU = { name: 'Keyboard', unitPrice: 1_000, currency: 'USD', onHand: 1_000 };

type Entry = Record<string, unknown> & { id: number; at: string; times: number };
type Trail = { entries: Entry[]; next: string };
let seen = '-';
const trail = async (after = seen): Promise<Trail> =>
  (await api.get<Trail>(`/admin/audit?limit=1000${after === '' ? '' : `&after=${after}`}`, await as('aud', 'auditor')))
    .body;
/** What stands in the trail since this test began. */
const since = async () =>
  (await trail()).entries.map(({ id: _, at: __, firstAt: ___, correlationId: ____, ...entry }) => entry);
beforeEach(async () => {
  for (let next = ''; next !== seen; ) [seen, next] = [next, (await trail(next)).next];
});

describe('a privileged call is on record before it is answered:', () => {
  const refused = { times: 1, source: null };
  test('a change of stock', async () => {
    const answer = await api.send('PUT', '/inventory/MOUSE', SKU, {
      ...(await as('op-7', 'operator')),
      'x-correlation-id': 'c-put',
    });
    expect(answer.status).toBe(200);
    const { entries } = await trail();
    expect(entries).toEqual([
      {
        id: expect.any(Number),
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        firstAt: entries[0]?.at,
        times: 1,
        subject: 'op-7',
        route: 'PUT /inventory/:sku',
        resource: 'MOUSE',
        status: 200,
        correlationId: 'c-put',
        source: null,
      },
    ]);
  });

  test('one that did not succeed, too', async () => {
    await api.send('PUT', '/inventory/KEYBOARD', { ...SKU, onHand: -1 }, await as('op-7', 'operator'));
    await api.send('PUT', '/inventory/a%20b', SKU, await as('op-7', 'operator'));
    const decision = { action: 'retry', reason: 'gateway is back' };
    await api.send('POST', `/admin/sagas/${own.id}/resolve`, decision, await as('op-8', 'operator'));
    expect(await since()).toEqual([
      { ...refused, subject: 'op-7', route: 'PUT /inventory/:sku', resource: 'KEYBOARD', status: 400 },
      { ...refused, subject: 'op-7', route: 'PUT /inventory/:sku', resource: null, status: 400 },
      { ...refused, subject: 'op-8', route: 'POST /admin/sagas/:id/resolve', resource: own.id, status: 503 },
    ]);
  });

  test('an operator’s cancellation and order, and not a customer’s', async () => {
    const cancel = async (order: Order, caller: ReturnType<typeof as>) =>
      (await api.send('POST', `/orders/${order.id}/cancel`, { reason: 'x' }, await caller)).status;
    const place = async (caller: ReturnType<typeof as>) =>
      (await api.place({ customerId: 'cus_own' }, await caller)).status;
    const [mine, theirs] = [
      await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_own' }),
      await accept(api.db, { KEYBOARD: 1 }, { customerId: 'cus_own' }),
    ];
    expect([await cancel(mine, as('cus_own', 'customer')), await place(as('cus_own', 'customer'))]).toEqual([202, 201]);
    expect(await since()).toEqual([]);
    expect([await cancel(theirs, as('op-7', 'operator')), await place(as('op-7', 'operator'))]).toEqual([202, 201]);
    expect(await since()).toEqual([
      { ...refused, subject: 'op-7', route: 'POST /orders/:id/cancel', resource: theirs.id, status: 202 },
      { ...refused, subject: 'op-7', route: 'POST /orders', resource: null, status: 201 },
    ]);
  });

  test('and is not acknowledged if it cannot be', async () => {
    const put = async () => api.send('PUT', '/inventory/UNRECORDED', SKU, await as('op-7', 'operator'));
    const rename = (from: string, to: string) => api.db.$executeRawUnsafe(`ALTER TABLE ${from} RENAME TO ${to}`);
    await rename('audit_trail', 'audit_away');
    const answer = await put();
    await rename('audit_away', 'audit_trail');
    expectProblem(answer, 503, 'unavailable');
    expect((await put()).status).toBe(200);
    expect(await since()).toHaveLength(1);
  });

  test('reading is not privileged', async () => {
    for (const path of ['/admin/sagas', '/inventory', '/orders', `/orders/${own.id}`])
      await api.get(path, await as('op-7', 'operator'));
    expect(await since()).toEqual([]);
  });
});

describe('a refused call is on record soon:', () => {
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
      { times: 1, source: null, subject: null, route: 'GET /orders', resource: null, status: 401 },
      { times: 1, source: null, subject: 'cus_own', route: 'PUT /inventory/:sku', resource: 'KEYBOARD', status: 403 },
      { times: 1, source: null, subject: 'cus_own', route: 'GET /orders/:id', resource: others.id, status: 404 },
      { times: 1, source: null, subject: 'cus_own', route: 'POST /orders', resource: null, status: 403 },
    ]);
  });

  test('a thousand of them are few entries that count them', async () => {
    const customer = await as('cus_own', 'customer');
    const knock = (i: number): Promise<Answer<unknown>> =>
      i % 2 ? api.get('/events', customer) : api.get('/orders', { authorization: `Bearer a.b.c${i}` });
    for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 50 }, (_, n) => knock(n)));
    const counted = await eventually('all are counted', async () => {
      const entries = (await since()) as { route: string; times: number }[];
      const times = (route: string) => entries.filter((e) => e.route === route).reduce((sum, e) => sum + e.times, 0);
      return times('GET /events') === 500 && times('GET /orders') === 500 && entries;
    });
    expect(counted.length).toBeLessThanOrEqual(10);
  });

  test('from however many callers, within bounds', async () => {
    const auditor = createAuditor({ db: api.db, logger: SILENT, namesSource: false });
    for (let i = 0; i < 5_000; i++) {
      const request = { method: 'GET', routeOptions: { url: '/events' }, caller: { subject: `s-${i}` }, id: `c-${i}` };
      auditor.noteRefused(request as never, 403);
    }
    await auditor.stop();
    const { entries } = await trail();
    expect(entries.length).toBe(501);
    expect(entries.filter((entry) => entry['subject'] === null)).toMatchObject([
      { times: 4_500, route: 'GET /events' },
    ]);
  });
});

describe('the source of a call', () => {
  const put = async (to: TestApi) => {
    const spoofed = { ...(await as('op-7', 'operator')), 'x-forwarded-for': '203.0.113.7, 198.51.100.9' };
    expect((await to.send('PUT', '/inventory/KEYBOARD', SKU, spoofed)).status).toBe(200);
    return (await since()).map((entry) => entry['source']);
  };
  const behind = (trustProxy: string) =>
    startTestApi({
      db: api.db,
      databaseUrl: api.databaseUrl,
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
  const entry = (n: number) => ({
    subject: `s-${n}`,
    route: 'PUT /inventory/:sku',
    resource: null,
    status: 200,
    correlationId: `c-${n}`,
    source: null,
  });
  const brokenAt = async () =>
    (await api.db.$queryRaw<{ id: bigint | null }[]>`SELECT audit_trail_broken_at() AS id`)[0]?.id ?? null;

  test('is read page by page without a gap, while others write', async () => {
    const writing = Promise.all(Array.from({ length: 40 }, (_, n) => recordAudit(api.db, [entry(n), entry(n)])));
    const ids: number[] = [];
    let after = seen;
    await eventually('all are read', async () => {
      const query = `/admin/audit?limit=7&after=${after}`;
      const { entries, next } = (await api.get<Trail>(query, await as('aud', 'auditor'))).body;
      ids.push(...entries.map((e) => e.id));
      if (entries.length === 0) expect(next).toBe(after);
      after = next;
      return ids.length === 80;
    });
    await writing;
    expect(ids).toEqual(Array.from({ length: 80 }, (_, i) => (ids[0] ?? 0) + i));
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
    'DELETE FROM audit_trail WHERE false',
  ])('refuses %s, even by its owner', async (statement) => {
    await recordAudit(api.db, [entry(1)]);
    await expect(api.db.$executeRawUnsafe(statement)).rejects.toThrow('the audit trail is append-only');
  });

  test('lets the service’s own role add and read, and nothing else', async () => {
    const migrations = await Promise.all(
      ['20261121050100_audit_trail', '20261121070000_reconciliation_closings'].map((name) =>
        readFile(`prisma/migrations/${name}/migration.sql`, 'utf8'),
      ),
    );
    const revokes = migrations.map((migration) => /^DO \$\$ BEGIN[\s\S]*^END \$\$;/m.exec(migration)?.[0] ?? '');
    const client = new pg.Client({ connectionString: api.databaseUrl });
    await client.connect();
    try {
      await client.query('BEGIN'); // the role is the cluster's, and goes with the transaction
      await client.query('CREATE ROLE order_saga_app');
      await client.query('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO order_saga_app');
      for (const revoke of revokes) await client.query(revoke);
      const rights = await client.query<{ name: string; rights: string[] }>(`
        SELECT name, array_agg(what ORDER BY what) AS rights
        FROM unnest(ARRAY['audit_trail', 'reconciliation_closings', 'saga_log', 'orders']) name,
          unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) what
        WHERE has_table_privilege('order_saga_app', name, what) GROUP BY name ORDER BY name`);
      expect(rights.rows).toEqual([
        { name: 'audit_trail', rights: ['INSERT', 'SELECT'] },
        { name: 'orders', rights: ['DELETE', 'INSERT', 'SELECT', 'UPDATE'] },
        { name: 'reconciliation_closings', rights: ['INSERT', 'SELECT'] },
        { name: 'saga_log', rights: ['INSERT', 'SELECT'] },
      ]);
    } finally {
      await client.query('ROLLBACK');
      await client.end();
    }
  });

  test('shows where a database user with more rights has changed an entry, or taken one out', async () => {
    await recordAudit(api.db, [entry(1), entry(2), entry(3)]);
    const last = Number((await trail()).entries.at(-1)?.id);
    expect(await brokenAt()).toBeNull();
    const db = api.db as PrismaClient;
    const tampered = async (statement: string) => {
      let found: bigint | null | undefined;
      const undo = new Error('undone');
      await db
        .$transaction(async (tx) => {
          await tx.$executeRawUnsafe('ALTER TABLE audit_trail DISABLE TRIGGER ALL');
          await tx.$executeRawUnsafe(statement);
          found = (await tx.$queryRaw<{ id: bigint | null }[]>`SELECT audit_trail_broken_at() AS id`)[0]?.id;
          throw undo;
        })
        .catch((err: unknown) => {
          if (err !== undo) throw err;
        });
      return found;
    };
    expect(await tampered(`UPDATE audit_trail SET subject = 'nobody' WHERE id = ${last - 1}`)).toBe(BigInt(last - 1));
    expect(await tampered(`UPDATE audit_trail SET times = times + 1 WHERE id = ${last}`)).toBe(BigInt(last));
    expect(await tampered(`DELETE FROM audit_trail WHERE id = ${last - 1}`)).toBe(BigInt(last - 1));
    expect(await tampered('UPDATE audit_trail SET at = at WHERE false')).toBeNull();
  });
});
