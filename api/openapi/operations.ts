/**
 * The part of an operation's documentation that follows from its place in the server rather than from its own schema: the
 * roles that may call it, and the problems that any request of its kind can meet. So a new route declares nothing but its own
 * schemas and problems.
 */
import { STATUS_CODES } from 'node:http';
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { describeProblems, problemCodesOf } from './problems.js';
import { permissionOf } from '../access/permissions.js';
import { answersPersonalData } from '../access/personal-routes.js';
import { PROBLEMS, type ProblemCode } from '../http/problems.js';
import { costOf } from '../load/costs.js';
import { isNeverShed } from '../load/shedding.js';

type Headers = Record<string, { type: string; description: string }>;
type Response = { description?: string; headers?: Headers; content?: object };
type Parameters = { properties?: Record<string, { default?: unknown }>; required?: string[] };
type Documented = Omit<FastifySchema, 'querystring' | 'headers' | 'response'> & {
  hide?: boolean;
  operationId?: string;
  security?: readonly { [scheme: string]: readonly string[] }[];
  'x-personal-data'?: boolean;
  querystring?: Parameters;
  headers?: Parameters;
  response?: Record<string, Response>;
};

export const describeOperation: NonNullable<FastifyDynamicSwaggerOptions['transform']> = (operation) => {
  const { url, route } = operation;
  const given = operation.schema as Documented | undefined;
  if (!given || given.hide) return { schema: operation.schema, url };
  const [method = 'GET'] = [route.method].flat();
  const allowed = permissionOf(method, url);
  const codes = [...problemCodesOf(given.response?.['4xx']), ...problemCodesOfItsKind(method, url, given)];
  const documented: Documented = {
    ...given,
    operationId: operationId(method, url),
    security: allowed === 'open' ? [] : [{ bearer: allowed }],
    'x-personal-data': answersPersonalData(method, url),
    response: { ...problemsByStatus(codes), ...successResponses(given) },
    ...(given.querystring && { querystring: withDefaultsOptional(given.querystring) }),
    ...(given.body !== undefined && { body: { content: json(given.body) } }),
  };
  return { schema: byName(documented, componentsOf(operation)) as FastifySchema, url };
};

const componentsOf = (operation: object) =>
  (operation as { openapiObject: { components: { schemas: Record<string, unknown> } } }).openapiObject.components
    .schemas;

/** @returns the same, with a reference for each schema that has an $id. @param components receives those schemas */
function byName(node: unknown, components: Record<string, unknown>): unknown {
  if (Array.isArray(node)) return node.map((entry) => byName(entry, components));
  if (node === null || typeof node !== 'object') return node;
  const { $id, ...rest } = node as { $id?: string };
  const copy = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, byName(value, components)]));
  if ($id === undefined) return copy;
  components[$id] = copy;
  return { $ref: `#/components/schemas/${$id}` };
}

/** POST /orders/:id/cancel → postOrdersIdCancel. For generators of clients, which name functions after it. */
function operationId(method: string, url: string): string {
  const words = url.split(/[^A-Za-z]+/).filter(Boolean);
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}

/** A parameter with a default always reaches the handler, but the client need not send it. */
const withDefaultsOptional = ({ required = [], ...schema }: Parameters): Parameters => ({
  ...schema,
  required: required.filter((name) => schema.properties?.[name]?.default === undefined),
});

const takesHeader = ({ headers }: Documented, header: string): boolean => headers?.properties?.[header] !== undefined;

/** The problems that any request of this kind can meet: see the server's hooks and its error handler. */
function problemCodesOfItsKind(method: string, url: string, schema: Documented): ProblemCode[] {
  const codes: ProblemCode[] = ['invalid-request', 'internal-error', 'unavailable'];
  if (permissionOf(method, url) !== 'open') codes.push('unauthenticated', 'forbidden');
  if (costOf(method, url) !== 0) codes.push('too-many-requests');
  if (!isNeverShed(url)) codes.push('overloaded');
  if (url.includes(':')) codes.push('not-found');
  if (schema.body !== undefined)
    codes.push('malformed-json', 'request-timeout', 'payload-too-large', 'unsupported-media-type');
  if (takesHeader(schema, 'idempotency-key'))
    codes.push('invalid-idempotency-key', 'idempotency-key-reused', 'idempotency-key-in-use');
  return codes;
}

function problemsByStatus(codes: ProblemCode[]): Record<string, Response> {
  const statuses = new Set(codes.map((code) => PROBLEMS[code][0]));
  return Object.fromEntries(
    [...statuses].map((status) => {
      const ofStatus = [...new Set(codes)].filter((code) => PROBLEMS[code][0] === status);
      return [`${status}`, { ...describeProblems(ofStatus), headers: headersOf(`${status}`) }];
    }),
  );
}

/** The route's own responses. Its problems, declared as a class (`4xx`), are documented by their statuses instead. */
function successResponses(schema: Documented): Record<string, Response> {
  const own = Object.entries(schema.response ?? {}).filter(([status]) => /^\d{3}$/.test(status));
  return Object.fromEntries(
    own.map(([status, answer]) => [
      status,
      {
        description: answer.description ?? STATUS_CODES[status] ?? '',
        headers: {
          ...headersOf(status),
          ...(takesHeader(schema, 'idempotency-key') && REPLAYED),
          ...(takesHeader(schema, 'prefer') && APPLIED),
        },
        content: answer.content ?? json(answer),
      },
    ]),
  );
}

const json = (schema: unknown) => ({ 'application/json': { schema } });
const header = (name: string, description: string): Headers => ({ [name]: { type: 'string', description } });

const REPLAYED = header('idempotent-replayed', '`true` on an answer that was given before');
const APPLIED = header('preference-applied', 'What of `Prefer` was taken into account');
const RETRY_AFTER = header('retry-after', 'Seconds after which to try again');
const BY_STATUS: Record<string, Headers> = {
  201: header('location', 'Where to read it'),
  401: header('www-authenticate', 'RFC 6750'),
  403: header('www-authenticate', 'RFC 6750; only if the token has no role that may do this'),
  429: RETRY_AFTER,
  503: RETRY_AFTER,
};
const headersOf = (status: string): Headers => ({
  ...header('x-correlation-id', 'The request’s, or made; in every log line and event too'),
  ...BY_STATUS[status],
});

type Schema = { $ref?: string; required?: string[] };
type Operation = { requestBody?: { required?: boolean; content: Record<string, { schema: Schema }> } };
export type OpenApiDocument = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};

/** A body without a required field need not be sent at all. */
export function withBodiesOptional(document: OpenApiDocument): OpenApiDocument {
  for (const { requestBody } of Object.values(document.paths).flatMap((operations) => Object.values(operations))) {
    const schema = requestBody?.content['application/json']?.schema;
    if (!requestBody || !schema) continue;
    const named = schema.$ref && document.components.schemas[schema.$ref.split('/').at(-1) ?? ''];
    if ((named || schema).required === undefined) requestBody.required = false;
  }
  return document;
}
