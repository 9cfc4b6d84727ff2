import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { breakingChanges } from '../support/breaking-changes.js';
import type { OpenApi, Schema } from '../support/openapi.js';

const committed = readFileSync('api/openapi.json', 'utf8');
type Operation = NonNullable<OpenApi['paths'][string]>[string];
type Node = { [name: string]: Node } & Schema;

/** The breaks between the committed document and itself after a change. */
function breaksOf(change: (schemas: Node, at: (method: string, path: string) => Operation, document: OpenApi) => void) {
  const after = JSON.parse(committed) as OpenApi;
  change(
    after.components.schemas as Node,
    (method, path) => after.paths[path]?.[method.toLowerCase()] as Operation,
    after,
  );
  return breakingChanges(JSON.parse(committed), after);
}
const listOf = (schema: Schema | undefined, keyword: string) => schema?.[keyword] as string[];
const fields = (schema: Node | undefined): Node => schema?.['properties'] as Node;

test('a document does not break itself', () => {
  expect(breaksOf(() => undefined)).toEqual([]);
});

describe('a break is named:', () => {
  test.each<[string, string, Parameters<typeof breaksOf>[0]]>([
    ['a path that is gone', 'GET /events: is gone', (_s, _at, { paths }) => delete paths['/events']],
    [
      'a method that is gone',
      'PUT /inventory/{sku}: is gone',
      (_s, _at, d) => delete d.paths['/inventory/{sku}']?.['put'],
    ],
    [
      'a role that is shut out',
      'GET /orders: is closed to customer now',
      (_s, at) => at('GET', '/orders').security[0]?.bearer?.shift(),
    ],
    [
      'a token that is asked for',
      'GET /livez: asks for a token now',
      (_s, at) => at('GET', '/livez').security.push({ bearer: ['operator'] }),
    ],
    [
      'a parameter that is gone',
      'GET /orders: query parameter status is gone',
      (_s, at) => at('GET', '/orders').parameters?.shift(),
    ],
    [
      'a parameter that becomes required',
      'GET /orders: query parameter status is required now',
      (_s, at) => Object.assign(at('GET', '/orders').parameters?.[0] ?? {}, { required: true }),
    ],
    [
      'a new parameter that is required',
      'GET /livez: query parameter deep is new and required',
      (_s, at) =>
        Object.assign(at('GET', '/livez'), { parameters: [{ name: 'deep', in: 'query', required: true, schema: {} }] }),
    ],
    [
      'a parameter with fewer values',
      'GET /orders: query parameter status: may not be PENDING any more',
      (_s, at) => listOf(at('GET', '/orders').parameters?.[0]?.schema, 'enum').shift(),
    ],
    [
      'a body that is asked for',
      'GET /livez: asks for a body now',
      (_s, at) => Object.assign(at('GET', '/livez'), { requestBody: { required: true, content: {} } }),
    ],
    [
      'a media type that is taken no more',
      'POST /orders: takes no application/json any more',
      (_s, at) => Object.assign(at('POST', '/orders').requestBody ?? {}, { content: { 'application/xml': {} } }),
    ],
    [
      'a new field that is required',
      'POST /orders: the body/currency: is required now',
      ({ NewOrder }) => listOf(NewOrder, 'required').push('currency'),
    ],
    [
      'a field that is taken no more',
      'POST /orders: the body/externalOrderId: is gone',
      ({ NewOrder }) => delete fields(NewOrder)['externalOrderId'],
    ],
    [
      'a lower ceiling',
      'POST /orders: the body/items: maxItems is 50 now',
      ({ NewOrder }) => Object.assign(fields(NewOrder)['items'] as Node, { maxItems: 50 }),
    ],
    [
      'a higher floor, deep inside',
      'POST /orders: the body/items[]/quantity: minimum is 2 now',
      ({ NewOrder }) => Object.assign(fields(fields(NewOrder)['items']?.['items'])['quantity'] as Node, { minimum: 2 }),
    ],
    [
      'another pattern',
      'POST /orders: the body/paymentMethod: pattern is ^card_ now',
      ({ NewOrder }) => Object.assign(fields(NewOrder)['paymentMethod'] as Node, { pattern: '^card_' }),
    ],
    [
      'another type',
      'POST /orders: the body/customerId: may not be of type string any more',
      ({ NewOrder }) => Object.assign(fields(NewOrder)['customerId'] as Node, { type: 'integer' }),
    ],
    [
      'values where anything went',
      'POST /orders: the body/customerId: may not be anything but cus_1 any more',
      ({ NewOrder }) => Object.assign(fields(NewOrder)['customerId'] as Node, { enum: ['cus_1'] }),
    ],
    [
      'an answer that is given no more',
      'POST /orders: does not answer 201 any more',
      (_s, at) => delete at('POST', '/orders').responses['201'],
    ],
    [
      'a stream that is offered no more',
      'GET /events: does not answer text/event-stream at 200 any more',
      (_s, at) => delete at('GET', '/events').responses['200']?.content?.['text/event-stream'],
    ],
    [
      'a field that is answered no more',
      'GET /orders/{id}: answer 200/externalOrderId: is gone',
      ({ Order }) => delete fields(Order)['externalOrderId'],
    ],
    [
      'a field that is not always answered',
      'GET /orders/{id}: answer 200/createdAt: is not always there any more',
      ({ Order }) =>
        Object.assign(Order as Node, {
          required: ['id', 'status', 'customerId', 'items', 'total', 'updatedAt', 'correlationId'],
        }),
    ],
    [
      'a value that a client has not heard of',
      'GET /orders/{id}: answer 200/status: may be EXPIRED now',
      ({ Order }) => listOf(fields(Order)['status'], 'enum').push('EXPIRED'),
    ],
    [
      'a null where there was none',
      'GET /inventory/{sku}: answer 200/available: may be of type null now',
      ({ Sku }) => Object.assign(fields(Sku)['available'] as Node, { type: ['integer', 'null'] }),
    ],
  ])('%s', (_what, sentence, change) => {
    expect(breaksOf(change)).toContain(sentence);
  });
});

describe('what clients do not notice is no break:', () => {
  test.each<[string, Parameters<typeof breaksOf>[0]]>([
    ['a new path', (_s, at, { paths }) => Object.assign(paths, { '/new': { get: at('GET', '/livez') } })],
    ['a new field in an answer', ({ Order }) => Object.assign(fields(Order), { note: { type: 'string' } })],
    [
      'a new optional field in a request',
      ({ NewOrder }) => Object.assign(fields(NewOrder), { note: { type: 'string' } }),
    ],
    ['a higher ceiling', ({ NewOrder }) => Object.assign(fields(NewOrder)['items'] as Node, { maxItems: 500 })],
    ['a pattern that is dropped', ({ NewOrder }) => delete fields(NewOrder)['paymentMethod']?.['pattern']],
    ['a field that is always answered now', ({ Order }) => listOf(Order, 'required').push('externalOrderId')],
    ['another refusal', (_s, at) => Object.assign(at('GET', '/livez').responses, { 418: { description: 'no' } })],
    ['other words', (_s, at) => Object.assign(at('GET', '/livez'), { summary: 'Alive', description: 'indeed' })],
    ['a role that is let in', (_s, at) => at('PUT', '/inventory/{sku}').security[0]?.bearer?.push('service')],
  ])('%s', (_what, change) => {
    expect(breaksOf(change)).toEqual([]);
  });
});
