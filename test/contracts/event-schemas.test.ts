/** The contract with consumers of events: what is committed, what was released, and which changes to it are refused. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { ENVELOPE_SCHEMA, EVENT_SCHEMAS, EVENT_TYPES } from '../../contracts/event-schemas.js';
import { type CloudEvent, toCloudEvent } from '../../contracts/events.js';
import { dataSchemaId } from '../../contracts/ids.js';
import { CANCELLATION_REASONS } from '../../contracts/orders.js';
import { createEventValidator } from '../../relay/event-validator.js';
import { eventsDocument, schemaFiles } from '../../relay/events-document.js';
import { breakingChanges, brokenReleases, type Schema } from '../support/schema-compatibility.js';

const validate = createEventValidator();
function example(type: (typeof EVENT_TYPES)[number]): CloudEvent {
  const [data] = EVENT_SCHEMAS[type].examples;
  const orderId = 'orderId' in data ? data.orderId : data.customerReference;
  const about = { correlationId: 'c', traceparent: null, occurredAt: new Date(0) };
  return toCloudEvent({ orderId, sequence: 1, type, data, ...about });
}

describe('the committed files', () => {
  test('in contracts/schemas are made from the code: `npm run events-doc` after a change', () => {
    const files = readdirSync('contracts/schemas').filter((name) => name.endsWith('.json'));
    expect(new Map(files.map((name) => [name, readFileSync(`contracts/schemas/${name}`, 'utf8')]))).toEqual(
      schemaFiles(),
    );
    expect(files).toHaveLength(EVENT_TYPES.length + 1);
  });

  test('docs/events.md is made from the code: `npm run events-doc` after a change', () => {
    expect(readFileSync('docs/events.md', 'utf8')).toBe(eventsDocument());
  });
});

describe('the released schemas', () => {
  const current: Schema[] = [ENVELOPE_SCHEMA, ...Object.values(EVENT_SCHEMAS)];
  const released = readdirSync('contracts/schemas/released').map(
    (name) => JSON.parse(readFileSync(`contracts/schemas/released/${name}`, 'utf8')) as Schema,
  );
  const dispatched: Schema = { $id: 'urn:order-saga:schema:shipment.dispatched:v1', type: 'object', properties: {} };

  test('are kept', () => {
    expect(released.map(({ $id }) => $id)).toContain(ENVELOPE_SCHEMA.$id);
    expect(brokenReleases(released, current)).toEqual([]);
  });

  test('ask nothing of a type that has not been released', () => {
    expect(brokenReleases(released, [...current, dispatched])).toEqual([]);
  });

  test('are named where one is broken, or gone', () => {
    const schema = EVENT_SCHEMAS['order.cancelled'];
    const reason = { type: 'string', enum: [...CANCELLATION_REASONS, 'BORED'] };
    const widened = { ...schema, properties: { ...schema.properties, reason } };
    const others = current.filter(({ $id }) => $id !== schema.$id);
    expect(brokenReleases([...released, dispatched], [...others, widened])).toEqual([
      'order.cancelled:v1.reason: BORED added; consumers do not know it',
      'shipment.dispatched:v1: removed; consumers have been promised it',
    ]);
  });
});

describe('a breaking change is named:', () => {
  const base = (): Schema => ({
    type: 'object',
    properties: {
      reason: { type: 'string', enum: ['A', 'B'] },
      amount: { type: 'integer', minimum: 0 },
      lines: { type: 'array', items: { type: 'object', properties: { sku: { type: 'string' } }, required: ['sku'] } },
      note: { type: 'string', description: 'x' },
    },
    required: ['reason', 'amount'],
  });
  type Properties = Record<string, Schema & { items: { properties: Record<string, Schema> } }>;
  const plants: [string, (schema: Schema, properties: Properties) => void, string][] = [
    ['a removed property', (_, p) => delete p['note'], 'data.note: removed'],
    [
      'a property newly required',
      (s) => (s['required'] as string[]).push('note'),
      'data.note: required now; older events may lack it',
    ],
    [
      'a property no longer required',
      (s) => (s['required'] as string[]).pop(),
      'data.amount: optional now; consumers count on it',
    ],
    ['a retyped property', (_, p) => set(p, 'amount', 'type', 'string'), 'data.amount: retyped from integer to string'],
    [
      'a property that may be null',
      (_, p) => set(p, 'note', 'type', ['string', 'null']),
      'data.note: retyped from string to null or string',
    ],
    ['a narrowed enum', (_, p) => set(p, 'reason', 'enum', ['A']), 'data.reason: B removed; older events have it'],
    [
      'a widened enum',
      (_, p) => set(p, 'reason', 'enum', ['A', 'B', 'C']),
      'data.reason: C added; consumers do not know it',
    ],
    [
      'an enum that is opened',
      (_, p) => delete p['reason']?.['enum'],
      'data.reason: may be anything now; consumers know only A, B',
    ],
    ['a limit moved', (_, p) => set(p, 'amount', 'minimum', 1), 'data.amount: minimum is 1, was 0'],
    ['a rule added', (_, p) => set(p, 'note', 'pattern', '^x'), 'data.note: pattern is ^x, was absent'],
    ['inside an array', (_, p) => delete p['lines']?.items.properties['sku'], 'data.lines[].sku: removed'],
  ];
  test.each(plants)('%s', (_, plant, sentence) => {
    const changed = base();
    plant(changed, changed['properties'] as Properties);
    expect(breakingChanges(base(), changed)).toEqual([sentence]);
  });

  test('but a new optional property and other words are none', () => {
    const changed = base();
    Object.assign(changed['properties'] as object, {
      more: { type: 'string' },
      note: { type: 'string', description: 'y' },
    });
    expect(breakingChanges(base(), changed)).toEqual([]);
  });

  test('a keyword that is not compared is refused', () => {
    expect(() => breakingChanges(base(), { ...base(), oneOf: [] })).toThrow('no rule compares the keyword "oneOf"');
  });
});

const set = (properties: Record<string, Schema>, name: string, keyword: string, value: unknown) =>
  Object.assign(properties[name] as Schema, { [keyword]: value });

describe('the validator', () => {
  test.each(EVENT_TYPES)('takes the documented example of %s', (type) => {
    expect(validate(example(type))).toBeUndefined();
    expect(dataSchemaId(type)).toBe(EVENT_SCHEMAS[type].$id);
  });

  test('of consumers, which has the released envelope only, takes an event of a type that came later', () => {
    const envelope = JSON.parse(readFileSync('contracts/schemas/released/envelope.v1.json', 'utf8'));
    const accepts = new Ajv({ formats: { uuid: true, 'date-time': true } }).compile(envelope);
    const later = { type: 'shipment.dispatched', dataschema: dataSchemaId('shipment.dispatched') };
    expect(accepts({ ...example('order.confirmed'), ...later })).toBe(true);
  });

  const good = example('order.created');
  test.each<[string, unknown, string]>([
    ['an envelope without a field', { ...good, correlationid: undefined }, 'correlationid'],
    ['a type that has no schema', { ...good, type: 'order.lost' }, 'dataschema is not one of order.lost'],
    ['a type that is no name', { ...good, type: 'Order Lost!' }, 'the envelope.type'],
    [
      'the schema of another type',
      { ...good, dataschema: dataSchemaId('order.confirmed') },
      'not one of order.created',
    ],
    ['an unknown schema', { ...good, dataschema: 'urn:order-saga:schema:order.created:v9' }, 'not one of'],
    ['data without a field', { ...good, data: { ...(good.data as object), total: undefined } }, "'total'"],
    ['data of another type', { ...good, data: { ...(good.data as object), items: 'none' } }, '.items must be array'],
    ['a time that is none', { ...good, time: 'yesterday' }, '.time'],
  ])('refuses %s, and says why', (_, event, why) => {
    expect(validate(JSON.parse(JSON.stringify(event)))).toContain(why);
  });

  test('repeats no value of the event: complaints end in logs', () => {
    const event = {
      ...good,
      data: { ...(good.data as object), customerId: 17, items: [{ sku: 'SECRET', quantity: -1 }] },
    };
    expect(validate(event as CloudEvent)).not.toMatch(/17|SECRET|-1/);
  });
});
