/**
 * Erasures over HTTP: operators ask for one, and follow it. Nobody is found by the customer's id afterwards, and no answer, audit entry or
 * list says whom an erasure was about.
 */
import { type Static, Type } from 'typebox';
import { v7 as uuidv7 } from 'uuid';
import { ERASED_PARTS, ERASURE_STATES, HELD_ORDERS_MAX, HOLDS, STALLS } from '../../contracts/erasures.js';
import { identityKeyOf, lookupOf } from '../../domain/customers.js';
import {
  type Erasure,
  listErasures,
  ReferencesIncomplete,
  readErasure,
  requestOfErasure,
} from '../../domain/erasure/erasures.js';
import { viewOf } from '../../domain/erasure/view.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader } from '../http/headers.js';
import { answerOnce } from '../http/idempotency.js';
import { Cursor, decodeCursor, encodeCursor, Limit, Next, sendPage } from '../http/pages.js';
import { operatorOf } from '../access/permissions.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { OperatorId, oneOf, Reason, UUID } from '../http/schemas.js';
import { problemResponses } from '../openapi/problems.js';

const nullable = (schema: ReturnType<typeof Type.String>) => Type.Union([schema, Type.Null()]);
const moment = (description: string) => Type.String({ format: 'date-time', description });
const State = oneOf(ERASURE_STATES, 'waiting for what is in hand of the customer’s orders; erasing; done');
const Erased = Type.Object(
  Object.fromEntries(ERASED_PARTS.map((part) => [part, Type.Optional(Type.Integer({ minimum: 0 }))])),
  { description: 'How many of what; of orders and events their personal parts' },
);
const Kept = Type.Array(Type.Object({ where: Type.String(), what: Type.String(), why: Type.String() }), {
  description: 'What stays, and why',
});
const CertificateSchema = Type.Object(
  {
    type: Type.String(),
    installation: Type.String(),
    erasure: Type.String(),
    customerReference: nullable(Type.String()),
    requestedBy: Type.String(),
    requestedAt: moment('When it was asked for'),
    erasedAt: moment('When it was done'),
    erased: Erased,
    kept: Kept,
    signature: Type.Object({
      algorithm: oneOf(['Ed25519', 'HMAC-SHA256'], 'Over all else: `ops erasures verify` checks it'),
      keyId: Type.String(),
      value: Type.String(),
    }),
  },
  { description: 'It says what was erased, where, when and on whose request, and not whose it was' },
);
const ErasureSchema = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    state: State,
    requestedAt: moment('When it was asked for'),
    requestedBy: Type.String(),
    reason: Type.String(),
    dueAt: moment('By when it must be done (`ERASURE_DEADLINE`)'),
    finishedAt: nullable(moment('When it was done; null before')),
    found: Type.Boolean({ description: 'false: nobody was known by that id, or nobody is any more' }),
    customerReference: nullable(
      Type.String({ format: 'uuid', description: '`subject` of `customer.erased`; null if nobody was found' }),
    ),
    waitingFor: Type.Array(
      Type.Object({
        orderId: Type.String({ format: 'uuid' }),
        why: oneOf(HOLDS, 'What is in hand of it'),
        operationId: Type.Optional(
          Type.String({ format: 'uuid', description: 'Of `operation-open`: GET /admin/operations/{id}' }),
        ),
      }),
      { maxItems: HELD_ORDERS_MAX, description: 'Orders that hold it, at the last look; the first of them' },
    ),
    waitingForCount: Type.Integer({ description: 'How many there are' }),
    stalledBy: Type.Union([oneOf(STALLS, 'What was away at the last look'), Type.Null()], {
      description: 'It goes on by itself when that is back',
    }),
    report: Type.Union([Type.Object({ erased: Erased, kept: Kept }), Type.Null()]),
    certificate: Type.Union([CertificateSchema, Type.Null()], { description: 'Once it is done' }),
  },
  { $id: 'Erasure' },
);
const ErasureRequest = Type.Object(
  { operator: Type.Optional(OperatorId), reason: Reason },
  {
    $id: 'ErasureRequest',
    additionalProperties: false,
    examples: [{ operator: 'op-7', reason: 'the customer’s request, ticket 4711' }],
  },
);

export function erasureRoutes(app: Api, deps: ApiDependencies): void {
  requestRoute(app, deps);
  listRoute(app, deps);
  readRoute(app, deps);
}

const show = ({ db, erasing }: ApiDependencies, erasure: Erasure) =>
  viewOf(db, erasing.keys, erasure, erasing.deadlineMs);

/** As long as an id may be that an order was placed with, whatever is in it: what was stored can be erased. */
const CustomerParams = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 128, description: 'The customer’s id, as orders were placed with it' }),
});

function requestRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/customers/:id/erase',
    {
      schema: {
        summary: 'Erase a customer',
        description:
          'What is personal of the customer’s orders is erased, the keys that protect it are destroyed, and `customer.erased` is told. ' +
          '202 while orders, refunds or events of theirs are in hand, which the erasure names and waits for; follow it at `Location`. ' +
          'Repeating it is harmless, and answers the same erasure. Where nobody is known by the id, or nobody any more, it is ' +
          '200 with an erasure that has found nothing. Who orders again afterwards is somebody new.',
        tags: ['erasures'],
        params: CustomerParams,
        headers: Type.Object(IdempotencyKeyHeader),
        body: ErasureRequest,
        response: { 200: ErasureSchema, 202: ErasureSchema, '4xx': problemResponses('references-incomplete') },
      },
    },
    async (request, reply) => {
      const { operator, reason } = request.body as Static<typeof ErasureRequest>;
      const requestedBy = operatorOf(request.caller, operator);
      return answerOnce(deps, request, reply, async () => {
        const lookup = lookupOf(await identityKeyOf(deps.db), request.params.id);
        const erasure = await requestErasure(deps, request, { id: uuidv7(), lookup, requestedBy, reason });
        reply.header('location', `/admin/erasures/${erasure.id}`);
        return { status: erasure.state === 'done' ? 200 : 202, body: await show(deps, erasure) };
      });
    },
  );
}

async function requestErasure(
  { auditor }: ApiDependencies,
  request: Parameters<ApiDependencies['auditor']['act']>[0],
  asked: Parameters<typeof requestOfErasure>[0],
): Promise<Erasure> {
  try {
    return (await auditor.act(request, requestOfErasure(asked))).erasure;
  } catch (err) {
    if (!(err instanceof ReferencesIncomplete)) throw err;
    throw new Problem('references-incomplete', 'Not all orders have the reference of their customer yet.');
  }
}

const PLACE = new RegExp(`^(\\d{13}) (${UUID.source.slice(1, -1)})$`);

function listRoute(app: Api, deps: ApiDependencies): void {
  const { db, pageBytesMax } = deps;
  app.get(
    '/admin/erasures',
    {
      schema: {
        summary: 'Erasures, newest first',
        tags: ['erasures'],
        querystring: Type.Object(
          { state: Type.Optional(State), limit: Limit, cursor: Type.Optional(Cursor) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ erasures: Type.Array(ErasureSchema), next: Next }), '4xx': ProblemSchema },
      },
    },
    async ({ query: { state, limit, cursor } }, reply) => {
      const [, at, id = ''] = (cursor !== undefined && PLACE.exec(decodeCursor(cursor, PLACE))) || [];
      const asked = at === undefined ? undefined : { requestedAt: new Date(Number(at)), id };
      return sendPage<Awaited<ReturnType<typeof show>>>(reply, {
        name: 'erasures',
        schema: ErasureSchema,
        limit,
        bytesMax: pageBytesMax,
        read: async (last, rows) => {
          const before = last ? { requestedAt: new Date(last.requestedAt), id: last.id } : asked;
          const erasures = await listErasures(db, { state, before }, rows);
          return Promise.all(erasures.map((erasure) => show(deps, erasure)));
        },
        next: ({ last, more }) =>
          more && last ? encodeCursor(`${new Date(last.requestedAt).getTime()} ${last.id}`) : null,
      });
    },
  );
}

function readRoute(app: Api, deps: ApiDependencies): void {
  app.get(
    '/admin/erasures/:id',
    {
      schema: {
        summary: 'An erasure: what holds it, or what it has erased, with the certificate',
        tags: ['erasures'],
        params: Type.Object({ id: Type.String({ description: 'Id of the erasure' }) }),
        response: { 200: ErasureSchema, '4xx': ProblemSchema },
      },
    },
    async ({ params: { id } }) => {
      const erasure = UUID.test(id) ? await readErasure(deps.db, id) : null;
      if (!erasure) throw new Problem('not-found', `There is no erasure ${id.slice(0, 64)}.`);
      return show(deps, erasure);
    },
  );
}
