/** What the plan says that steps hold, held against the tables: what it does not say, no cancellation would ask after. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { HOLDINGS } from '../../contracts/plan.js';
import type { Database } from '../../domain/database.js';
import { createTestDatabase } from '../support/database.js';

/** What is written of an order and stays, whatever becomes of it. */
const RECORDS = [
  'charge_attempts',
  'charge_refunds',
  'dead_letters',
  'idempotency_keys',
  'operation_items',
  'order_lines',
  'outbox',
  'reconciliation_findings',
  'saga_log',
  'spending_claims',
  'step_failures',
];

let db: Database;
let drop: () => Promise<void>;
beforeAll(async () => {
  ({ db, drop } = await createTestDatabase());
});
afterAll(() => drop());

test('every table with an order’s id is held by a step of the plan, or is a record that stays', async () => {
  const tables = await db.$queryRaw<{ name: string }[]>`
    SELECT c.table_name::text AS name FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = current_schema() AND c.column_name = 'order_id' AND t.table_type = 'BASE TABLE' ORDER BY 1`;
  expect(tables.map(({ name }) => name)).toEqual([...HOLDINGS.map(({ table }) => table), ...RECORDS].sort());
});

describe('what the plan says is held', () => {
  test.each(HOLDINGS)('in $table is what its CHECK allows', async ({ table, column, held }) => {
    const checks = await db.$queryRaw<{ text: string }[]>`
      SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE conrelid = ${table}::regclass AND contype = 'c'`;
    const states = checks.filter(({ text }) => text.includes(column)).flatMap(({ text }) => text.match(/'\w+'/g) ?? []);
    expect(states).toEqual(expect.arrayContaining(held.map((state) => `'${state}'`)));
  });
});
