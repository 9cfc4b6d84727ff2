/**
 * Errors as clients see them: problem+json (RFC 9457), each `type` a path on this server at which it is explained. A
 * problem names the field and the remedy, and never what the server is made of.
 */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';

/** Every problem that this API can answer: its code → its status, title and what a client can do. */
export const PROBLEMS = {
  'invalid-request': [400, 'The request is not valid', 'See `errors`: each names a field by JSON pointer, or a parameter.'],
  'malformed-json': [400, 'The body is not JSON', 'Send one JSON object, encoded in UTF-8.'],
  'invalid-idempotency-key': [400, 'The Idempotency-Key is not valid', 'Send 1 to 255 visible ASCII characters, bare or in double quotes.'],
  unauthenticated: [401, 'Who are you?', 'Send a valid bearer token of the configured issuer.'],
  forbidden: [403, 'You may not do this', 'Ask for the role that `detail` names.'],
  'not-found': [404, 'There is no such thing', 'Check the path and the identifier.'],
  'method-not-allowed': [405, 'This method is not offered here', 'See /openapi.json.'],
  'order-exists': [409, 'The customer has an order with this externalOrderId', 'Read the order that `orderId` names.'],
  'price-changed': [409, 'The total is not what was expected', 'Show the new total and order again.'],
  'stock-committed': [409, 'More is reserved and sold than that', 'Set onHand to at least reserved + sold.'],
  'payload-too-large': [413, 'The body is too large', 'At most 64 KiB.'],
  'unsupported-media-type': [415, 'The body must be application/json', 'Send Content-Type: application/json.'],
  'unknown-sku': [422, 'A SKU is not in the catalogue', 'See `errors` for the lines; GET /inventory lists the catalogue.'],
  'mixed-currencies': [422, 'The lines are priced in different currencies', 'Order them separately.'],
  'total-too-large': [422, 'The total is too large', 'Order less at a time.'],
  'idempotency-key-reused': [422, 'The Idempotency-Key was used for another request', 'Use a fresh key for a new request.'],
  'internal-error': [500, 'Something went wrong on our side', 'Try again; tell us the correlation id if it persists.'],
  unavailable: [503, 'The service cannot answer just now', 'Try again after the time in Retry-After.'],
} as const satisfies Record<string, readonly [number, string, string]>;
export type ProblemCode = keyof typeof PROBLEMS;

export type FieldError = { pointer: string; detail: string };

export class Problem extends Error {
  override name = 'Problem';
  constructor(
    readonly code: ProblemCode,
    detail: string,
    readonly extras: { errors?: FieldError[]; orderId?: string } = {},
  ) {
    super(detail);
  }
}

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'Where this kind of problem is explained, relative to this server' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'The last segment of `type`' }),
    errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
    orderId: Type.Optional(Type.String()),
    correlationId: Type.String(),
  },
  { $id: 'Problem', description: 'RFC 9457 problem details' },
);

const RETRY_AFTER_S = '2';

export function send(reply: FastifyReply, problem: Problem): FastifyReply {
  const [status, title] = PROBLEMS[problem.code];
  if (status === 503) reply.header('retry-after', RETRY_AFTER_S);
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  return reply
    .code(status)
    .type('application/problem+json')
    .serializer((body: unknown) => JSON.stringify(body)) // the route's own schema does not know problems
    .send({
      type: `/problems/${problem.code}`,
      title,
      status,
      detail: problem.message,
      code: problem.code,
      ...problem.extras,
      correlationId: reply.request.id,
    });
}

/** Makes a problem of whatever a request ran into. */
export function handleProblems(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | Problem, request, reply) => {
    const problem = toProblem(error);
    if (PROBLEMS[problem.code][0] >= 500) request.log.error({ err: error }, 'request failed');
    return send(reply, problem);
  });
  app.setNotFoundHandler((request, reply) => send(reply, notFoundOrNotAllowed(app, request)));
  app.get('/problems/:code', { schema: { hide: true } }, (request, reply) => {
    const { code } = request.params as { code: string };
    const entry = PROBLEMS[code as ProblemCode] as readonly [number, string, string] | undefined;
    if (!entry) throw new Problem('not-found', `There is no problem "${code}".`);
    const [status, title, remedy] = entry;
    return reply.send({ type: `/problems/${code}`, code, status, title, remedy });
  });
}

function notFoundOrNotAllowed(app: FastifyInstance, request: FastifyRequest): Problem {
  const [path = ''] = request.url.split('?');
  const others = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'].filter((method) => method !== request.method);
  const offered = others.some((method) => app.findRoute({ method: method as 'GET', url: path }) !== null);
  return offered
    ? new Problem('method-not-allowed', `${request.method} is not offered at this path.`)
    : new Problem('not-found', `There is nothing at ${request.method} ${path.slice(0, 200)}.`);
}

function toProblem(error: FastifyError | Problem): Problem {
  if (error instanceof Problem) return error;
  if (error.validation) {
    const errors = error.validation.map((v) => fieldError(error.validationContext ?? 'body', v));
    return new Problem('invalid-request', errors.map((e) => `${e.pointer}: ${e.detail}`).join('; '), { errors });
  }
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem('unsupported-media-type', 'This route takes application/json.');
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem('payload-too-large', 'The body is larger than 64 KiB.');
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new Problem('malformed-json', 'The body is empty.');
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new Problem('malformed-json', 'The body cannot be parsed as JSON.');
    default:
  }
  if (isDatabaseAway(error)) return new Problem('unavailable', 'The database does not answer; nothing was changed that was not acknowledged.');
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new Problem('invalid-request', error.message);
  }
  return new Problem('internal-error', 'The error has been recorded under this correlation id.');
}

/** ajv's error → field and sentence. Unknown fields are reported at the object; a client looks for the field. */
function fieldError(context: string, v: NonNullable<FastifyError['validation']>[number]): FieldError {
  const field = (v.params['additionalProperty'] ?? v.params['missingProperty']) as string | undefined;
  const path = v.instancePath + (field === undefined ? '' : `/${field.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  const pointer = context === 'body' ? path : `${context}${path}`;
  if (v.keyword === 'additionalProperties') return { pointer, detail: 'is not a known field' };
  if (v.keyword === 'required') return { pointer, detail: 'is required' };
  return { pointer, detail: v.message ?? 'is not valid' };
}

/** Prisma's "can't reach / timed out / too many connections", and the driver's own when a connection breaks. */
const DATABASE_AWAY = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037', 'ECONNREFUSED', 'ECONNRESET']);
function isDatabaseAway(error: FastifyError): boolean {
  const text = `${error.message}`;
  return DATABASE_AWAY.has(error.code) || /timeout exceeded when trying to connect|Connection terminated|ECONNREFUSED|the database system is|terminating connection|DatabaseNotReachable|ConnectionClosed/.test(text);
}
