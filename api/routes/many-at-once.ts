/**
 * Decisions of an operator on some findings, or some dead letters, in one request: what a person has ticked on a page. Each is done, and
 * put on record, by itself, and each has its outcome; what is not possible of one stops no other. More than a page is an operation.
 */
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { closureOfFinding, decisionOnDeadLetter } from '../../domain/audit/changes.js';
import { readDeadLetters } from '../../domain/dead-letters.js';
import { CLOSED_AS, CLOSED_AS_REFUNDED, type FindingClosure } from '../../domain/finding-closures.js';
import { type Finding, listFindings } from '../../domain/reconciliation-findings.js';
import { operatorOf } from '../access/permissions.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader } from '../http/headers.js';
import { answerOnce } from '../http/idempotency.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { OperatorId, oneOf, Reason } from '../http/schemas.js';
import { ExpectedAmount, hasMoved } from './finding-problems.js';
import { askForPass } from './findings.js';

/** A page of a list; each is a transaction of some ten milliseconds, and all of them are one answer. */
const IDS_MAX = 100;

const Ids = Type.Array(Type.String({ pattern: '^[1-9][0-9]{0,17}$' }), {
  minItems: 1,
  maxItems: IDS_MAX,
  uniqueItems: true,
  description: 'Which ones; of many more, see operations',
});
const signature = { operator: Type.Optional(OperatorId), reason: Reason };
const nullable = Type.Union([Type.String(), Type.Null()]);

const Expected = Type.Array(
  Type.Object(
    { id: Type.String({ pattern: '^[1-9][0-9]{0,17}$' }), expectedAmount: ExpectedAmount },
    { additionalProperties: false },
  ),
  { maxItems: IDS_MAX, description: 'What you have seen of some of `ids`, or all; the others are closed as they are' },
);
const Closings = Type.Object(
  { ids: Ids, expected: Type.Optional(Expected), as: oneOf(CLOSED_AS, 'As of a single finding'), ...signature },
  {
    $id: 'FindingClosings',
    additionalProperties: false,
    examples: [
      {
        ids: ['12', '13'],
        expected: [{ id: '12', expectedAmount: 9500 }],
        as: 'cancelled',
        operator: 'op-7',
        reason: 'charged anew, ticket 12',
      },
    ],
  },
);
const CLOSING_OUTCOMES = [
  'closed',
  'settled',
  'in-hand',
  'reported-again',
  'amount-differs',
  'not-closable-so',
  'unknown',
] as const;
const ClosingResult = Type.Object({
  id: Type.String(),
  outcome: oneOf(
    CLOSING_OUTCOMES,
    'closed = by you, now or before; settled = by somebody else, or by the reconciler; in-hand = the reconciler goes on with it; ' +
      'reported-again = meanwhile; amount-differs = from what you expect, see `amount`; not-closable-so = see `closableAs`; unknown = there is no such finding',
  ),
  kind: nullable,
  orderId: nullable,
  action: Type.Union([Type.String(), Type.Null()], { description: 'As it stands now' }),
  amount: Type.Union([Type.Integer(), Type.Null()], { description: 'As it stands now, in the minor unit' }),
});

const Discards = Type.Object(
  { ids: Ids, ...signature },
  {
    $id: 'DeadLettersDiscard',
    additionalProperties: false,
    examples: [{ ids: ['4', '5'], operator: 'op-7', reason: 'they have them from a file, ticket 12' }],
  },
);
const DISCARD_OUTCOMES = ['discarded', 'delivered', 'unknown'] as const;
const DiscardResult = Type.Object({
  id: Type.String(),
  outcome: oneOf(DISCARD_OUTCOMES, 'delivered = it was taken after all; unknown = there is no such dead letter'),
  destination: nullable,
  orderId: nullable,
});

export function manyAtOnceRoutes(app: Api, deps: ApiDependencies): void {
  closeRoute(app, deps);
  discardRoute(app, deps);
}

const AT_ONCE =
  'Each has its outcome, and its own entry in the audit trail; one that is not possible stops no other. Repeating it is harmless: what ' +
  'was done is told as done. A 503 in between has done those before it, and is repeated for the rest.';

function closeRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/findings/close',
    {
      schema: {
        summary: 'Say of several findings that they are dealt with',
        description: `Moves no money. ${AT_ONCE}`,
        tags: ['findings'],
        headers: Type.Object(IdempotencyKeyHeader),
        body: Closings,
        response: { 200: Type.Object({ results: Type.Array(ClosingResult) }), '4xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const { ids, expected = [], as, operator, reason } = request.body as Static<typeof Closings>;
      const seen = amountsSeen(ids, expected);
      const closure = { as, operator: operatorOf(request.caller, operator), reason };
      return answerOnce(deps, request, reply, async () => {
        const results: Static<typeof ClosingResult>[] = [];
        for (const id of ids)
          results.push(await closeOne(deps, request, id, { ...closure, expectedAmount: seen.get(id) }));
        return { status: 200, body: { results } };
      });
    },
  );
}

/** @throws Problem naming the first that does not fit the request */
function amountsSeen(ids: string[], expected: Static<typeof Expected>): Map<string, number> {
  const seen = new Map<string, number>();
  for (const [i, { id, expectedAmount }] of expected.entries()) {
    if (ids.includes(id) && !seen.has(id)) seen.set(id, expectedAmount);
    else {
      const error = { pointer: `/expected/${i}/id`, detail: seen.has(id) ? 'is there twice' : 'is none of `ids`' };
      throw new Problem('invalid-request', `${error.pointer}: ${error.detail}`, { errors: [error] });
    }
  }
  return seen;
}

async function closeOne(
  deps: ApiDependencies,
  request: FastifyRequest,
  id: string,
  closure: FindingClosure,
): Promise<Static<typeof ClosingResult>> {
  const isClosed = await deps.auditor.act(request, closureOfFinding(id, closure));
  const [now] = await listFindings(deps.db, { ids: [id] }, 1);
  if (!now) return { id, outcome: 'unknown', kind: null, orderId: null, action: null, amount: null };
  const { kind, orderId, action, amount } = now;
  if (isClosed && closure.as === 'refunded') await askForPass(deps, request, orderId);
  return { id, outcome: isClosed ? 'closed' : outcomeOf(now, closure), kind, orderId, action, amount };
}

function outcomeOf(now: Finding, { as, operator, expectedAmount }: FindingClosure): (typeof CLOSING_OUTCOMES)[number] {
  const { kind, action, closedBy } = now;
  if (action === as && closedBy === operator) return 'closed';
  if (action === 'refunded' || action === 'cancelled') return 'settled';
  if (action !== 'reported') return 'in-hand';
  if (as === 'refunded' && !CLOSED_AS_REFUNDED.includes(kind)) return 'not-closable-so';
  return hasMoved(now, expectedAmount) ? 'amount-differs' : 'reported-again';
}

function discardRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/dead-letters/discard',
    {
      schema: {
        summary: 'Never send these events; those behind them follow',
        description: AT_ONCE,
        tags: ['dead letters'],
        headers: Type.Object(IdempotencyKeyHeader),
        body: Discards,
        response: { 200: Type.Object({ results: Type.Array(DiscardResult) }), '4xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const { ids, operator, reason } = request.body as Static<typeof Discards>;
      const decision = { action: 'discard', operator: operatorOf(request.caller, operator), reason } as const;
      return answerOnce(deps, request, reply, async () => {
        const known = new Set((await readDeadLetters(deps.db, ids)).map(({ id }) => id));
        for (const id of ids) if (known.has(id)) await deps.auditor.act(request, decisionOnDeadLetter(id, decision));
        const after = new Map((await readDeadLetters(deps.db, ids)).map((letter) => [letter.id, letter]));
        const results = ids.map((id): Static<typeof DiscardResult> => {
          const letter = after.get(id);
          if (!letter) return { id, outcome: 'unknown', destination: null, orderId: null };
          const { destination, orderId, state } = letter;
          return { id, outcome: state === 'DISCARDED' ? 'discarded' : 'delivered', destination, orderId };
        });
        return { status: 200, body: { results } };
      });
    },
  );
}
