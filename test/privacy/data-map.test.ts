/** The data map knows every field that there is: a new column, property, label or attribute is in it, or this fails. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Metric } from 'prom-client';
import { ENVELOPE_SCHEMA, EVENT_SCHEMAS } from '../../contracts/event-schemas.js';
import { CUSTOMER_ID, SAGA_FAILURE, SAGA_STATE, SAGA_STEP, sagaStart } from '../../contracts/saga.js';
import { DATA_MAP, fieldsOf } from '../../domain/privacy/data-map.js';
import { EVENTS, GATEWAY, TEMPORAL } from '../../domain/privacy/map/elsewhere.js';
import { METRIC_LABELS } from '../../domain/privacy/map/labels.js';
import { POSTGRES } from '../../domain/privacy/map/postgres.js';
import { CHARGE_PURPOSE, chargeMetadata } from '../../gateways/marks.js';
import { METRICS } from '../../service/metrics-document.js';
import { EXPORT_SCHEMA_FILE, exportSchemaText, privacyDocument } from '../../service/privacy-document.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

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

  test('says how each personal field is erased', () => {
    const silent = DATA_MAP.flatMap(({ stores }) => stores).flatMap(({ store, parts }) =>
      parts
        .filter(({ kind, erased, what }) => kind === 'personal' && (!erased || !what))
        .map(({ fields }) => `${store}: ${fields.join()}`),
    );
    expect(silent).toEqual([]);
  });

  test('is docs/privacy.md, and the schema of an export is published: `npm run privacy-doc` after a change', () => {
    expect(readFileSync('docs/privacy.md', 'utf8')).toBe(privacyDocument());
    expect(readFileSync(EXPORT_SCHEMA_FILE, 'utf8')).toBe(exportSchemaText());
  });
});

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
