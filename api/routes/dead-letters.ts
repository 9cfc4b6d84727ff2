/** Dead letters over HTTP: operators list the events that a destination does not take, replay or discard them. */
import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { DEAD_LETTER_CAUSES, DEAD_LETTER_STATES, type DeadLetter } from '../../contracts/dead-letters.js';
import { decisionOnDeadLetter } from '../../domain/audit/changes.js';
import {
  countDeadLetters,
  type DeadLetterFilter,
  listDeadLetters,
  readDeadLetters,
} from '../../domain/dead-letters.js';
import { operatorOf } from '../access/permissions.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader } from '../http/headers.js';
import { answerOnce } from '../http/idempotency.js';
import { Cursor, decodeCursor, Limit, Next, nextBy, sendPage } from '../http/pages.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { OperatorId, oneOf, Reason } from '../http/schemas.js';
import { problemResponses } from '../openapi/problems.js';
import { withoutErrors } from './kept-texts.js';

/** A replay takes the relay a round, that is some 200 ms, unless the destination is slow or down. */
const OUTCOME_LIMIT_MS = 5_000;
/** Below the 60 s after which common load balancers give an answer up. */
const BULK_LIMIT_MS = 45_000;

const nullable = Type.Union([Type.String(), Type.Null()]);
const State = oneOf(DEAD_LETTER_STATES, 'PARKED waits for a decision; REPLAYING is being sent');
const Cause = oneOf(DEAD_LETTER_CAUSES, 'Why it is not taken');
const Destination = Type.String({ pattern: '^[a-z0-9-]{1,64}$', description: 'webhook, kafka, nats, rabbitmq' });
const EventTypeName = Type.String({ pattern: '^[a-z.]{1,64}$', description: 'Type of the event' });
const DEAD_LETTER_ID = /^[1-9][0-9]{0,17}$/;
const DeadLetterId = Type.String({ pattern: DEAD_LETTER_ID.source, description: 'Id of the dead letter' });
const DeadLetterSchema = Type.Object(
  {
    id: Type.String(),
    destination: Type.String(),
    orderId: Type.String({ format: 'uuid' }),
    sequence: Type.Integer({ description: 'Of the event that is not taken' }),
    type: Type.String(),
    cause: Cause,
    error: Type.String({ description: 'What was said last' }),
    sku: Type.Union([Type.String(), Type.Null()], { description: 'Of the line at which that points' }),
    attempts: Type.Integer(),
    state: State,
    behind: Type.Integer({ description: 'Later events of the order that wait behind it' }),
    parkedAt: Type.String({ format: 'date-time' }),
    updatedAt: Type.String({ format: 'date-time' }),
    decidedBy: nullable,
    reason: nullable,
  },
  { $id: 'DeadLetter' },
);
const GroupSchema = Type.Object({
  destination: Type.String(),
  cause: Cause,
  state: State,
  count: Type.Integer(),
  oldest: Type.String({ format: 'date-time' }),
});

const Filter = {
  destination: Type.Optional(Destination),
  cause: Type.Optional(Cause),
  type: Type.Optional(EventTypeName),
};
const Replay = Type.Object(
  { operator: Type.Optional(OperatorId), reason: Type.Optional(Reason) },
  {
    $id: 'DeadLetterReplay',
    additionalProperties: false,
    examples: [{ operator: 'op-7', reason: 'the receiver is mended' }],
  },
);
const Discard = Type.Object(
  { operator: Type.Optional(OperatorId), reason: Reason },
  {
    $id: 'DeadLetterDiscard',
    additionalProperties: false,
    examples: [{ operator: 'op-7', reason: 'they have it from a file, ticket 12' }],
  },
);
const BulkReplay = Type.Object(
  {
    ...Filter,
    ids: Type.Optional(Type.Array(DeadLetterId, { minItems: 1, maxItems: 1_000, description: 'Only these' })),
    all: Type.Optional(Type.Boolean({ description: 'true = every parked letter; only asked for without a selection' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: 'So many at most; default 100' })),
    ratePerSecond: Type.Optional(Type.Number({ minimum: 1, maximum: 50, description: 'Never faster; default 10' })),
    operator: Type.Optional(OperatorId),
    reason: Type.Optional(Reason),
  },
  {
    $id: 'DeadLettersReplay',
    additionalProperties: false,
    examples: [{ destination: 'webhook', cause: 'rejected', ratePerSecond: 10 }],
  },
);
const OUTCOMES = ['delivered', 'parked-again', 'under-way', 'not-tried'] as const;
const ResultSchema = Type.Object({
  id: Type.String(),
  destination: Type.String(),
  orderId: Type.String(),
  outcome: oneOf(OUTCOMES, 'under-way = its destination has not answered yet; not-tried = there was no time left'),
  state: State,
  error: nullable,
});

/** A decision that needs no reason needs no body either. */
const withoutBody = async (request: FastifyRequest): Promise<void> => {
  if (request.body === undefined) request.body = {}; // null has been sent, and is wrong
};

export function deadLetterRoutes(app: Api, deps: ApiDependencies): void {
  listRoute(app, deps);
  replayRoute(app, deps);
  discardRoute(app, deps);
  bulkReplayRoute(app, deps);
}

function listRoute(app: Api, { db, pageBytesMax }: ApiDependencies): void {
  app.get(
    '/admin/dead-letters',
    {
      schema: {
        summary: 'Events that a destination would not take, oldest first; `groups` counts all that match',
        tags: ['dead letters'],
        querystring: Type.Object(
          {
            ...Filter,
            orderId: Type.Optional(Type.String({ format: 'uuid', description: 'Of this order' })),
            state: Type.Optional(oneOf(DEAD_LETTER_STATES, 'Default: PARKED and REPLAYING')),
            limit: Limit,
            cursor: Type.Optional(Cursor),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({ deadLetters: Type.Array(DeadLetterSchema), groups: Type.Array(GroupSchema), next: Next }),
          '4xx': ProblemSchema,
        },
      },
    },
    async ({ query: { limit, cursor, ...filter } }, reply) => {
      const after = cursor === undefined ? undefined : decodeCursor(cursor, DEAD_LETTER_ID);
      return sendPage<DeadLetter>(reply, {
        name: 'deadLetters',
        schema: DeadLetterSchema,
        limit,
        bytesMax: pageBytesMax,
        read: async (last, rows) => listDeadLetters(db, filter as DeadLetterFilter, rows, last?.id ?? after),
        next: nextBy((deadLetter) => deadLetter.id),
        also: { groups: await countDeadLetters(db, filter as DeadLetterFilter) },
      });
    },
  );
}

/** Any text: what is no id at all names no dead letter and is answered 404, as with orders. */
const params = Type.Object({ id: Type.String({ description: 'Id of the dead letter' }) });

function replayRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/dead-letters/:id/replay',
    {
      preValidation: withoutBody,
      schema: {
        summary: 'Send an event again, and then those that wait behind it',
        description: '200 with the letter as it then is; 202 if that is still under way. Repeating it is harmless.',
        tags: ['dead letters'],
        params,
        headers: Type.Object(IdempotencyKeyHeader),
        body: Replay,
        response: { 200: DeadLetterSchema, 202: DeadLetterSchema, '4xx': problemResponses('already-decided') },
      },
    },
    async (request, reply) => {
      const { operator, reason } = request.body as Static<typeof Replay>;
      const { id } = request.params;
      const before = await requireDeadLetter(deps, id);
      const by = operatorOf(request.caller, operator);
      const act = async () => {
        const decision = { action: 'replay', operator: by, ...(reason !== undefined && { reason }) } as const;
        await deps.auditor.act(request, decisionOnDeadLetter(id, decision));
        const [deadLetter = before] = await awaitReplays(deps, [id]);
        if (deadLetter.state === 'DISCARDED')
          throw new Problem('already-decided', `Dead letter ${id} has been discarded.`);
        return { status: deadLetter.state === 'REPLAYING' ? 202 : 200, body: deadLetter };
      };
      return answerOnce(deps, request, reply, act, { orderId: before.orderId });
    },
  );
}

function discardRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/dead-letters/:id/discard',
    {
      schema: {
        summary: 'Never send this one event; those behind it follow',
        description:
          'Also while it is being replayed: the replay is given up, unless the event has been sent by then, which ends ' +
          'the letter as DELIVERED.',
        tags: ['dead letters'],
        params,
        headers: Type.Object(IdempotencyKeyHeader),
        body: Discard,
        response: { 200: DeadLetterSchema, '4xx': problemResponses('already-decided') },
      },
    },
    async (request, reply) => {
      const { operator, reason } = request.body as Static<typeof Discard>;
      const { id } = request.params;
      const { orderId } = await requireDeadLetter(deps, id);
      const by = operatorOf(request.caller, operator);
      const act = async () => {
        await deps.auditor.act(request, decisionOnDeadLetter(id, { action: 'discard', operator: by, reason }));
        const deadLetter = await requireDeadLetter(deps, id);
        if (deadLetter.state === 'DISCARDED') return { status: 200, body: deadLetter };
        throw new Problem('already-decided', `Dead letter ${id} has been delivered.`);
      };
      return answerOnce(deps, request, reply, act, { orderId });
    },
  );
}

async function requireDeadLetter({ db }: ApiDependencies, id: string): Promise<DeadLetter> {
  const [deadLetter] = DEAD_LETTER_ID.test(id) ? await readDeadLetters(db, [id]) : [];
  if (!deadLetter) throw new Problem('not-found', `There is no dead letter ${id.slice(0, 64)}.`);
  return deadLetter;
}

/** @returns the dead letters once none is being sent any more, or as they stand when the time is up or the server stops */
async function awaitReplays({ db, waiting, stopping }: ApiDependencies, ids: string[]): Promise<DeadLetter[]> {
  const timeUp = new AbortController();
  const timer = setTimeout(() => timeUp.abort(), OUTCOME_LIMIT_MS);
  const enough = AbortSignal.any([timeUp.signal, stopping]);
  try {
    for (;;) {
      const change = waiting.nextChange(enough); // registered before the read, so that nothing falls between the two
      const deadLetters = await readDeadLetters(db, ids);
      if (enough.aborted || deadLetters.every(({ state }) => state !== 'REPLAYING')) return deadLetters;
      await change;
    }
  } finally {
    clearTimeout(timer);
  }
}

function bulkReplayRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/dead-letters/replay',
    {
      preValidation: withoutBody,
      schema: {
        summary: 'Replay many, oldest first, at a rate; each with its result',
        description:
          'Which ones is for the caller to say: by `ids`, `destination`, `cause` or `type` (a letter must match all that are ' +
          'given), or by `all: true`; without any of them nothing is replayed, and the answer is 422. Takes `limit` letters at ' +
          'most; for more, ask again. The answer comes within a minute: `not-tried` are those for which there was no time.',
        tags: ['dead letters'],
        headers: Type.Object(IdempotencyKeyHeader),
        body: BulkReplay,
        response: {
          200: Type.Object({ results: Type.Array(ResultSchema) }),
          '4xx': problemResponses('nothing-selected'),
        },
      },
    },
    async (request, reply) => {
      const { operator, all, ...asked } = request.body as Static<typeof BulkReplay>;
      if (!all) requireSelection(asked);
      const by = operatorOf(request.caller, operator);
      const act = async () => ({ status: 200, body: { results: await replaySelected(deps, request, asked, by) } });
      return answerOnce(deps, request, reply, act, { keep: withoutErrors(deps) });
    },
  );
}

/** A forgotten body must not replay every dead letter: operators may hold some of them on purpose. */
function requireSelection({ ids, destination, cause, type }: Static<typeof BulkReplay>): void {
  if ([ids, destination, cause, type].some((selector) => selector !== undefined)) return;
  const detail = 'must be true unless ids, destination, cause or type say which';
  throw new Problem('nothing-selected', `/all: ${detail}`, { errors: [{ pointer: '/all', detail }] });
}

async function replaySelected(
  deps: ApiDependencies,
  request: FastifyRequest,
  { reason, limit = 100, ratePerSecond = 10, ids, ...filter }: Omit<Static<typeof BulkReplay>, 'all' | 'operator'>,
  operator: string,
): Promise<Static<typeof ResultSchema>[]> {
  const chosen = { ...filter, ...(ids && { ids }), state: 'PARKED' } as DeadLetterFilter;
  const deadLetters = await listDeadLetters(deps.db, chosen, limit);
  const signature = { operator, ...(reason !== undefined && { reason }) };
  const replayed = await replayAll(deps, request, { deadLetters, ratePerSecond }, signature);
  const after = new Map((await awaitReplays(deps, replayed)).map((deadLetter) => [deadLetter.id, deadLetter]));
  return deadLetters.map((deadLetter) => resultOf(deadLetter, after.get(deadLetter.id)));
}

/** @returns the ids of those that there was time for */
async function replayAll(
  { auditor, stopping }: ApiDependencies,
  request: FastifyRequest,
  { deadLetters, ratePerSecond }: { deadLetters: DeadLetter[]; ratePerSecond: number },
  signature: { operator: string; reason?: string },
): Promise<string[]> {
  const deadline = performance.now() + BULK_LIMIT_MS;
  const replayed: string[] = [];
  for (const { id } of deadLetters) {
    if (replayed.length > 0) await pause(1_000 / ratePerSecond);
    if (stopping.aborted || performance.now() > deadline) break;
    await auditor.act(request, decisionOnDeadLetter(id, { action: 'replay', ...signature }));
    replayed.push(id);
  }
  return replayed;
}

function resultOf(before: DeadLetter, after: DeadLetter | undefined): Static<typeof ResultSchema> {
  const { id, destination, orderId, state, error } = after ?? before;
  const outcome = after === undefined ? 'not-tried' : OUTCOME_OF[state];
  return { id, destination, orderId, outcome, state, error: outcome === 'parked-again' ? error : null };
}

/** DISCARDED: another operator was faster, and the event is not sent. */
const OUTCOME_OF = {
  PARKED: 'parked-again',
  REPLAYING: 'under-way',
  DELIVERED: 'delivered',
  DISCARDED: 'not-tried',
} as const;
