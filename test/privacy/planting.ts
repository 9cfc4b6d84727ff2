/** A word of its own for every field that a request can have, as the OpenAPI document names them, and requests with these words in them. */
import { readFileSync } from 'node:fs';
import { type OpenApi, type Operation, operationsOf, resolve, type Schema } from '../support/openapi.js';

const document = JSON.parse(readFileSync('api/openapi.json', 'utf8')) as OpenApi;
export const OPERATIONS = operationsOf(document);
const HEADERS_OF_ANY = [
  'x-correlation-id',
  'traceparent',
  'user-agent',
  'cookie',
  'x-forwarded-for',
  'tracestate',
  'baggage',
];

export const OPERATORS_SUBJECT = 'any token.sub of an operator';

const keyOf = ({ method, path }: Operation): string => `${method} ${path}`;
const bodyOf = (operation: Operation): Schema | undefined => {
  const schema = operation.requestBody?.content['application/json']?.schema;
  return schema && resolve(document, schema);
};

/** Texts alone, and none of a closed list: `POST /orders body.items.sku`. */
function textsIn(schema: Schema, path: string): string[] {
  if (schema['type'] === 'string') return schema['enum'] || schema['const'] ? [] : [path];
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>);
  const items = schema['items'] as Schema | undefined;
  return [
    ...properties.flatMap(([name, property]) => textsIn(property, `${path}.${name}`)),
    ...(items ? textsIn(items, path) : []),
  ];
}

/** Every field, those of the headers that any request may have included. */
export const FIELDS: readonly string[] = [
  ...OPERATIONS.flatMap((operation) => [
    ...(operation.parameters ?? [])
      .filter(({ schema }) => schema['type'] === 'string' && !schema['enum'])
      .map((parameter) => `${keyOf(operation)} ${parameter.in}.${parameter.name}`),
    ...textsIn(bodyOf(operation) ?? {}, `${keyOf(operation)} body`),
  ]),
  ...HEADERS_OF_ANY.map((name) => `any header.${name}`),
  OPERATORS_SUBJECT,
];

/** Letters and digits only, so that every field that takes a text of one's own takes it. A trace has a grammar of its own. */
export function wordOf(field: string): string {
  const nth = FIELDS.indexOf(field);
  if (nth < 0) throw new Error(`There is no field ${field}`);
  if (field.endsWith('.x-forwarded-for')) return '203.0.113.77';
  return field.endsWith('.traceparent') ? `c0ffee${'0'.repeat(22)}f00d` : `kn${nth.toString(36).padStart(3, '0')}zq`;
}
const FIELD_OF_WORD = new Map(FIELDS.map((field) => [wordOf(field), field]));
const WORDS = /kn[0-9a-z]{3}zq|c0ffee0{22}f00d|203\.0\.113\.77/g;

/** @returns the fields whose words are in this text */
export const fieldsIn = (text: string): string[] =>
  [...new Set(text.match(WORDS) ?? [])].flatMap((word) => FIELD_OF_WORD.get(word) ?? []);

export const headersOfAny = (): Record<string, string> =>
  Object.fromEntries(
    HEADERS_OF_ANY.map((name) => {
      const word = wordOf(`any header.${name}`);
      return [name, name === 'traceparent' ? `00-${word}-00f067aa0ba902b7-01` : word];
    }),
  );

/** A body with a word in every text of it. @param chosen what the scenario needs to be otherwise */
export function bodyFor(route: string, chosen: Record<string, unknown> = {}): Record<string, unknown> {
  const operation = OPERATIONS.find((one) => keyOf(one) === route);
  const schema = operation && bodyOf(operation);
  if (!schema) throw new Error(`${route} has no body`);
  return { ...(exampleOf(schema, `${route} body`, true) as object), ...chosen };
}

/** Optional texts are there; other optional fields are left out. */
function exampleOf(schema: Schema, path: string, isRequired: boolean): unknown {
  if (schema['type'] === 'object') {
    if (!isRequired) return undefined;
    const required = (schema['required'] ?? []) as string[];
    const fields = Object.entries(schema['properties'] as Record<string, Schema>).map(
      ([name, property]) => [name, exampleOf(property, `${path}.${name}`, required.includes(name))] as const,
    );
    return Object.fromEntries(fields.filter(([, value]) => value !== undefined));
  }
  if (schema['type'] === 'array') return isRequired ? [exampleOf(schema['items'] as Schema, path, true)] : undefined;
  if (schema['type'] !== 'string' || schema['enum'])
    return isRequired ? ((schema['enum'] as unknown[])?.[0] ?? 1) : undefined;
  const pattern = new RegExp(String(schema['pattern'] ?? ''), 'u');
  const word = wordOf(path);
  return [word, `pm_${word}`].find((text) => pattern.test(text));
}
