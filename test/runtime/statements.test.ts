/** Raw statements go to the driver outside of transactions and through the ORM inside: which way one takes is not to be noticed. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { violatedUniqueKey } from '../../domain/database.js';
import { Prisma } from '../../prisma/generated/client.js';
import { type DatabaseClient, openDatabase } from '../../runtime/database.js';
import { describeError } from '../../runtime/errors/facts.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
let other: pg.Client;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 10);
  other = new pg.Client({ connectionString: t.url });
  await other.connect();
});
afterAll(async () => {
  await other.end();
  await t.drop();
});

const directly = (statement: Prisma.Sql) => t.db.$queryRaw<Record<string, unknown>[]>(statement);
const inTransaction = (statement: Prisma.Sql) =>
  t.db.$transaction((tx) => tx.$queryRaw<Record<string, unknown>[]>(statement));
const failureOf = (work: () => Promise<unknown>) =>
  work().then(
    () => undefined,
    (err: unknown) => err,
  );

const AT = new Date('2026-11-29T23:59:59.290Z');
const DAY = new Date('2026-11-29');

/** The same moment, as a process sees it whose TZ is Asia/Tokyo. */
function inTokyo(at: Date): Date {
  const there = new Date(at.getTime() + 9 * 3_600_000);
  return Object.assign(new Date(at), {
    getTimezoneOffset: () => -9 * 60,
    getFullYear: () => there.getUTCFullYear(),
    getMonth: () => there.getUTCMonth(),
    getDate: () => there.getUTCDate(),
    getHours: () => there.getUTCHours(),
  });
}

describe.each([
  ['directly', directly],
  ['in a transaction', inTransaction],
])('asked %s,', (_, ask) => {
  test.each<[string, Prisma.Sql, unknown]>([
    ['a whole number', Prisma.sql`7::int`, 7],
    ['a whole number that may be too large for a double', Prisma.sql`9007199254740993`, 9007199254740993n],
    ['an object’s identity', Prisma.sql`7::oid`, 7n],
    ['an exact number', Prisma.sql`0.1::numeric`, new Prisma.Decimal('0.1')],
    ['a double', Prisma.sql`0.5::float8`, 0.5],
    ['a truth', Prisma.sql`true`, true],
    ['a text', Prisma.sql`'it''s'::text`, "it's"],
    ['a text of fixed length', Prisma.sql`'USD'::char(3)`, 'USD'],
    ['a UUID', Prisma.sql`'0192e4a0-0000-7000-8000-000000000000'::uuid`, '0192e4a0-0000-7000-8000-000000000000'],
    ['a time', Prisma.sql`'2026-11-29 23:59:59.29+00'::timestamptz`, AT],
    ['a time in microseconds', Prisma.sql`'2026-11-29 23:59:59.290999+00'::timestamptz`, AT],
    ['a time of another zone', Prisma.sql`'2026-11-30 05:29:59.29+05:30'::timestamptz`, AT],
    ['a time without a zone', Prisma.sql`'2026-11-29 23:59:59.29'::timestamp`, AT],
    ['a day', Prisma.sql`'2026-11-29'::date`, DAY],
    ['bytes', Prisma.sql`'\\x00ff'::bytea`, new Uint8Array([0, 255])],
    ['JSON', Prisma.sql`'{"a": [1, null]}'::jsonb`, { a: [1, null] }],
    ['nothing', Prisma.sql`NULL::int`, null],
    ['a list of texts', Prisma.sql`ARRAY['a', NULL, 'b,"c"']`, ['a', null, 'b,"c"']],
    ['a list of whole numbers', Prisma.sql`ARRAY[1, 2]`, [1, 2]],
    ['a list of large ones', Prisma.sql`ARRAY[1::bigint, NULL]`, [1n, null]],
    ['a list of exact numbers', Prisma.sql`ARRAY[0.1]`, [new Prisma.Decimal('0.1')]],
    ['a list of times', Prisma.sql`ARRAY['2026-11-29 23:59:59.29+00'::timestamptz]`, [AT]],
    ['a list of days', Prisma.sql`ARRAY['2026-11-29'::date]`, [DAY]],
    ['a list of bytes', Prisma.sql`ARRAY['\\x00ff'::bytea]`, [new Uint8Array([0, 255])]],
    [
      'a list of UUIDs',
      Prisma.sql`ARRAY['0192e4a0-0000-7000-8000-000000000000'::uuid]`,
      ['0192e4a0-0000-7000-8000-000000000000'],
    ],
  ])('Postgres answers %s as the same type', async (_name, value, expected) => {
    const [row] = await ask(Prisma.sql`SELECT ${value} AS value`);
    expect(row).toStrictEqual({ value: expected });
  });

  test.each<[string, unknown, string, string]>([
    ['a number', 7, 'int', '7'],
    ['a large number', 9007199254740993n, 'bigint', '9007199254740993'],
    ['a fraction', 0.25, 'float8', '0.25'],
    ['a truth', false, 'boolean', 'false'],
    ['a text', "it's\\", 'text', "it's\\"],
    ['bytes', new Uint8Array([0, 255]), 'bytea', '\\x00ff'],
    ['a time', AT, 'timestamptz', '2026-11-29 23:59:59.29+00'],
    ['a time without a zone', AT, 'timestamp', '2026-11-29 23:59:59.29'],
    ['a time without a zone, in a process that has one', inTokyo(AT), 'timestamp', '2026-11-29 23:59:59.29'],
    ['a time as a day', AT, 'date', '2026-11-29'],
    ['a list of texts', ['a', null, 'b,"c"\\'], 'text[]', '{a,NULL,"b,\\"c\\"\\\\"}'],
    ['an empty list', [], 'uuid[]', '{}'],
    ['a list of large numbers', [1n, 2n], 'bigint[]', '{1,2}'],
    ['a list of times', [AT], 'timestamptz[]', '{"2026-11-29 23:59:59.29+00"}'],
    ['a list of bytes', [new Uint8Array([0, 255])], 'bytea[]', '{"\\\\x00ff"}'],
    ['an object', { a: "it's" }, 'jsonb', '{"a": "it\'s"}'],
  ])('Postgres is given %s as the same value', async (_name, value, type, expected) => {
    const [row] = await ask(Prisma.sql`SELECT (${value}::${Prisma.raw(type)})::text AS value`);
    expect(row).toEqual({ value: expected });
  });

  test('a rule that is violated has its name, and nothing that was sent', async () => {
    const insert = Prisma.sql`
      INSERT INTO inventory (sku, name, unit_price, currency, available, on_hand_total) VALUES ('B', 'canary', -1, 'USD', 0, 0)`;
    const failure = await failureOf(() => ask(insert));
    const said = describeError(failure);
    expect(said).toMatchObject({ sqlState: '23514', constraint: 'inventory_unit_price_check' });
    expect(JSON.stringify(said)).not.toContain('canary');
  });

  test('a key that is there already is known by its name', async () => {
    const insert = Prisma.sql`
      INSERT INTO inventory (sku, name, unit_price, currency, available, on_hand_total) VALUES ('A', 'A', 1, 'USD', 0, 0)`;
    expect(violatedUniqueKey(await failureOf(() => ask(insert)))).toBe('inventory_pkey');
  });
});

test('how many rows were changed is the same by either way', async () => {
  const change = Prisma.sql`UPDATE inventory SET name = 'A' WHERE sku IN ('A', 'none')`;
  expect(await t.db.$executeRaw(change)).toBe(1);
  expect(await t.db.$transaction((tx) => tx.$executeRaw(change))).toBe(1);
  expect(await t.db.$executeRaw`SELECT FROM inventory WHERE sku = 'none'`).toBe(0);
});

test('what a transaction has changed by raw statements is undone with it, and no other statement has seen it', async () => {
  const nameOf = (db: Pick<DatabaseClient, '$queryRaw'>) => db.$queryRaw`SELECT name FROM inventory WHERE sku = 'A'`;
  const failure = await failureOf(() =>
    t.db.$transaction(async (tx) => {
      await tx.$executeRaw`UPDATE inventory SET name = 'changed' WHERE sku = 'A'`;
      expect([await nameOf(tx), await nameOf(t.db)]).toEqual([[{ name: 'changed' }], [{ name: 'A' }]]);
      throw new Error('undo it');
    }),
  );
  expect(failure).toEqual(new Error('undo it'));
  expect(await nameOf(t.db)).toEqual([{ name: 'A' }]);
});

describe('a pool', () => {
  const withPool = async (work: (db: DatabaseClient) => Promise<void>) => {
    const url = new URL(t.url);
    url.searchParams.set('application_name', 'pool-under-test');
    const db = openDatabase(url.href, 1);
    await work(db).finally(() => db.$disconnect());
  };
  const sessions = async () =>
    (await other.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'pool-under-test'")).rows;

  test('plans a statement once per connection, whichever way it takes', async () => {
    await withPool(async (db) => {
      const look = (from: Pick<DatabaseClient, '$queryRaw'>) => from.$queryRaw`SELECT 'looked at ' || ${1}::int AS it`;
      expect(await look(db)).toEqual(await db.$transaction((tx) => look(tx)));
      await look(db);
      const planned = await db.$queryRaw<{ from_sql: boolean }[]>`
        SELECT from_sql FROM pg_prepared_statements WHERE statement LIKE '%looked at%' AND statement NOT LIKE '%pg_prepared%'`;
      expect(planned).toHaveLength(1);
    });
  });

  test.each([
    ['a rule has refused', Prisma.sql`UPDATE inventory SET unit_price = -1`],
    ['waited in vain for a row', Prisma.sql`UPDATE inventory SET name = 'waits'`],
  ])('keeps the connection of a statement that %s, with all that it has planned', async (_, statement) => {
    await withPool(async (db) => {
      await db.$queryRaw`SELECT 1`;
      const [session] = await sessions();
      await other.query('BEGIN; SELECT FROM inventory FOR NO KEY UPDATE');
      expect(await failureOf(() => db.$executeRaw(statement))).toBeInstanceOf(Error);
      await other.query('ROLLBACK');
      await db.$queryRaw`SELECT 1`;
      expect(await sessions()).toEqual([session]);
    });
  });

  test('has another connection once a server that writes nothing any more has answered', async () => {
    await withPool(async (db) => {
      await db.$executeRaw`SET default_transaction_read_only = on`;
      const [session] = await sessions();
      expect(await failureOf(() => db.$executeRaw`UPDATE inventory SET name = 'A'`)).toBeInstanceOf(Error);
      expect(await db.$executeRaw`UPDATE inventory SET name = 'A' WHERE sku = 'A'`).toBe(1);
      expect(await sessions()).not.toContainEqual(session);
    });
  });

  test('that has been asked nothing but raw statements is closed all the same, once', async () => {
    await withPool(async (db) => {
      await db.$queryRaw`SELECT 1`;
      expect(await sessions()).toHaveLength(1);
      await db.$disconnect();
      await eventually('the session has ended', async () => (await sessions()).length === 0);
    });
  });

  test('survives the end of a connection that nothing uses, and the next statement has another', async () => {
    await withPool(async (db) => {
      await db.$queryRaw`SELECT 1`;
      const [session] = await sessions();
      await other.query('SELECT pg_terminate_backend($1)', [session.pid]);
      await eventually('a statement is answered', async () => {
        const rows = await db.$queryRaw<unknown[]>`SELECT 1`.catch(() => []);
        return rows.length === 1;
      });
      expect(await sessions()).not.toContainEqual(session);
    });
  });
});
