/** Requests for a fuzzing run: as the OpenAPI document allows them, with one thing wrong, or wild. */
import { METHODS } from 'node:http';
import fc from 'fast-check';
import { createValidators, type OpenApi, type Operation, operationsOf, type Parameter } from '../support/openapi.js';
import { allowed, junk, type Known, spoilt } from './fuzz-values.js';

export type Sent = {
  /** The operation that it is for, such as `GET /orders/{id}`; undefined = it may be for none. */
  operation?: string;
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: string | Uint8Array;
  /** By the document: `taken` = its form is right, `refused` = it is not; undefined = the document cannot tell. */
  expected?: 'taken' | 'refused';
};
/** Who sends it. A token's roles; or no token, or one that is none. */
export type Sender = { roles: string[] } | 'nobody' | 'forger';

/** Cursors, keys and the like: text by the document, yet only those that we gave out, or of a certain grammar, are right. */
const OPAQUE = /^(cursor|after|last-event-id|idempotency-key|prefer|stripe-signature|traceparent|if-none-match)$/;
const JSON_TYPE = 'application/json';

/** A request, or a variation: a part of one, with a verdict on that part. */
type Part<T> = { value: T; verdict: Sent['expected'] };

export function requestsFor(document: OpenApi, known: Known): fc.Arbitrary<Sent> {
  // Bodies can be wrong in more ways than parameters.
  const operations = operationsOf(document).map((operation) => ({
    weight: operation.requestBody ? 3 : 1,
    arbitrary: requestOf(document, operation, known),
  }));
  return fc.oneof({ weight: 8, arbitrary: fc.oneof(...operations) }, { weight: 1, arbitrary: wild(document, known) });
}

function requestOf(document: OpenApi, operation: Operation, known: Known): fc.Arbitrary<Sent> {
  const parameters = operation.parameters ?? [];
  const partsOf = (where: Parameter['in']) =>
    fc.tuple(...parameters.filter((p) => p.in === where).map((p) => parameterOf(document, p, known)));
  const accept = fc.option(fc.constantFrom('application/json', 'text/event-stream', '*/*', ''), {
    nil: undefined,
    freq: 3,
  });
  return fc
    .record({
      path: partsOf('path'),
      query: partsOf('query'),
      headers: partsOf('header'),
      body: bodyOf(document, operation, known),
      accept,
    })
    .map(({ path, query, headers, body, accept: accepted }) => {
      const given = [...path, ...query, ...headers].filter((part) => part.value !== undefined);
      const fill = (text: string, [name, value]: [string, string]) => text.replace(`{${name}}`, encode(value));
      const search = entriesOf(query)
        .map(([name, value]) => `${encode(name)}=${encode(value)}`)
        .join('&');
      const verdicts = [...given, body].map((part) => part.verdict);
      const expected = verdicts.includes('refused') ? 'refused' : verdicts.includes(undefined) ? undefined : 'taken';
      // Beyond that length no route takes a path.
      const isRouted = entriesOf(path).every(([, value]) => encode(value).length <= 200);
      return {
        ...(isRouted && { operation: `${operation.method} ${operation.path}` }),
        method: operation.method,
        path: entriesOf(path).reduce(fill, operation.path) + (search && `?${search}`),
        headers: {
          ...Object.fromEntries(entriesOf(headers).map(([name, value]) => [name, visible(value)])),
          ...(accepted !== undefined && { accept: accepted }),
          ...(body.value.type !== undefined && { 'content-type': body.value.type }),
        },
        ...(body.value.content !== undefined && { body: body.value.content }),
        ...(expected && { expected }),
      };
    });
}

type Named = Part<string | undefined> & { name: string };
const entriesOf = (parts: Named[]): [string, string][] =>
  parts.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as [string, string]]));

function parameterOf(document: OpenApi, parameter: Parameter, known: Known): fc.Arbitrary<Named> {
  const { name, schema, required } = parameter;
  const validate = createValidators(document)(schema);
  const right = allowed(document, schema, known, name);
  const value = fc.oneof({ weight: 6, arbitrary: right }, { weight: 1, arbitrary: junk }).map((thing) =>
    // An empty segment, or one of dots, is another path.
    parameter.in === 'path' && /^\.*$/.test(String(thing)) ? 'x' : textOf(thing),
  );
  const verdictOn = (text: string): Sent['expected'] => {
    if (parameter.in === 'header')
      return schema['maxLength'] === undefined || visible(text).length <= 100 ? judgeOpaque(name) : undefined;
    if (parameter.in === 'path') return name in known && /^[\w.-]+$/.test(text) && validate(text) ? 'taken' : undefined;
    if (schema['type'] === 'integer') return verdictOnInteger(text, validate);
    if (!validate(text)) return 'refused';
    return OPAQUE.test(name) ? undefined : 'taken';
  };
  return (required ? value : fc.option(value, { nil: undefined, freq: 2 })).map((text) => ({
    name,
    value: text,
    verdict: text === undefined ? 'taken' : verdictOn(text),
  }));
}

const judgeOpaque = (name: string): Sent['expected'] => (OPAQUE.test(name) ? undefined : 'taken');

/** Spellings such as 1e2 or +5 are for the server to take or leave. */
function verdictOnInteger(text: string, validate: (value: unknown) => unknown): Sent['expected'] {
  if (/^(0|[1-9]\d*)$/.test(text)) return validate(Number(text)) ? 'taken' : 'refused';
  return Number.isInteger(Number(text)) ? undefined : 'refused';
}

type Body = { content?: string | Uint8Array; type?: string };

function bodyOf(document: OpenApi, operation: Operation, known: Known): fc.Arbitrary<Part<Body>> {
  const schema = operation.requestBody?.content[JSON_TYPE]?.schema;
  if (!schema) return fc.constant({ value: {}, verdict: operation.method === 'GET' ? 'taken' : undefined });
  const validate = createValidators(document)(schema);
  const right = allowed(document, schema, known);
  const asJson = (value: unknown): Part<Body> => {
    const content = JSON.stringify(value) ?? '';
    const verdict = content !== '' && validate(JSON.parse(content)) ? 'taken' : 'refused';
    return { value: { content, type: JSON_TYPE }, verdict };
  };
  // What breaks one text leaves another as it was, and where no body is asked for, none is right.
  const verdictOnBroken = ({ content }: Body): Sent['expected'] => {
    if (content === '' && operation.requestBody?.required !== true) return undefined; // no body, or a broken one
    const text = Buffer.from(content ?? '').toString('utf8'); // a broken character is replaced, which no schema minds
    if (text.includes('\ufffd')) return 'refused';
    return isJson(text) && validate(JSON.parse(text)) ? 'taken' : 'refused';
  };
  return fc.oneof(
    { weight: 6, arbitrary: right.map(asJson) },
    { weight: 6, arbitrary: right.chain(spoilt).map(asJson) },
    { weight: 1, arbitrary: wildBody(right).map((value) => ({ value, verdict: undefined })) },
    { weight: 1, arbitrary: brokenJson(right).map((value) => ({ value, verdict: verdictOnBroken(value) })) },
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Neither the type nor the content need be right; together they may be. */
const wildBody = (right: fc.Arbitrary<unknown>): fc.Arbitrary<Body> =>
  fc.record(
    {
      type: fc.constantFrom(
        ...[
          '',
          'text/plain',
          'application/xml',
          'application/json; charset=utf-16',
          'application/jsonx',
          'APPLICATION/JSON',
        ],
        ...[
          'application/json;charset=utf-8',
          'application/vnd.api+json',
          'multipart/form-data',
          'application/json, text/html',
        ],
        ...['application/x-www-form-urlencoded', 'json', '*/*', ';', 'application/json; profile="x', 'application/*'],
      ),
      content: fc.oneof(
        right.map((value) => JSON.stringify(value)),
        fc.uint8Array({ maxLength: 200 }),
        fc.string(),
      ),
    },
    { requiredKeys: [] },
  );

function brokenJson(right: fc.Arbitrary<unknown>): fc.Arbitrary<Body> {
  const whole = right.map((value) => JSON.stringify(value));
  const content = fc.oneof(
    whole.map((text) => text.slice(0, -1)),
    whole.map((text) => `${text}${text}`),
    whole.map((text) => text.replaceAll('"', "'")),
    whole.map((text) => new Uint8Array(Buffer.from(text.replace('"', '"\u00ff'), 'latin1'))),
    fc.constantFrom(
      '',
      '[',
      '{"a":}',
      'undefined',
      'NaN',
      '{"a":1e999}',
      '[]',
      'null',
      '"x"',
      '1',
      `${'['.repeat(20_000)}`,
    ),
    fc.constant(JSON.stringify({ reason: 'x'.repeat(70_000) })),
  );
  return content.map((text) => ({ content: text, type: JSON_TYPE }));
}

/** Any method, any path, any headers. */
function wild(document: OpenApi, known: Known): fc.Arbitrary<Sent> {
  const ids = known['id'] ?? fc.uuid();
  const somewhere = fc
    .tuple(
      fc.constantFrom(...Object.keys(document.paths), '/', '/docs', '/openapi.json', '/problems/{id}', '/metrics'),
      ids,
    )
    .map(([path, id]) => path.replace(/\{\w+\}/, String(id)));
  const tail = fc.constantFrom(
    '',
    '',
    '/',
    '?',
    '?limit=1&limit=2',
    '?limit[]=1',
    '?__proto__=1',
    '?a=%',
    '#x',
    ';v=1',
    '%',
    '%00',
    '%2e%2e',
    '/..',
    '//',
  );
  return fc.record(
    {
      method: fc.constantFrom(...METHODS.filter((method) => method !== 'CONNECT')),
      path: fc.oneof(
        fc.tuple(somewhere, tail).map((parts) => parts.join('')),
        fc.string({ unit: 'binary' }).map((text) => `/${encode(text)}`),
        fc.integer({ min: 150, max: 9_000 }).map((length) => `/orders/${'a'.repeat(length)}`),
      ),
      headers: fc.dictionary(
        fc.constantFrom(
          'accept',
          'prefer',
          'content-encoding',
          'x-correlation-id',
          'traceparent',
          'idempotency-key',
          'range',
          'if-none-match',
          'expect-ct',
          'x-http-method-override',
          'x-forwarded-for',
          'origin',
          'cookie',
        ),
        fc.oneof(
          junk.map((thing) => visible(textOf(thing))),
          fc.constantFrom('gzip', 'wait=0', 'identity', '*', '"x"', 'text/event-stream'),
        ),
        { maxKeys: 4 },
      ),
      body: fc.oneof(fc.string(), fc.uint8Array({ maxLength: 300 })),
    },
    { requiredKeys: ['method', 'path', 'headers'] },
  );
}

const encode = (text: string): string => encodeURIComponent(Buffer.from(text).toString());
const textOf = (thing: unknown): string => (typeof thing === 'string' ? thing : (JSON.stringify(thing) ?? ''));
/** What may stand in a header at all. */
const visible = (text: string): string => text.replace(/[^\x20-\x7e\x80-\xff]/g, '?').slice(0, 2_000);
