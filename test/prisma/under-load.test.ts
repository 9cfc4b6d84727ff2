/** Migrations beside a service at work: what waits for them, what they wait for, and what the service notices. */
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { reserveInventory } from '../../domain/inventory.js';
import { readPaymentDue, recordCharge } from '../../domain/payments.js';
import { LOCK_WAIT_MS, runScript } from '../../prisma/migration-scripts.mjs';
import { sessionConfig } from '../../prisma/session.mjs';
import { type DatabaseClient, openDatabase } from '../../runtime/database.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { migrationsWith } from '../support/migrations.js';

let t: TestDatabase;
let db: DatabaseClient;
let api: TestApi;
/** Of the one who migrates, and of one who reads for long. */
const sessions = { migrator: undefined as unknown as pg.Client, reader: undefined as unknown as pg.Client };
beforeAll(async () => {
  t = await createTestDatabase();
  db = openDatabase(t.url, 10);
  api = await startTestApi({ db, databaseUrl: t.url });
  await stock(db, 'KEYBOARD', 1_000_000);
  for (const name of ['migrator', 'reader'] as const) {
    sessions[name] = new pg.Client(sessionConfig(t.url));
    await sessions[name].connect();
  }
});
afterAll(async () => {
  await Promise.all(Object.values(sessions).map((client) => client.end()));
  await api.stop();
  await db.$disconnect();
  await t.drop();
});

/** What a worker's activities ask of Postgres for an order that is confirmed. */
async function passSteps(id: string): Promise<{ status: number; text: string }> {
  try {
    const reserved = await reserveInventory(db, id);
    const { amount } = await readPaymentDue(db, id);
    const charged = await recordCharge(db, id, `pi_${id}`, undefined, { confirm: amount > 0 });
    const isDone = reserved.outcome === 'done' && charged.outcome === 'done';
    return { status: isDone ? 200 : 500, text: JSON.stringify([reserved, charged]) };
  } catch (err) {
    return { status: 500, text: String(err) };
  }
}

/** Clients, an operator and a worker, each as fast as it can until the work is done. @returns what each request came to */
async function underTraffic(work: () => Promise<void>) {
  const seen = { requests: 0, failed: [] as string[], slowestMs: 0 };
  let isOver = false;
  const asked = async (what: string, ask: () => Promise<{ status: number; text: string }>) => {
    const began = performance.now();
    const { status, text } = await ask();
    seen.requests++;
    seen.slowestMs = Math.max(seen.slowestMs, performance.now() - began);
    if (status >= 400) seen.failed.push(`${what}: ${status} ${text}`);
  };
  const place = async () => {
    let id = '';
    await asked('place', async () => {
      const answer = await api.place();
      id = answer.body.id;
      return answer;
    });
    return id;
  };
  const customer = async () => {
    while (!isOver) {
      const [kept, cancelled] = [await place(), await place()];
      await asked('a saga’s steps', () => passSteps(kept));
      await asked('read', () => api.get(`/orders/${kept}`));
      await asked('list', () => api.get('/orders?limit=5'));
      await asked('cancel', () => api.send('POST', `/orders/${cancelled}/cancel`, { reason: 'no more' }));
    }
  };
  const operator = async () => {
    for (let price = 1_000; !isOver; price++)
      await asked('change the catalogue', () =>
        api.send('PUT', '/inventory/OTHER', { name: `${price}`, unitPrice: price, currency: 'USD', onHand: 5 }),
      );
  };
  const traffic = [customer(), customer(), customer(), operator()];
  try {
    await eventually('there is traffic', () => seen.requests > 40);
    await work();
    const soFar = seen.requests;
    await eventually('traffic has gone on afterwards', () => seen.requests > soFar + 40);
  } finally {
    isOver = true;
    await Promise.all(traffic);
  }
  return seen;
}

test('columns that are widened and added under traffic fail no request: what was planned before is planned anew', async () => {
  const seen = await underTraffic(async () => {
    for (const change of [
      'ALTER TABLE inventory ALTER COLUMN name TYPE varchar(300)',
      'ALTER TABLE inventory ADD COLUMN shelf text',
      'ALTER TABLE orders ALTER COLUMN plan_version TYPE integer',
      'ALTER TABLE orders ALTER COLUMN customer_id TYPE varchar(200)',
      'ALTER TABLE order_lines ALTER COLUMN line_no TYPE integer, ALTER COLUMN sku TYPE varchar(100)',
      'ALTER TABLE payments ALTER COLUMN gateway_reference TYPE varchar(300), ADD COLUMN note text',
      'ALTER TABLE outbox ALTER COLUMN type TYPE varchar(100)',
      'ALTER TABLE audit_acts ALTER COLUMN key_id TYPE varchar(20)',
    ])
      await runScript(sessions.migrator, change);
  });
  expect(seen.failed).toEqual([]);
  expect(seen.requests).toBeGreaterThan(80);
});

test('a migration behind a long reader lets requests pass: none fails, and it is done when the reader has ended', async () => {
  await sessions.reader.query('BEGIN; SELECT count(*) FROM orders');
  let tries = 0;
  let isDone = false;
  const seen = await underTraffic(async () => {
    const onRetry = (count: number) => (tries = count);
    const migration = runScript(sessions.migrator, 'ALTER TABLE orders ADD COLUMN gift text', { onRetry }).then(
      () => (isDone = true),
    );
    await eventually('it has given way twice', () => tries === 2);
    expect(isDone).toBe(false);
    await sessions.reader.query('COMMIT');
    await migration;
  });
  expect(seen.failed).toEqual([]);
  expect(seen.slowestMs).toBeLessThan(3 * LOCK_WAIT_MS);
});

const one = async (sql: string) => Object.values((await sessions.migrator.query(sql)).rows[0] ?? {})[0];

test('a migration that never gets its lock has changed nothing, and goes through when it is run again, and so does an index that was left unfinished', async () => {
  const columns = "SELECT count(*)::int FROM information_schema.columns WHERE column_name IN ('bow', 'ribbon')";
  const index = 'orders_currency_idx';
  const isValid = `SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('${index}')`;
  const build = `CREATE INDEX CONCURRENTLY "${index}" ON "orders" ("currency")`;
  const { deploy, remove } = await migrationsWith({
    '29990101000000_ribbon': 'ALTER TABLE inventory ADD COLUMN bow text;\nALTER TABLE orders ADD COLUMN ribbon text;\n',
    '29990101000001_index': `-- By currency.\n${build};\n`,
  });
  await sessions.reader.query('BEGIN');
  await sessions.reader.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
  await sessions.reader.query('SELECT count(*) FROM orders');
  const refused = await deploy(t.url, { MIGRATE_PATIENCE_MS: '2500' });
  expect(refused.failure).toBe('exit 1');
  expect(refused.output).toContain('A lock that this migration needs is held by others');
  expect(refused.output).toContain('The migration 29990101000000_ribbon has changed nothing');
  expect(await one(columns)).toBe(0);

  await sessions.migrator.query("SET statement_timeout = '100ms'");
  await expect(sessions.migrator.query(build)).rejects.toThrow('statement timeout'); // it waits for the reader
  expect(await one(isValid)).toBe(false);
  await sessions.reader.query('COMMIT');

  expect(await deploy(t.url)).toEqual({ failure: undefined, output: expect.anything() });
  expect([await one(columns), await one(isValid)]).toEqual([2, true]);
  await remove();
});

test('a migration that is interrupted while it waits for its lock is no failed one: it goes through when it is run again', async () => {
  const { deploy, begin, remove } = await migrationsWith({
    '29990101000002_bell': 'ALTER TABLE orders ADD COLUMN bell text;\n',
  });
  await sessions.reader.query('BEGIN');
  await sessions.reader.query('SELECT count(*) FROM orders');
  const job = begin(t.url);
  const exit = once(job, 'exit');
  let said = '';
  job.stdout.on('data', (chunk) => (said += chunk));
  await eventually('it waits', () => said.includes('is held by others'), 30_000);
  process.kill(-(job.pid ?? 0), 'SIGINT'); // Ctrl-C
  await exit;
  await sessions.reader.query('COMMIT');
  expect(await deploy(t.url)).toEqual({ failure: undefined, output: expect.anything() });
  await remove();
});
