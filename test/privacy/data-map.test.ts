/** The data map knows every field that there is: a new column, property, label or attribute is in it, or this fails. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Metric } from 'prom-client';
import { ENVELOPE_SCHEMA, EVENT_SCHEMAS } from '../../contracts/event-schemas.js';
import { RETENTION, type Retention } from '../../contracts/retention.js';
import { CUSTOMER_ID, SAGA_FAILURE, SAGA_STATE, SAGA_STEP, sagaStart } from '../../contracts/saga.js';
import { DATA_MAP, fieldsOf } from '../../domain/privacy/data-map.js';
import { EVENTS, GATEWAY, LOGS, TEMPORAL } from '../../domain/privacy/map/elsewhere.js';
import { METRIC_LABELS } from '../../domain/privacy/map/labels.js';
import { POSTGRES } from '../../domain/privacy/map/postgres.js';
import { CHARGE_PURPOSE, chargeMetadata } from '../../gateways/marks.js';
import { METRICS } from '../../service/metrics-document.js';
import { EXPORT_SCHEMA_FILE, exportSchemaText, privacyDocument } from '../../service/privacy-document.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { logLinesOfCode } from './log-lines.js';

let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
});
afterAll(() => t.drop());

describe('the map', () => {
  test('has every column of every table, once, and no other', async () => {
    const rows = await t.db.$queryRaw<{ field: string }[]>`
      SELECT c.table_name || '.' || c.column_name AS field FROM information_schema.columns c
      JOIN information_schema.tables t USING (table_schema, table_name)
      WHERE table_schema = current_schema() AND t.table_type = 'BASE TABLE'`;
    const mapped = POSTGRES.flatMap((table) => fieldsOf(table).map((field) => `${table.store}.${field}`));
    expect(mapped.sort()).toEqual(rows.map(({ field }) => field).sort());
  });

  test('has every property of every event', () => {
    const properties = new Set<string>(Object.keys((ENVELOPE_SCHEMA as { properties: object }).properties));
    for (const schema of Object.values(EVENT_SCHEMAS)) collect(schema as Schema, 'data', properties);
    expect(fieldsOf(EVENTS).sort()).toEqual([...properties].sort());
  });

  test('has every search attribute and every part of a saga’s memo', () => {
    const attributes = [SAGA_STATE, SAGA_STEP, SAGA_FAILURE, CUSTOMER_ID].map(({ name }) => `searchAttribute.${name}`);
    const policy = { stepRetryBudgetMs: 1, sagaDeadlineMs: 1, compensationAttentionAfterMs: 1 };
    const { options } = sagaStart({ id: 'o', customer: 'c', correlationId: 'x', kind: 'order' }, policy);
    const memo = Object.keys(options.memo).map((key) => `memo.${key}`);
    const mapped = fieldsOf(TEMPORAL).filter((field) => /^(searchAttribute|memo)\./.test(field));
    expect(mapped.sort()).toEqual([...attributes, ...memo].sort());
  });

  test('has every key of the metadata at the payment provider', () => {
    const keys = Object.keys(chargeMetadata({ orderId: 'o', installationId: 'i', correlationId: 'c' }));
    const mapped = fieldsOf(GATEWAY).filter((field) => field.startsWith('metadata.'));
    expect(mapped.sort()).toEqual(keys.map((key) => `metadata.${key}`).sort());
    expect(CHARGE_PURPOSE).toBe('order');
  });

  test('has every label of every metric, and none of them is a person’s', () => {
    const labels = Object.values(METRICS)
      .flat()
      .flatMap((metric: Metric) => (metric as unknown as { labelNames: string[] }).labelNames);
    expect([...METRIC_LABELS].sort()).toEqual([...new Set(labels)].sort());
  });

  test('has every field of every line that the code logs', () => {
    const known = new Set(fieldsOf(LOGS));
    const lines = logLinesOfCode();
    expect(lines.length).toBeGreaterThan(100);
    expect(
      lines.flatMap(({ place, fields }) => fields.filter((f) => !known.has(f)).map((f) => `${place}: ${f}`)),
    ).toEqual([]);
  });

  test('says how each personal field is erased', () => {
    const silent = DATA_MAP.flatMap(({ stores }) => stores).flatMap(({ store, parts }) =>
      parts
        .filter(({ kind, erased, what }) => kind === 'personal' && (!erased || !what))
        .map(({ fields }) => `${store}: ${fields.join()}`),
    );
    expect(silent).toEqual([]);
  });

  test('says of each table how long it is kept, as the retention has it', () => {
    const keptOf = (name: string) => POSTGRES.find(({ store }) => store === name)?.retention;
    expect(RETENTION.map(({ store }) => [store, keptOf(store)])).toEqual(
      RETENTION.map((row) => [row.store, expect.stringMatching(wordsOf(row))]),
    );
  });

  test('names a retention only of tables that have it, or that lead to one which has, and with its length', () => {
    const lengths = new Map(RETENTION.map(({ setting, default: kept }) => [setting, kept]));
    const named = POSTGRES.flatMap(({ store, retention }) =>
      [...retention.matchAll(/`([A-Z_]+)`(?:, (\d+) days)?/g)].map(([, setting = '', days]) => ({
        store,
        setting,
        days,
      })),
    );
    expect(named.map(({ store, setting }) => [store, setting, lengths.get(setting)])).toEqual(
      named.map(({ store, setting, days }) => [store, setting, `${days}d`]),
    );
    const own = new Set(RETENTION.map(({ store, setting }) => `${store} ${setting}`));
    const others = named.map(({ store, setting }) => `${store} ${setting}`).filter((each) => !own.has(each));
    expect(others.sort()).toEqual(WITH_ANOTHERS.sort());
  });

  test('says of each column that a retention empties that it is a person’s, and how it goes', () => {
    const emptied = RETENTION.filter(({ end }) => end === 'blanked').flatMap(({ store, columns }) =>
      columns.map((column) => [store, column] as const),
    );
    const lost = emptied.filter(([name, column]) => {
      const part = POSTGRES.find(({ store }) => store === name)?.parts.find(({ fields }) => fields.includes(column));
      return !part?.erased || part.kind === 'none' || part.kind === 'pseudonymous';
    });
    expect(lost).toEqual([]);
  });

  test('is docs/privacy.md, and the schema of an export is published: `npm run privacy-doc` after a change', () => {
    expect(readFileSync('docs/privacy.md', 'utf8')).toBe(privacyDocument());
    expect(readFileSync(EXPORT_SCHEMA_FILE, 'utf8')).toBe(exportSchemaText());
  });
});

/** What goes with the rows of another table: the order's, the key's. */
const WITH_ANOTHERS = [
  ...[
    'order_lines',
    'reservations',
    'payments',
    'charge_refunds',
    'charge_attempts',
    'spending_claims',
    'step_failures',
  ].map((table) => `${table} RETENTION_ORDERS_PERSONAL`),
  'customer_keys RETENTION_ORDERS_PERSONAL',
  'erased_keys IDEMPOTENCY_TTL',
];

/** Of a table whose rows stay it is said what they stay without. */
function wordsOf({ setting, default: kept, end }: Retention): RegExp {
  if (setting === null) return /^for ever$/;
  const words = `\`${setting}\`\\W+${kept?.replace('d', ' days')}`;
  return new RegExp(
    end === 'removed' ? `^(?!.*for ever).*${words}` : `for ever.*${words}.* without |${words}.*without the person`,
  );
}

type Schema = {
  properties?: Record<string, Schema>;
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
};

function collect(schema: Schema, path: string, into: Set<string>): void {
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    into.add(`${path}.${name}`);
    collect(property, `${path}.${name}`, into);
  }
  if (schema.items) collect(schema.items, path, into);
  for (const part of [...(schema.oneOf ?? []), ...(schema.anyOf ?? []), ...(schema.allOf ?? [])])
    collect(part, path, into);
}
