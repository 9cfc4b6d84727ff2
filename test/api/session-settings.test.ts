/** The API on a database whose owner has other habits, or that cannot be written to just now. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { Cause } from '../../api/overview/cause.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, required, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
let api: TestApi;
let admin: pg.Client;
beforeEach(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'KEYBOARD', 1_000);
  admin = new pg.Client({ connectionString: required('TEST_DATABASE_ADMIN_URL') });
  await admin.connect();
});
afterEach(async () => {
  await api.stop();
  await admin.end();
  await t.drop();
});

const name = () => new URL(t.url).pathname.slice(1);
/** As `ALTER DATABASE … SET` does, and a restart of the programs that use it. */
async function set(settings: Record<string, string>): Promise<void> {
  for (const [setting, value] of Object.entries(settings))
    await admin.query(`ALTER DATABASE ${name()} SET ${setting} = ${admin.escapeLiteral(value)}`);
  await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name()]);
}
const start = async () => {
  api = await startTestApi({ db: t.db, databaseUrl: t.url });
};
const unavailable = (answer: Awaited<ReturnType<TestApi['get']>>) => {
  expectProblem(answer, 503, 'unavailable');
  expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
};

test.each<[string, Record<string, string>]>([
  ['in Berlin', { timezone: 'Europe/Berlin' }],
  ['in Kathmandu', { timezone: 'Asia/Kathmandu' }],
  ['with German dates', { datestyle: 'German, DMY', intervalstyle: 'sql_standard' }],
  ['with SQL dates', { datestyle: 'SQL, DMY', intervalstyle: 'iso_8601' }],
  ['with escaped bytes', { bytea_output: 'escape', extra_float_digits: '-15' }],
  ['of strict isolation', { default_transaction_isolation: 'serializable' }],
  ['with a schema of its own before ours', { search_path: 'pg_catalog' }],
])('a database %s is like any other', async (_, settings) => {
  await set(settings);
  await start();
  const before = Date.now();
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, i) => api.place({ externalOrderId: `n-${i}` }, { 'idempotency-key': `n-${i}` })),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
  const [first] = answers;
  expect((await api.place({ externalOrderId: 'n-0' }, { 'idempotency-key': 'n-0' })).text).toBe(first?.text);
  const order = (await api.get<{ createdAt: string; updatedAt: string }>(`/orders/${first?.body.id}`)).body;
  expect(order).toEqual(first?.body);
  for (const at of [order.createdAt, order.updatedAt]) expect(Math.abs(Date.parse(at) - before)).toBeLessThan(60_000);
  const { events } = (await api.get<{ events: { time: string }[] }>(`/orders/${first?.body.id}/events`)).body;
  expect(events.map(({ time }) => Math.abs(Date.parse(time) - before) < 60_000)).toEqual([true]);
  for (const path of ['/orders', '/events', '/inventory', '/admin/audit', `/orders/${first?.body.id}/saga`])
    expect([path, (await api.get(path)).status]).toEqual([path, 200]);
});

describe('a primary that takes no writes just now', () => {
  test('is answered 503 instead of 500, answers reads, and is written to as soon as it takes writes', async () => {
    await set({ default_transaction_read_only: 'on' });
    await start();
    for (let n = 0; n < 3; n++) {
      unavailable(await api.place());
      unavailable(await api.place({}, { 'idempotency-key': 'k' }));
      unavailable(await api.send('PUT', '/inventory/X', { name: 'x', unitPrice: 100, currency: 'USD', onHand: 1 }));
    }
    expect((await api.get('/inventory/KEYBOARD')).status).toBe(200);
    await admin.query(`ALTER DATABASE ${name()} RESET default_transaction_read_only`);
    await eventually('orders are accepted', async () => {
      const answer = await api.place({}, { 'idempotency-key': 'k' });
      if (answer.status !== 201) unavailable(answer);
      return answer.status === 201;
    });
  });
});

test('a database that takes no changes is the first cause on the first screen, and is none as soon as it takes them again', async () => {
  await start();
  type Told = {
    calm: { isCalm: boolean };
    causes: Cause[];
    neighbours: { kind: string; state: string; detail: string }[];
  };
  const told = async () => (await api.get<Told>('/admin/overview')).body;
  await set({ default_transaction_read_only: 'on' });
  const { causes, neighbours, calm } = await eventually('it is told', async () => {
    const overview = await told();
    return overview.causes[0]?.title.startsWith('The database takes no changes') && overview;
  });
  expect(causes[0]).toMatchObject({ kind: 'postgres', severity: 'bad' });
  expect(neighbours.find(({ kind }) => kind === 'postgres')).toMatchObject({
    state: 'down',
    detail: 'read-only: it takes no changes',
  });
  expect(calm).toEqual({ isCalm: false, since: null });
  unavailable(await api.place());
  await admin.query(`ALTER DATABASE ${name()} RESET default_transaction_read_only`);
  await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name()]);
  await eventually('it is over', async () => (await told()).causes.every(({ kind }) => kind !== 'postgres'), 30_000);
  expect((await api.place()).status).toBe(201);
}, 60_000);

test('a migration beside us is not noticed: no request fails while a column changes its type', async () => {
  await start();
  const url = new URL(t.url);
  const migrator = new pg.Client({ connectionString: url.href });
  await migrator.connect();
  const statuses = new Map<string, number>();
  let isOver = false;
  const traffic = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      for (const answer of [await api.place(), await api.get('/inventory'), await api.get('/orders?limit=3')])
        statuses.set(`${answer.status}`, (statuses.get(`${answer.status}`) ?? 0) + 1);
    }
  });
  const answered = () => [...statuses.values()].reduce((sum, n) => sum + n, 0);
  for (const [column, type] of [
    ['inventory ALTER COLUMN name', 'varchar(300)'],
    ['inventory ALTER COLUMN currency', 'text'],
    ['orders ALTER COLUMN customer_id', 'varchar(200)'],
    ['inventory ALTER COLUMN name', 'text'],
  ]) {
    const before = answered();
    await eventually('requests are answered', () => answered() > before + 30);
    await migrator.query(`ALTER TABLE ${column} TYPE ${type}`);
  }
  const before = answered();
  await eventually('requests are answered', () => answered() > before + 30);
  isOver = true;
  await Promise.all(traffic);
  await migrator.end();
  expect([...statuses.keys()].sort()).toEqual(['200', '201']);
});
