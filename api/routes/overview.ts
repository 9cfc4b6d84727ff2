/** The overview over HTTP: once, or live as Server-Sent Events, each of which is the whole anew. */
import { Type } from 'typebox';
import { BRAKES } from '../../contracts/brakes.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { type StreamContent, streamEvents, wantsStream } from '../http/event-stream.js';
import { MoneySchema, oneOf } from '../http/schemas.js';
import { RETRY } from '../http/server-sent-events.js';
import { problemResponses } from '../openapi/problems.js';
import { CAUSE_KINDS } from '../overview/cause.js';
import type { Overview, OverviewReader } from '../overview/overview.js';

const nullable = Type.Union([Type.String(), Type.Null()]);
const orNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description });
const countOrNull = (description: string) => Type.Union([Type.Integer(), Type.Null()], { description });

const SINCE =
  'When the last trouble ended: a parked saga went on, a finding or a dead letter was settled, a brake was released, the account was adopted ' +
  '(of each the newest hundred); or when a neighbour that was away, or a saga that had no worker, was first seen not to be so any more by any process. Where there ' +
  'never was any, since the first order; null while it is not calm, or nothing has happened';

const CauseSchema = Type.Object(
  {
    id: Type.String({ description: 'The same while it is the same cause' }),
    kind: oneOf(CAUSE_KINDS, 'What it is about'),
    severity: oneOf(['bad', 'warn'] as const, 'warn = it goes on by itself, or is meant to be so'),
    title: Type.String(),
    detail: Type.String(),
    count: countOrNull('How many are concerned; null where there is nothing to count'),
    noun: orNull('Of what'),
    oldest: orNull('Since when the oldest of them is so'),
    atStake: Type.Array(MoneySchema, { description: 'What their orders, or charges, are worth' }),
    recent: countOrNull('How many of them are younger than ten minutes'),
    before: Type.Union([Type.Object({ count: Type.Integer(), at: Type.String() }), Type.Null()], {
      description:
        'How many there were, as this process saw it up to ten minutes ago; null = it had not seen all by then',
    }),
    unwindsAt: orNull('When the first of them unwinds by itself, by the deadline of today'),
    follows: orNull('The id of the cause from which this one follows; a cause that others follow from has their sums'),
    of: Type.Record(Type.String(), Type.String(), { description: 'Which ones: step, failure, destination, cause …' }),
  },
  { $id: 'Cause' },
);
const NeighbourSchema = Type.Object({
  name: Type.String(),
  kind: oneOf(['postgres', 'temporal', 'workers', 'gateway', 'destination'] as const, 'What it is'),
  state: oneOf(['up', 'late', 'down', 'unknown'] as const, 'unknown = nothing here can tell'),
  detail: Type.String(),
  lastSuccess: orNull('When it last did what it is there for'),
});
const OverviewSchema = Type.Object(
  {
    asOf: Type.String({ format: 'date-time' }),
    sources: Type.Object(
      { postgres: nullable, temporal: nullable, gateway: nullable },
      { description: 'As of when each one’s part is; null = it has never answered this process' },
    ),
    calm: Type.Object({ isCalm: Type.Boolean(), since: orNull(SINCE) }),
    causes: Type.Array(CauseSchema, { description: 'What explains others first, then what concerns more' }),
    minutes: Type.Array(
      Type.Object({
        minute: Type.Integer({ description: 'Its begin, in ms since 1970' }),
        accepted: Type.Integer(),
        confirmed: Type.Integer(),
        cancelled: Type.Integer(),
      }),
      { description: 'Of the last hour, as far back as it is counted; the last one is still being filled' },
    ),
    open: Type.Union([Type.Object({ count: Type.Integer(), oldestSeconds: Type.Number() }), Type.Null()], {
      description: 'Orders that are neither confirmed nor cancelled, or being taken back; 1,000 at most',
    }),
    heldOrders: countOrNull('Orders whose charge waits for a brake'),
    neighbours: Type.Array(NeighbourSchema),
    brakes: Type.Array(
      Type.Object({
        brake: oneOf(BRAKES, 'Which'),
        since: Type.String(),
        by: Type.String(),
        reason: Type.String(),
        message: nullable,
      }),
      { description: 'Those that are engaged' },
    ),
    spending: Type.Array(Type.Object({ currency: Type.String(), spent: Type.Integer(), most: Type.Integer() })),
  },
  { $id: 'Overview' },
);

/** Nothing changes more often than it is computed; what is the same is told again so often that nobody takes it for old. */
const LOOK_EVERY_MS = 1_000;
const REPEAT_EVERY_MS = 5_000;

export function overviewRoutes(app: Api, deps: ApiDependencies): void {
  app.get(
    '/admin/overview',
    {
      schema: {
        summary: 'What is wrong now, how orders flow, how the neighbours are',
        description:
          'One look a second is shared by all who ask this process. With `Accept: text/event-stream` it is sent again whenever ' +
          'it has changed, and every 5 s: each event’s data is the whole. What a source says is as old as `sources` says: one ' +
          'that is slow, or away, holds up nothing else.',
        tags: ['overview'],
        response: {
          200: {
            content: {
              'application/json': { schema: OverviewSchema },
              'text/event-stream': {
                schema: Type.String({
                  description: 'Server-Sent Events named `overview`, whose data is an Overview as JSON',
                }),
              },
            },
          },
          '4xx': problemResponses('too-many-requests'),
        },
      },
    },
    async (request, reply) => {
      if (wantsStream(request)) return streamEvents(deps, request, reply, followOverview(deps.overview));
      return reply.type('application/json; charset=utf-8').send(textOf(await deps.overview.read()));
    },
  );
}

/** The same object is spelled once, for however many viewers. */
const spelled = new WeakMap<Overview, { text: string; content: string }>();
function spell(overview: Overview): { text: string; content: string } {
  const known = spelled.get(overview);
  if (known) return known;
  const { asOf: _, sources: __, ...content } = overview;
  const made = { text: JSON.stringify(overview), content: JSON.stringify(content) };
  spelled.set(overview, made);
  return made;
}
const textOf = (overview: Overview): string => spell(overview).text;

const followOverview = ({ read }: OverviewReader): StreamContent =>
  async function* (signal) {
    yield RETRY;
    let sent = '';
    let sentAtMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      const { text, content } = spell(await read());
      const now = performance.now();
      if (content !== sent || now - sentAtMs >= REPEAT_EVERY_MS) {
        yield `event: overview\ndata: ${text}\n\n`;
        sent = content;
        sentAtMs = now;
      }
      await pause(LOOK_EVERY_MS, signal);
    }
  };

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
