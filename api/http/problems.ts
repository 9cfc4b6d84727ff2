/**
 * Errors as clients see them: problem+json (RFC 9457), each `type` a path on this server at which it is explained. A
 * problem names the field and the remedy, and never what the server is made of.
 */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Money } from '../../contracts/orders.js';
import { SAGA_STATES, type SagaStanding } from '../../contracts/saga.js';
import { TEXT, TEXT_RULE } from '../../contracts/texts.js';
import { isNotNow } from '../../domain/database.js';
import { KeyUnavailable } from '../../domain/sealing/errors.js';
import { addressKey } from '../../runtime/listeners/client-address.js';
import type { Pace } from '../load/refusals.js';
import { requestsRefused } from '../metrics.js';
import { MoneySchema, oneOf } from './schemas.js';
import { setStandardHeaders } from './security-headers.js';

/** Every problem that this API can answer: its code → its status, title and what a client can do. */
export const PROBLEMS = {
  'invalid-request': [
    400,
    'The request is not valid',
    'See `errors`: each names a field by JSON pointer, or a parameter.',
  ],
  'malformed-request': [
    400,
    'This is not an HTTP request that can be understood',
    'Check the path’s encoding, the headers and the framing.',
  ],
  'malformed-json': [400, 'The body is not JSON', 'Send one JSON object, encoded in UTF-8.'],
  'invalid-idempotency-key': [
    400,
    'The Idempotency-Key is not valid',
    'Send 1 to 255 visible ASCII characters, bare or in double quotes.',
  ],
  'invalid-signature': [
    400,
    'The webhook’s signature is not valid',
    'Check the endpoint’s secret and your clock; an event is good for 5 minutes.',
  ],
  unauthenticated: [401, 'Who are you?', 'Send a valid bearer token of the configured issuer.'],
  forbidden: [403, 'You may not do this', 'Ask for the role that `detail` names.'],
  'cross-site': [
    403,
    'A page of another site asks, and nobody is authenticated',
    'Name the page’s origin in CORS_ORIGINS, or configure authentication.',
  ],
  'proxied-request': [
    403,
    'The request was forwarded, and nobody is authenticated',
    'Ask without a proxy, or configure authentication and TRUST_PROXY.',
  ],
  'not-found': [404, 'There is no such thing', 'Check the path and the identifier.'],
  'method-not-allowed': [405, 'This method is not offered here', 'See /openapi.json.'],
  'request-timeout': [408, 'The request did not arrive in time', 'Send it again, at once and whole.'],
  'order-cancelled': [409, 'The order is cancelled otherwise', 'Read the order for the reason.'],
  'not-possible-now': [
    409,
    'The saga is not in a state in which this makes sense',
    'Read the saga: GET /orders/{id}/saga.',
  ],
  'saga-moved': [
    409,
    'The saga is not any more where you have seen it',
    'Nothing was decided. `saga` says where it is: decide anew, with that as `expectedStep`, or `expectedFailure` of one that has ended.',
  ],
  'operation-not-possible': [
    409,
    'The operation is not in a state in which this makes sense',
    'Read it, or make its preview again.',
  ],
  'count-differs': [
    409,
    'It is about another number than you expect',
    'Look at the preview again, and at its `counts.open`.',
  ],
  'already-decided': [409, 'The dead letter is decided otherwise', 'Read it: GET /admin/dead-letters?state=….'],
  'order-exists': [
    409,
    'The customer has an order with this externalOrderId',
    'Read the order that `orderId` names. Once that is CANCELLED, the number may be ordered again.',
  ],
  'order-erased': [
    409,
    'The customer had an order with this externalOrderId before they were erased',
    'Nothing was ordered. Use a number that was not used before.',
  ],
  'references-incomplete': [
    409,
    'Not all orders have the reference of their customer yet',
    'Have them replaced first: `ops pseudonyms`. Then ask again.',
  ],
  'idempotency-key-in-use': [
    409,
    'A request with this Idempotency-Key is under way',
    'Send it again after the time in Retry-After.',
  ],
  'price-changed': [409, 'The total is not what was expected', 'Show the new total and order again.'],
  'stock-committed': [409, 'More is reserved and sold than that', 'Set onHand to at least reserved + sold.'],
  'events-gone': [
    410,
    'Events after this place have left',
    'What they said is to be had from the orders themselves. Go on with `oldest`, once whoever runs the reader knows of the gap.',
  ],
  erased: [
    410,
    'What this Idempotency-Key stands for was erased',
    'Nothing was ordered. If this is no repetition of a request, use a fresh key.',
  ],
  'not-available': [
    409,
    'Fewer pieces are available than that',
    'Cancel orders first, or remove fewer: what is reserved or sold stays so.',
  ],
  'too-many-pieces': [409, 'More pieces than can be kept', 'Add fewer.'],
  'finding-not-reported': [
    409,
    'The finding is in hand, or settled',
    'Read it: GET /admin/findings?state=all. What is in hand, the reconciler goes on with by itself.',
  ],
  'amount-differs': [
    409,
    'The finding is about another amount than you expect',
    'Nothing was done. `finding` says what it is about: look at it again, and decide anew, with that as `expectedAmount`.',
  ],
  'precondition-failed': [
    412,
    'It is not what If-Match or If-None-Match asks for',
    'Read it again, and decide anew what is to be changed.',
  ],
  'payload-too-large': [413, 'The body is too large', 'At most 64 KiB.'],
  'unsupported-media-type': [
    415,
    'The body must be application/json',
    'Send Content-Type: application/json, and no Content-Encoding.',
  ],
  'expectation-failed': [417, 'The expectation cannot be met', 'Send Expect: 100-continue, or none.'],
  'misdirected-request': [
    421,
    'This is not the host that is asked',
    'Ask it as localhost or 127.0.0.1, name its host in ALLOWED_HOSTS, or configure authentication.',
  ],
  'headers-too-large': [431, 'The headers are too large', 'Send at most 100 headers, of less than 16 KiB together.'],
  'unknown-sku': [
    422,
    'A SKU is not in the catalogue',
    'See `errors` for the lines; GET /inventory lists the catalogue.',
  ],
  'mixed-currencies': [422, 'The lines are priced in different currencies', 'Order them separately.'],
  'unsupported-currency': [
    422,
    'The payment provider does not take this currency',
    'Price it in a currency of https://docs.stripe.com/currencies.',
  ],
  'unsupported-unit-price': [
    422,
    'The payment provider cannot charge such a price',
    'Currencies with three decimals are charged in tens: let the last digit be 0.',
  ],
  'amount-too-small': [
    422,
    'The total is less than the payment provider charges',
    'Order more; a total of 0 is not charged at all.',
  ],
  'amount-too-large': [422, 'The total is more than the payment provider charges', 'Order less at a time.'],
  'nothing-selected': [422, 'The request does not say which', 'Name a selection, or `all: true`.'],
  'too-many-items': [422, 'More match than an operation takes', 'Narrow the selection, or say `atMost`.'],
  'unknown-items': [422, 'Something of the selection does not exist', 'Select what does: nothing was done.'],
  'total-too-large': [422, 'The total is too large', 'Order less at a time.'],
  'not-of-this-brake': [
    422,
    'The brake needs another field, or has no such field',
    '`spending` has limits and needs them; `accepting` has a message and retryAfterSeconds.',
  ],
  'not-of-this-finding': [
    422,
    'A finding of this kind is not settled so',
    'See `closableAs` and `refundable` of the finding.',
  ],
  'idempotency-key-reused': [
    422,
    'The Idempotency-Key was used for another request',
    'Use a fresh key for a new request.',
  ],
  'too-many-requests': [429, 'You ask more often than you may', 'Send it again after the time in Retry-After.'],
  'internal-error': [500, 'Something went wrong on our side', 'Try again; tell us the correlation id if it persists.'],
  'not-accepting': [
    503,
    'No orders are accepted just now',
    'Send it again after the time in Retry-After; all else of the service goes on.',
  ],
  overloaded: [503, 'More is asked than can be answered', 'Send it again after the time in Retry-After.'],
  'key-unavailable': [
    503,
    'A text of the customer cannot be read just now',
    'Its key cannot be had. Try again after the time in Retry-After; whatever needs no such text goes on.',
  ],
  unavailable: [503, 'The service cannot answer just now', 'Try again after the time in Retry-After.'],
} as const satisfies Record<string, readonly [number, string, string]>;
export type ProblemCode = keyof typeof PROBLEMS;

/** How many of a request's wrong fields are reported: a client with more of them sends something else altogether. */
export const ERRORS_MAX = 20;

export type FieldError = { pointer: string; detail: string };

/** Fields of single problems. */
export type Extras = {
  errors?: FieldError[];
  orderId?: string;
  total?: Money;
  minimum?: Money;
  maximum?: Money;
  oldest?: string;
  gap?: { after: string; until?: string };
  saga?: SagaStanding;
  finding?: { amount: number; currency: string | null };
};

/** What goes with a problem besides its body. */
export type ProblemOptions = {
  /** After how long to try again. */
  retryAfterS?: number;
  /** WWW-Authenticate; undefined = `Bearer` of a 401, else none. */
  challenge?: string;
  /** Answered as not found, because the caller may not see it. */
  conceals?: boolean;
  /** Why, where a code has several reasons: a label of the metric, so one of a few words. */
  reason?: string;
  /** Who is slowed down if it goes on asking; undefined = the caller, or the address of a request without one. */
  pacedBy?: string;
  /** The caller has paid for being refused: it is answered at once, however often. */
  isPaid?: boolean;
};

export class Problem extends Error {
  override name = 'Problem';
  constructor(
    readonly code: ProblemCode,
    detail: string,
    readonly extras: Extras = {},
    readonly options: ProblemOptions = {},
  ) {
    super(detail);
  }
}

const amount = (description: string) => Type.Object(MoneySchema.properties, { description });

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'Where this kind of problem is explained, relative to this server' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'The last segment of `type`' }),
    errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
    orderId: Type.Optional(Type.String()),
    total: Type.Optional(amount('What the order would cost')),
    minimum: Type.Optional(
      amount('The least that can be charged in this currency; a total of 0 is not charged at all'),
    ),
    maximum: Type.Optional(amount('The most that can be charged in this currency')),
    oldest: Type.Optional(Type.String({ description: 'Cursor that goes on with the oldest event that is kept' })),
    gap: Type.Optional(
      Type.Object(
        {
          after: Type.String({ description: 'Cursor of the last event before the gap' }),
          until: Type.Optional(
            Type.String({ format: 'date-time', description: 'When the newest event that has left came about' }),
          ),
        },
        { description: 'What has left' },
      ),
    ),
    saga: Type.Optional(
      Type.Object(
        {
          state: oneOf(SAGA_STATES, 'Of GET /orders/{id}/saga'),
          step: Type.Union([Type.String(), Type.Null()], { description: 'The step or undo that it is at' }),
          failure: Type.Union([Type.String(), Type.Null()], { description: 'What it is listed as stuck for' }),
        },
        { description: 'Where the saga is' },
      ),
    ),
    finding: Type.Optional(
      Type.Object(
        { amount: Type.Integer(), currency: Type.Union([Type.String(), Type.Null()]) },
        { description: 'What the finding is about now, in the minor unit' },
      ),
    ),
    correlationId: Type.String(),
  },
  { $id: 'Problem', description: 'RFC 9457 problem details' },
);

const RETRY_AFTER_S = 2;

/** https://www.rfc-editor.org/rfc/rfc6750#section-3 */
const CHALLENGES: Partial<Record<ProblemCode, string>> = {
  unauthenticated: 'Bearer',
  forbidden: 'Bearer error="insufficient_scope"',
};

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const [status] = PROBLEMS[problem.code];
  const retryAfterS = problem.options.retryAfterS ?? (status === 503 ? RETRY_AFTER_S : undefined);
  if (retryAfterS !== undefined) reply.header('retry-after', String(retryAfterS));
  requestsRefused.inc({ status, reason: problem.options.reason ?? problem.code });
  const challenge = problem.options.challenge ?? CHALLENGES[problem.code];
  if (challenge !== undefined) reply.header('www-authenticate', challenge);
  return reply
    .code(status)
    .type('application/problem+json')
    .serializer((body: unknown) => JSON.stringify(body)) // the route's own schema has no problems in it
    .send(toBody(problem, reply.request.id));
}

export function toBody({ code, message, extras }: Problem, correlationId: string) {
  const [status, title] = PROBLEMS[code];
  return { type: `/problems/${code}`, title, status, detail: message, code, ...extras, correlationId };
}

/** For paths that the router cannot parse; no hook has run for them. */
export function answerUnroutable(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  setStandardHeaders(reply);
  const tooLong = error.code === 'FST_ERR_MAX_PARAM_LENGTH';
  sendProblem(
    reply,
    tooLong
      ? new Problem('not-found', 'There is nothing at this path.')
      : new Problem('malformed-request', 'The path is not a valid URL.'),
  );
}

/**
 * Answers every error of a request, and every path without a route, with a problem.
 * @param pace of the refusals that a client may ask for again and again; undefined = they are all sent at once
 */
export function handleProblems(app: FastifyInstance, pace?: Pace): void {
  app.setErrorHandler((error: FastifyError | Problem, request, reply) => {
    const problem = toProblem(error);
    if (problem.options.conceals) request.isConcealed = true;
    if (PROBLEMS[problem.code][0] >= 500) request.log.error({ err: error }, 'request failed');
    const held = pace && isPaced(problem, request) ? pace(problem.options.pacedBy ?? senderOf(request)) : undefined;
    if (!held) return sendProblem(reply, problem);
    request.releaseSlot?.(); // it only waits
    return void held.then(() => sendProblem(reply, problem));
  });
  app.setNotFoundHandler((request, reply) => sendProblem(reply, notFoundProblem(app, request, reply)));
  app.get('/problems/:code', { schema: { hide: true } }, (request, reply) => {
    const { code } = request.params as { code: string };
    const entry = Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code as ProblemCode] : undefined;
    if (!entry) throw new Problem('not-found', `There is no problem "${code}".`);
    const [status, title, remedy] = entry;
    return reply.send({ type: `/problems/${code}`, code, status, title, remedy });
  });
}

/** What is refused before any work was done for it, and costs its sender nothing: of callers, and of strangers. */
const isPaced = ({ code, options }: Problem, { caller }: FastifyRequest): boolean =>
  !options.isPaid && (code === 'too-many-requests' || code === 'forbidden' || (!caller && PROBLEMS[code][0] < 500));

const senderOf = ({ caller, ip }: FastifyRequest): string => (caller ? `caller ${caller.subject}` : addressKey(ip));

export function notFoundProblem(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply): Problem {
  const [path = ''] = request.url.split('?');
  const offered: string[] = OFFERED.filter((method) => app.findRoute({ method, url: path }) !== null);
  // The method is offered and the path is not there: a file of /docs.
  if (offered.length === 0 || offered.includes(request.method))
    return new Problem('not-found', `There is nothing at ${request.method} ${path.slice(0, 200)}.`);
  reply.header('allow', offered.join(', '));
  return new Problem('method-not-allowed', `${request.method} is not offered at this path.`);
}

const OFFERED = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH'] as const;

function toProblem(error: FastifyError | Problem): Problem {
  if (error instanceof Problem) return error;
  if (error.validation) {
    const errors = error.validation.slice(0, ERRORS_MAX).map((v) => fieldError(error.validationContext ?? 'body', v));
    const sentences = errors.map((e) => `${e.pointer || 'the body'}: ${e.detail}`);
    if (error.validation.length > ERRORS_MAX) sentences.push('and more');
    return new Problem('invalid-request', sentences.join('; '), { errors });
  }
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem('unsupported-media-type', 'This route takes application/json.');
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem('payload-too-large', 'The body is larger than 64 KiB.');
    default:
  }
  // First: a client that disconnects amid its body is an ECONNRESET too.
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new Problem('invalid-request', SENTENCES[error.code] ?? 'The request is not valid.');
  }
  if ((error as Error) instanceof KeyUnavailable)
    return new Problem('key-unavailable', 'The key of a text in this answer cannot be had just now; nothing is lost.');
  if (isNotNow(error))
    return new Problem(
      'unavailable',
      'The database cannot do this just now; nothing was changed that was not acknowledged.',
    );
  return new Problem('internal-error', 'The error has been recorded under this correlation id.');
}

/** The framework's own messages may quote what was sent. */
const SENTENCES: Record<string, string> = {
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'The body is not as long as Content-Length says.',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty.',
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body cannot be parsed as JSON.',
  ECONNRESET: 'The request has ended before its body.',
};

/** Of a field that a client has named: no answer is many times its request. */
const NAME_LENGTH_MAX = 100;

/** ajv's error → field and sentence. Unknown fields are reported at the object; a client looks for the field. */
function fieldError(context: string, v: NonNullable<FastifyError['validation']>[number]): FieldError {
  const name = (v.params['additionalProperty'] ?? v.params['missingProperty']) as string | undefined;
  const field = name !== undefined && name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name;
  const path = v.instancePath + (field === undefined ? '' : `/${field.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  const pointer = context === 'body' ? path : `${context}${path}`;
  if (v.keyword === 'additionalProperties') return { pointer, detail: 'is not a known field' };
  if (v.keyword === 'required') return { pointer, detail: 'is required' };
  if (v.keyword === 'enum')
    return { pointer, detail: `must be one of ${(v.params['allowedValues'] as string[]).join(', ')}` };
  if (v.keyword === 'pattern' && v.params['pattern'] === TEXT.source)
    return { pointer, detail: `must be a text ${TEXT_RULE}` };
  return { pointer, detail: v.message ?? 'is not valid' };
}
