/** A database, a role, a server or a shell has settings that are meant for others: no session of ours has them. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { isNotNow } from '../../domain/database.js';
import { reserveInventory } from '../../domain/inventory.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { openDatabase } from '../../runtime/database.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, required, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
let admin: pg.Client;
beforeEach(async () => {
  t = await createTestDatabase();
  const url = new URL(required('TEST_DATABASE_ADMIN_URL'));
  url.pathname = new URL(t.url).pathname;
  admin = new pg.Client({ connectionString: url.href });
  await admin.connect();
});
afterEach(async () => {
  await admin.end();
  await t.drop();
});

const set = (name: string, value: string) =>
  admin.query(`ALTER DATABASE ${new URL(t.url).pathname.slice(1)} SET ${name} = ${admin.escapeLiteral(value)}`);
const settingsOf = async (url: string) => {
  const client = new pg.Client(sessionConfig(url));
  await client.connect();
  const names = ['TimeZone', 'DateStyle', 'search_path', 'default_transaction_isolation', 'application_name'];
  const { rows } = await client.query('SELECT current_setting(n) AS v FROM unnest($1::text[]) AS n', [names]);
  await client.end();
  return Object.fromEntries(names.map((name, i) => [name, rows[i].v]));
};

describe('a session', () => {
  test('is set as our statements take for granted, whatever the database has by default', async () => {
    await set('timezone', 'Europe/Berlin');
    await set('datestyle', 'German, DMY');
    await set('search_path', 'theirs');
    await set('default_transaction_isolation', 'serializable');
    expect(await settingsOf(t.url)).toMatchObject({
      TimeZone: 'UTC',
      DateStyle: expect.stringContaining('ISO'),
      search_path: 'public',
      default_transaction_isolation: 'read committed',
    });
  });

  test('keeps what its own URL says, but for that', async () => {
    const url = `${t.url}?schema=shop&application_name=mine&options=-c%20TimeZone%3DAsia%2FTokyo%20-c%20work_mem%3D8MB`;
    expect(await settingsOf(url)).toMatchObject({ TimeZone: 'UTC', search_path: 'shop', application_name: 'mine' });
    expect(sessionConfig(url).options).toContain('work_mem=8MB');
  });

  test.each([
    ['of TLS that the URL asks for', 'postgresql://u@db.example/x?sslmode=verify-full', { ssl: {} }],
    ['of TLS that the URL declines', 'postgresql://u@db.example/x?sslmode=disable', { ssl: false }],
    ['none to oneself', 'postgresql://u@127.0.0.1/x', { ssl: false }],
    ['the usual port and the user’s database', 'postgresql://u@db.example', { port: 5432, database: 'u' }],
  ])('takes %s', (_, url, expected) => {
    expect(sessionConfig(url)).toMatchObject(expected);
  });

  test('elsewhere leaves TLS to PGSSLMODE where the URL says nothing: no connection becomes plain text unasked', () => {
    expect(sessionConfig('postgresql://u@db.example/x')).not.toHaveProperty('ssl');
  });
});

describe('a statement that Postgres has undone and would carry out now', () => {
  test('is retried at once: a plan that a migration has outdated, on every connection', async () => {
    await stock(t.db, 'A', 10);
    const names = () => Promise.all(Array.from({ length: 20 }, () => t.db.$queryRaw`SELECT name FROM inventory`));
    await names();
    await admin.query('ALTER TABLE inventory ALTER COLUMN name TYPE varchar(300)');
    expect((await names()).flat()).toEqual(Array.from({ length: 20 }, () => ({ name: 'A' })));
  });

  test('is done anew with the whole transaction that it is part of, whichever way it is asked', async () => {
    await stock(t.db, 'A', 10);
    const db = openDatabase(t.url, 1);
    const read = () =>
      db.$transaction(async (tx) => [
        await tx.$queryRaw`SELECT name FROM inventory`,
        await tx.inventory.findMany({ select: { name: true } }),
      ]);
    const names = [[{ name: 'A' }], [{ name: 'A' }]];
    expect(await read()).toEqual(names);
    for (const type of ['varchar(300)', 'text']) {
      await admin.query(`ALTER TABLE inventory ALTER COLUMN name TYPE ${type}`);
      expect(await read()).toEqual(names);
    }
    await db.$disconnect();
  });

  test('is retried at once: a deadlock with another program’s transaction', async () => {
    await set('deadlock_timeout', '20ms');
    const db = openDatabase(t.url, 2);
    for (const sku of ['A', 'B']) await stock(db, sku, 10);
    const { id } = await accept(db, { A: 1, B: 1 });
    const other = new pg.Client({ connectionString: t.url });
    await other.connect();
    const areWaiting = (count: number) =>
      eventually('they wait', async () => {
        const { rowCount } = await other.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        return rowCount === count;
      });
    await other.query("BEGIN; SELECT FROM inventory WHERE sku = 'A' FOR UPDATE");
    await admin.query("SET deadlock_timeout = '1min'; BEGIN; SELECT FROM inventory WHERE sku = 'B' FOR UPDATE");
    const reserved = reserveInventory(db, id); // has the order's row, waits for A
    await areWaiting(1);
    const foreign = admin.query('SELECT FROM orders WHERE id = $1 FOR UPDATE', [id]);
    await areWaiting(2);
    await other.query('COMMIT'); // now ours has A and waits for B, in a circle: it is the one that Postgres ends
    await foreign;
    await admin.query('COMMIT');
    expect(await reserved).toEqual({ outcome: 'done' });
    await other.end();
    await db.$disconnect();
  });
});

test('a connection that Postgres ends between two statements is told of by the next, and is nobody’s uncaught exception', async () => {
  let pool: pg.Pool | undefined;
  const db = openDatabase(t.url, 2, {
    onPool: (opened) => {
      pool = opened;
    },
  });
  const client = (await pool?.connect()) as pg.PoolClient;
  const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
  const hasEnded = new Promise((resolve) => client.once('end', () => resolve(undefined)));
  await admin.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
  await hasEnded;
  await expect(client.query('SELECT 1')).rejects.toThrow();
  client.release(true);
  expect(await db.$queryRaw`SELECT 1 AS one`).toEqual([{ one: 1 }]);
  await db.$disconnect();
});

describe('a transient failure is distinguished from a refusal:', () => {
  test.each([
    ['a read-only server, in raw SQL', (db: TestDatabase['db']) => db.$executeRaw`DELETE FROM inventory`],
    ['a read-only server, in a model’s statement', (db: TestDatabase['db']) => db.inventory.deleteMany()],
    [
      'a read-only server, in a transaction',
      (db: TestDatabase['db']) => db.$transaction((tx) => tx.inventory.deleteMany()),
    ],
  ])('%s', async (_, write) => {
    await set('default_transaction_read_only', 'on');
    const db = openDatabase(t.url, 2);
    const failure = await write(db).catch((err: unknown) => err);
    expect([isNotNow(failure), failure]).toEqual([true, expect.any(Error)]);
    await db.$disconnect();
  });

  test.each([
    ['a locked row, in raw SQL', (db: TestDatabase['db']) => db.$executeRaw`UPDATE inventory SET name = 'x'`],
    [
      'a locked row, in a model’s statement',
      (db: TestDatabase['db']) => db.inventory.updateMany({ data: { name: 'x' } }),
    ],
  ])('%s, which is not waited for longer than was said', async (_, write) => {
    await stock(t.db, 'A', 1);
    const db = openDatabase(t.url, 2, { lockLimitMs: 50 });
    await admin.query('BEGIN; SELECT FROM inventory FOR UPDATE');
    const failure = await write(db).catch((err: unknown) => err);
    expect([isNotNow(failure), failure]).toEqual([true, expect.any(Error)]);
    await admin.query('ROLLBACK');
    await db.$disconnect();
  });

  test.each([
    ['no server listens', (url: URL) => Object.assign(url, { port: '1' })],
    ['the password is wrong', (url: URL) => Object.assign(url, { password: 'wrong' })],
    ['there is no such database', (url: URL) => Object.assign(url, { pathname: '/of_nobody' })],
  ])('%s', async (_, spoil) => {
    const db = openDatabase(spoil(new URL(t.url)).href, 1);
    for (const ask of [
      () => db.$queryRaw`SELECT 1`,
      () => db.inventory.count(),
      () => db.$transaction((tx) => tx.inventory.count()),
    ]) {
      const failure = await (async () => ask())().catch((err: unknown) => err);
      // Not `any(Error)`: Node's own errors are not those of the test's realm.
      expect([isNotNow(failure), failure]).toEqual([true, expect.objectContaining({ message: expect.any(String) })]);
    }
    await db.$disconnect();
  });

  test('a refusal is no transient failure', async () => {
    const failure = await t.db.$executeRaw`INSERT INTO inventory DEFAULT VALUES`.catch((err: unknown) => err);
    expect([failure instanceof Error, isNotNow(failure)]).toEqual([true, false]);
  });
});
