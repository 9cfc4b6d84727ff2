/** The rules for migrations: what each refuses, planted; and that the migrations of this checkout keep them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { problems } from '../../.ci/migrations/check.mjs';
import { previousRelease } from '../../.ci/migrations/previous-release.mjs';
import { lint, newHistory, RULES } from '../../.ci/migrations/rules.mjs';

const REFUSED: Record<string, string[]> = {
  index: ['CREATE INDEX i ON orders (currency)', 'CREATE UNIQUE INDEX i ON orders (currency)'],
  'drop-index': ['DROP INDEX orders_correlation_id_idx'],
  concurrently: [
    'CREATE INDEX CONCURRENTLY i ON orders (currency); SELECT 1',
    'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (currency)',
    'DROP INDEX CONCURRENTLY i; DROP INDEX CONCURRENTLY j',
  ],
  rewrite: [
    'ALTER TABLE orders ADD COLUMN n bigserial',
    'ALTER TABLE orders ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY',
    'ALTER TABLE orders ADD COLUMN n bigint GENERATED ALWAYS AS (total_amount * 2) STORED',
    'ALTER TABLE orders ADD COLUMN n uuid DEFAULT gen_random_uuid()',
  ],
  'not-null': ['ALTER TABLE orders ALTER COLUMN traceparent SET NOT NULL'],
  'added-not-null': ['ALTER TABLE orders ADD COLUMN n text NOT NULL'],
  constraint: [
    'ALTER TABLE orders ADD CONSTRAINT c CHECK (total_amount > 0)',
    'ALTER TABLE payments ADD CONSTRAINT c FOREIGN KEY (order_id) REFERENCES orders (id)',
    'ALTER TABLE orders ADD COLUMN n int CHECK (n > 0)',
    'ALTER TABLE orders ADD COLUMN n uuid REFERENCES orders (id)',
  ],
  'unique-constraint': [
    'ALTER TABLE orders ADD CONSTRAINT c UNIQUE (correlation_id)',
    'ALTER TABLE orders ADD COLUMN n text UNIQUE',
  ],
  validate: [
    'ALTER TABLE orders ADD CONSTRAINT c CHECK (total_amount > 0) NOT VALID; ALTER TABLE orders VALIDATE CONSTRAINT c',
  ],
  type: [
    'ALTER TABLE orders ALTER COLUMN event_count TYPE bigint',
    'ALTER TABLE orders ALTER COLUMN currency TYPE text',
  ],
  rename: [
    'ALTER TABLE orders RENAME COLUMN currency TO c',
    'ALTER TABLE orders RENAME TO o',
    'ALTER INDEX i RENAME TO j',
  ],
  drop: ['ALTER TABLE orders DROP COLUMN currency', 'DROP TABLE orders'],
  data: ['UPDATE orders SET currency = currency', 'DELETE FROM outbox', 'INSERT INTO leases SELECT * FROM leases'],
  'two-tables': ['ALTER TABLE orders ADD COLUMN n int; ALTER TABLE payments ADD COLUMN n int'],
  'lock-timeout': [
    "SET lock_timeout = '5s'",
    'SET lock_timeout = 0',
    'SET LOCAL lock_timeout = 2000',
    'RESET lock_timeout',
  ],
  transaction: ['BEGIN; SELECT 1; COMMIT'],
  hidden: ['DO $$ BEGIN ALTER TABLE orders ADD COLUMN n int; END $$', "DO $$ BEGIN EXECUTE 'x'; END $$"],
  unknown: [
    'VACUUM FULL orders',
    'LOCK TABLE orders',
    'TRUNCATE orders',
    'CLUSTER orders',
    'ALTER TABLE orders SET LOGGED',
  ],
};

const found = async (sql: string) => [...new Set((await lint(sql)).map(({ rule }) => rule))];

test.each(Object.entries(REFUSED).flatMap(([rule, all]) => all.map((sql) => [rule, sql])))(
  '%s: %s',
  async (rule, sql) => {
    expect(await found(sql)).toEqual([rule]);
  },
);

test('each rule has a statement here that it refuses', () => {
  expect(Object.keys(REFUSED).toSorted()).toEqual(Object.keys(RULES).toSorted());
});

test.each([
  'ALTER TABLE orders ADD COLUMN n text, ADD COLUMN m int NOT NULL DEFAULT 0, ADD COLUMN at timestamptz DEFAULT now()',
  'CREATE INDEX CONCURRENTLY i ON orders (currency)',
  'ALTER TABLE orders ADD CONSTRAINT c CHECK (total_amount > 0) NOT VALID',
  'ALTER TABLE orders VALIDATE CONSTRAINT c',
  'ALTER TABLE orders ADD CONSTRAINT c UNIQUE USING INDEX i',
  'CREATE TABLE t (a int PRIMARY KEY CHECK (a > 0)); CREATE INDEX i ON t (a); ALTER TABLE t ADD UNIQUE (a); INSERT INTO t SELECT 1',
  "SET LOCAL lock_timeout = '500ms'",
  'DO $$ BEGIN IF true THEN REVOKE UPDATE, DELETE, TRUNCATE ON orders FROM order_saga_app; END IF; END $$',
  '-- lint allow data: a row per destination, some sixteen of them\nUPDATE relay_cursors SET lease_owner = NULL',
])('quick, and allowed: %s', async (sql) => {
  expect(await found(sql)).toEqual([]);
});

test('a column becomes NOT NULL once a CHECK of it was validated by a file before', async () => {
  const history = newHistory();
  const files = [
    'ALTER TABLE orders ADD CONSTRAINT c CHECK (traceparent IS NOT NULL) NOT VALID',
    'ALTER TABLE orders VALIDATE CONSTRAINT c',
    'ALTER TABLE orders ALTER COLUMN traceparent SET NOT NULL',
  ];
  for (const sql of files) expect(await lint(sql, history)).toEqual([]);
});

test('the migrations of this checkout keep them', async () => {
  expect(await problems()).toEqual([]);
});

test('what a new migration drops is refused while the previous release uses it, and named by file and line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'order-saga-rules-'));
  await mkdir(join(folder, '29990101000000_drop'));
  const sql = '-- Gone.\n\nALTER TABLE orders\n  DROP COLUMN traceparent,\n  DROP COLUMN of_nobody;\n';
  await writeFile(join(folder, '29990101000000_drop', 'migration.sql'), sql);
  const place = 'prisma/migrations/29990101000000_drop/migration.sql:3: column orders.traceparent [drop]';
  const previous = previousRelease();
  const refused = await problems(folder);
  expect(refused[0]).toContain(place);
  if (previous.missing === undefined) {
    expect(refused).toHaveLength(1); // nobody uses the other one
    expect(refused[0]).toMatch(/the previous release \(\S+\) uses it: .*\.ts/);
  }
  expect(await problems(folder, { missing: 'It is not in this clone.' })).toEqual([
    expect.stringContaining('It is not in this clone.'),
    expect.stringContaining('It is not in this clone.'),
  ]);
  await rm(folder, { recursive: true });
});
