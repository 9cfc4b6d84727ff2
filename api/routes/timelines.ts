/** One order as a picture: everything that happened and is awaited, in one list; the explanation beside it. */
import { type Static, Type } from 'typebox';
import { CANCELLERS, readCanceller } from '../../domain/who-cancelled.js';
import { ENTRY_SOURCES, ENTRY_STATUSES, KINDS, LANES } from '../../explanation/timeline/entries.js';
import { readTimeline } from '../../explanation/timeline/timeline.js';
import { readTraceparent } from '../../runtime/tracing/spans.js';
import { ANONYMOUS } from '../access/permissions.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { IdParams, oneOf, UUID } from '../http/schemas.js';
import { ExplanationSchema, explanationSources } from './explanations.js';
import { webUrl } from './sagas.js';

const nullable = (description?: string) =>
  Type.Union([Type.String(), Type.Null()], description === undefined ? {} : { description });

const EntrySchema = Type.Object({
  at: nullable('When it began; null = it is to come, at no time that is known'),
  until: nullable('When it ended, the same as `at` of what takes no time; null = it is not over'),
  lane: oneOf(LANES, 'Of the picture'),
  kind: oneOf(KINDS, 'What it is'),
  status: oneOf(ENTRY_STATUSES, 'How it stands'),
  source: oneOf(ENTRY_SOURCES, 'Where that is on record; `log` outlives Temporal’s history'),
  what: Type.String(),
  step: Type.Optional(Type.String({ description: 'The step or undo' })),
  attempts: Type.Optional(
    Type.Object(
      { first: Type.Integer(), last: Type.Integer(), times: Type.Integer() },
      { description: 'Which of all attempts; `times` of them are folded into this entry' },
    ),
  ),
  error: Type.Optional(Type.Object({ failure: Type.String(), message: nullable() })),
  by: Type.Optional(Type.String({ description: 'Who decided it' })),
  reason: Type.Optional(Type.String()),
  money: Type.Optional(
    Type.Object({
      amount: Type.Integer({ description: 'In the currency’s minor unit' }),
      currency: Type.String(),
      reference: nullable('The gateway’s'),
    }),
  ),
  destination: Type.Optional(Type.String()),
  sequences: Type.Optional(Type.Array(Type.Integer(), { description: 'The order’s events that it is about' })),
  deadLetterId: Type.Optional(Type.String()),
});

const TimelineSchema = Type.Object(
  {
    orderId: Type.String(),
    at: Type.String({ description: 'When it was looked' }),
    total: Type.Object({ amount: Type.Integer(), currency: Type.String() }),
    createdAt: Type.String(),
    isFinal: Type.Boolean({ description: 'Nothing happens any more by itself' }),
    cancelledBy: Type.Union(
      [
        Type.Object({
          who: oneOf(CANCELLERS, 'service = for the customer; anybody = without a token, where none is asked for'),
          subject: Type.String({ description: 'Of its token; of a customer the reference' }),
        }),
        Type.Null(),
      ],
      { description: 'Who asked for its cancellation; null = nobody did' },
    ),
    saga: Type.Object({
      workflowId: nullable(),
      runId: nullable('null = Temporal knows no such saga (any more), or does not answer'),
      webUrl: nullable('The saga in the Temporal Web UI'),
    }),
    traceId: nullable('Of the request that placed it, if that was traced'),
    entries: Type.Array(EntrySchema, { description: 'By time; what has no time that is known comes last' }),
    omitted: Type.Array(
      Type.Object({ lane: oneOf(LANES, 'Of the picture'), count: Type.Integer(), why: Type.String() }),
      {
        description: 'Entries that are not in the list',
      },
    ),
    missing: Type.Array(
      Type.Object({
        source: oneOf(['saga', 'gateway'] as const, 'What did not answer'),
        why: Type.String(),
        lacks: Type.String(),
      }),
      { description: 'What could not be asked, and what the list lacks for it' },
    ),
    explanation: ExplanationSchema,
  },
  { $id: 'Timeline' },
);

const Query = Type.Object(
  {
    without: Type.Optional(
      oneOf(
        ['gateway'] as const,
        'Not asked: the money is as it was recorded here, and the answer waits for no gateway',
      ),
    ),
  },
  { additionalProperties: false },
);
const NOT_ASKED = 'it was not asked this time';

export function timelineRoutes(app: Api, deps: ApiDependencies): void {
  app.get(
    '/admin/orders/:id/timeline',
    {
      schema: {
        summary: 'Everything that happened to an order and is awaited, in one list, with its explanation',
        description:
          'Steps, failed attempts, waits, undos and decisions from the saga’s log; money from the gateway’s own ledger; events, and what ' +
          'each destination has been sent. Changes nothing. What has happened is the same after Temporal’s retention. ' +
          'Temporal or the gateway being away is named in `missing`; whoever cannot wait for the gateway asks without it.',
        tags: ['sagas'],
        params: IdParams,
        querystring: Query,
        response: { 200: TimelineSchema, '4xx': ProblemSchema },
      },
    },
    async ({ params: { id }, query: { without } }): Promise<Static<typeof TimelineSchema>> => {
      const sources = explanationSources(deps);
      const asked = without === undefined ? sources : { ...sources, gateway: { why: NOT_ASKED } };
      const [timeline, cancelledBy] = UUID.test(id)
        ? await Promise.all([readTimeline(asked, id), readCanceller(deps.db, id, ANONYMOUS.subject)])
        : [null, null];
      if (timeline === null) throw new Problem('not-found', `There is no order ${id}.`);
      const { traceparent, ...told } = timeline;
      const { workflowId, runId } = told.saga;
      const url = workflowId === null ? null : webUrl(deps, workflowId, runId);
      const traceId = readTraceparent(traceparent)?.traceId ?? null;
      return { ...told, cancelledBy, traceId, saga: { workflowId, runId, webUrl: url } } as Static<
        typeof TimelineSchema
      >;
    },
  );
}
