/**
 * Findings over HTTP: operators read what the reconciler has found, say that what was reported is dealt with, or have a charge given
 * back. As `ops reconcile` does; no money moves here, the process that reconciles moves it.
 */
import { type Static, Type } from 'typebox';
import type { FastifyRequest } from 'fastify';
import { closureOfFinding, refundOfFinding } from '../../domain/audit/changes.js';
import { CLOSED_AS, CLOSED_AS_REFUNDED } from '../../domain/finding-closures.js';
import { type FindingGroup, groupFindings, listFindingPage, type NumberedFinding } from '../../domain/finding-pages.js';
import { type FindingKind, GIVEN_BACK_ON_WORD } from '../../domain/reconciliation.js';
import { countVouched, listFindings, requestReconciliation } from '../../domain/reconciliation-findings.js';
import { operatorOf } from '../access/permissions.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader } from '../http/headers.js';
import { answerOnce } from '../http/idempotency.js';
import { Cursor, decodeCursor, Limit, Next, nextBy, sendPage } from '../http/pages.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { OperatorId, oneOf, Reason, UUID } from '../http/schemas.js';
import { problemResponses } from '../openapi/problems.js';
import { currencyOf, ExpectedAmount, notReported } from './finding-problems.js';

const FINDING_ID = /^[1-9][0-9]{0,17}$/;
const STATES = ['reported', 'open', 'all'] as const;
const nullable = Type.Union([Type.String(), Type.Null()]);
const Kind = Type.String({ pattern: '^[A-Z_]{1,40}$', description: 'What differs: see the runbook' });
const Action = Type.String({
  description:
    'reported = an operator is needed; waiting, refunding, cancelling = the reconciler has it in hand; refunded, cancelled = settled',
});
const CurrencyOrNull = Type.Union([Type.String(), Type.Null()], { description: 'null = it is about no money' });
const moment = (description: string) => Type.String({ format: 'date-time', description });
const FindingSchema = Type.Object(
  {
    id: Type.String(),
    kind: Kind,
    reference: Type.String({ description: 'The gateway’s id of the charge' }),
    orderId: Type.String({ description: 'As the gateway has it; of a stranger’s charge it may be no order’s' }),
    amount: Type.Integer({ description: 'In the currency’s minor unit; 0 where there is none' }),
    currency: CurrencyOrNull,
    action: Action,
    detail: nullable,
    closableAs: Type.Array(oneOf(CLOSED_AS, 'Of what is reported'), {
      description: 'What an operator may say of it; none of what is in hand or settled',
    }),
    refundable: Type.Boolean({ description: 'Whether an operator may have the charge given back' }),
    closedBy: nullable,
    closedAs: nullable,
    reason: nullable,
    at: moment('When it was found'),
    updatedAt: moment('When it changed last'),
  },
  { $id: 'Finding' },
);
const GroupSchema = Type.Object({
  kind: Kind,
  action: Action,
  currency: CurrencyOrNull,
  count: Type.Integer(),
  amount: Type.Integer({ description: 'Of all of them, in the minor unit' }),
  oldest: moment('When the first of them was found'),
});
const Closing = Type.Object(
  {
    as: oneOf(
      CLOSED_AS,
      'cancelled = for good; refunded = reported again should the gateway still hold the money: see `closableAs`',
    ),
    operator: Type.Optional(OperatorId),
    reason: Reason,
    expectedAmount: Type.Optional(ExpectedAmount),
  },
  {
    $id: 'FindingClosing',
    additionalProperties: false,
    examples: [{ as: 'cancelled', operator: 'op-7', reason: 'customer charged anew, ticket 12', expectedAmount: 9500 }],
  },
);
const Refund = Type.Object(
  { operator: Type.Optional(OperatorId), reason: Reason, expectedAmount: Type.Optional(ExpectedAmount) },
  {
    $id: 'FindingRefund',
    additionalProperties: false,
    examples: [{ operator: 'op-7', reason: 'the card is good again, ticket 13', expectedAmount: 9800 }],
  },
);

export function findingRoutes(app: Api, deps: ApiDependencies): void {
  listRoute(app, deps);
  closeRoute(app, deps);
  refundRoute(app, deps);
}

function listRoute(app: Api, { db, pageBytesMax }: ApiDependencies): void {
  app.get(
    '/admin/findings',
    {
      schema: {
        summary: 'Differences of the gateway’s ledger and ours, newest first; `groups` counts all that match',
        tags: ['findings'],
        querystring: Type.Object(
          {
            state: Type.Optional(oneOf(STATES, 'Default: open, that is in hand or reported')),
            kind: Type.Optional(Kind),
            orderId: Type.Optional(Type.String({ pattern: '^[\\x21-\\x7e]{1,200}$', description: 'Of this order' })),
            limit: Limit,
            cursor: Type.Optional(Cursor),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            findings: Type.Array(FindingSchema),
            groups: Type.Array(GroupSchema),
            vouched: Type.Integer({
              description: 'Orders paid by other means, for which operators vouch: no findings',
            }),
            next: Next,
          }),
          '4xx': ProblemSchema,
        },
      },
    },
    async ({ query: { limit, cursor, state = 'open', kind, orderId } }, reply) => {
      const before = cursor === undefined ? undefined : decodeCursor(cursor, FINDING_ID);
      const filter = { state, kind: kind as FindingKind | undefined, orderId };
      const [groups, vouched] = await Promise.all([groupFindings(db, filter), countVouched(db)]);
      return sendPage<NumberedFinding>(reply, {
        name: 'findings',
        schema: FindingSchema,
        limit,
        bytesMax: pageBytesMax,
        read: async (last, rows) => listFindingPage(db, filter, rows, last?.id ?? before),
        show,
        next: nextBy((finding) => finding.id),
        also: { groups: groups.map(showGroup), vouched },
      });
    },
  );
}

const showGroup = ({ oldest, currency, ...group }: FindingGroup) => ({
  ...{ ...group, currency: currencyOf(currency), oldest: oldest.toISOString() },
});

function show(finding: NumberedFinding): Static<typeof FindingSchema> {
  const { at, updatedAt, action, kind, currency, ...rest } = finding;
  const isReported = action === 'reported';
  return {
    ...rest,
    kind,
    action,
    currency: currencyOf(currency),
    closableAs: isReported ? CLOSED_AS.filter((as) => as !== 'refunded' || CLOSED_AS_REFUNDED.includes(kind)) : [],
    refundable: isReported && GIVEN_BACK_ON_WORD.includes(kind),
    at: at.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

/** Any text: what is no id at all names no finding and is answered 404, as with orders. */
const params = Type.Object({ id: Type.String({ description: 'Id of the finding' }) });

function closeRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/findings/:id/close',
    {
      schema: {
        summary: 'Say that what was reported is dealt with',
        description:
          'It moves no money. As `refunded` only where `closableAs` has it: the gateway is asked at once whether that is so. ' +
          'Repeating it is harmless.',
        tags: ['findings'],
        params,
        headers: Type.Object(IdempotencyKeyHeader),
        body: Closing,
        response: {
          200: FindingSchema,
          '4xx': problemResponses('finding-not-reported', 'amount-differs', 'not-of-this-finding'),
        },
      },
    },
    async (request, reply) => {
      const { as, operator, reason, expectedAmount } = request.body as Static<typeof Closing>;
      const by = operatorOf(request.caller, operator);
      const { id, kind, orderId } = await requireFinding(deps, request.params.id);
      if (as === 'refunded' && !CLOSED_AS_REFUNDED.includes(kind))
        throw notOfThis('/as', `only ${CLOSED_AS_REFUNDED.join(', ')} are closed as refunded, and it is ${kind}`);
      const act = async () => {
        const isClosed = await deps.auditor.act(
          request,
          closureOfFinding(id, { as, operator: by, reason, expectedAmount }),
        );
        const now = await requireFinding(deps, id);
        if (isClosed && as === 'refunded') await askForPass(deps, request, now.orderId);
        if (isClosed || (now.action === as && now.closedBy === by)) return { status: 200, body: show(now) };
        throw notReported(now, expectedAmount);
      };
      return answerOnce(deps, request, reply, act, ofOrder(orderId));
    },
  );
}

function refundRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/findings/:id/refund',
    {
      schema: {
        summary: 'Have the charge given back: of what the reconciler has given up, one refund more',
        description:
          'The reconciler looks at the charge and its order again before it moves the money. Follow it by the finding’s `action`. ' +
          'A DOUBLE_CHARGE whose `detail` says that no other pays for the order goes back as well. ' +
          'Repeating it while the refund is in hand is harmless.',
        tags: ['findings'],
        params,
        headers: Type.Object(IdempotencyKeyHeader),
        body: Refund,
        response: {
          200: FindingSchema,
          '4xx': problemResponses('finding-not-reported', 'amount-differs', 'not-of-this-finding'),
        },
      },
    },
    async (request, reply) => {
      const { operator, reason, expectedAmount } = request.body as Static<typeof Refund>;
      const by = operatorOf(request.caller, operator);
      const { id, kind, orderId } = await requireFinding(deps, request.params.id);
      if (!GIVEN_BACK_ON_WORD.includes(kind)) throw notOfThis('', `it is ${kind}, which no refund of ours settles`);
      const act = async () => {
        const isTaken = await deps.auditor.act(request, refundOfFinding(id, { operator: by, reason, expectedAmount }));
        const now = await requireFinding(deps, id);
        if (isTaken) await askForPass(deps, request, now.orderId);
        const isItsOwn = now.closedAs === 'refunding' && now.closedBy === by && now.action !== 'reported';
        if (isTaken || isItsOwn) return { status: 200, body: show(now) };
        throw notReported(now, expectedAmount);
      };
      return answerOnce(deps, request, reply, act, ofOrder(orderId));
    },
  );
}

/** A stranger's charge may name anything as its order. */
const ofOrder = (orderId: string) => (UUID.test(orderId) ? { orderId } : {});

async function requireFinding({ db }: ApiDependencies, id: string): Promise<NumberedFinding> {
  const [finding] = FINDING_ID.test(id) ? await listFindings(db, { ids: [id] }, 1) : [];
  if (!finding) throw new Problem('not-found', `There is no finding ${id.slice(0, 64)}.`);
  return { ...finding, id };
}

/** A hint: the decision stands without it, and the schedule finds it. */
export async function askForPass({ db }: ApiDependencies, request: FastifyRequest, orderId: string): Promise<void> {
  await requestReconciliation(db, orderId).catch((err: unknown) =>
    request.log.warn({ err }, 'could not ask for a reconciliation'),
  );
}

const notOfThis = (pointer: string, detail: string): Problem =>
  new Problem('not-of-this-finding', `Nothing was done: ${detail}.`, {
    ...(pointer !== '' && { errors: [{ pointer, detail }] }),
  });
