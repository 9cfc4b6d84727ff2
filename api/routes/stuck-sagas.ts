/** Stuck sagas over HTTP: operators list them, by cause and one by one; what becomes of them is decided elsewhere (admin, operations). */
import { setTimeout as pause } from 'node:timers/promises';
import { Type } from 'typebox';
import {
  comparePlaces,
  isOfCause,
  type StuckGroup,
  type StuckPlace,
  type StuckSaga,
  stuckPlace,
} from '../../domain/stuck-sagas.js';
import type { ListedState, StuckSnapshots } from '../../sagas/stuck-snapshots.js';
import { lastErrorsOf } from '../overview/facts.js';
import { causesOfSagas } from '../overview/saga-causes.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { Cursor, decodeCursor, Limit, Next, nextBy, sendPage } from '../http/pages.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { MoneySchema, OrderStatus, oneOf } from '../http/schemas.js';
import { callTemporal } from './admin.js';

const nullable = Type.Union([Type.String(), Type.Null()]);
const StuckSagaSchema = Type.Object({
  orderId: Type.String(),
  workflowId: Type.String(),
  runId: nullable,
  state: nullable,
  step: nullable,
  failure: nullable,
  startedAt: Type.String(),
  status: OrderStatus,
  customerId: Type.String(),
  customerReference: Type.Optional(Type.String({ description: 'Its search attribute `CustomerId`' })),
  total: MoneySchema,
  gatewayReference: Type.Union([Type.String(), Type.Null()], {
    description: 'The gateway’s id of the charge, if one is on record',
  }),
});
const GroupSchema = Type.Object({
  step: nullable,
  failure: nullable,
  title: Type.Union([Type.String(), Type.Null()], {
    description: 'What is wrong, as the overview says it; null of those that unwind',
  }),
  detail: Type.Union([Type.String(), Type.Null()], {
    description: 'What mends it, and what they do then by themselves',
  }),
  count: Type.Integer(),
  oldest: Type.String(),
  amounts: Type.Array(MoneySchema),
});

const LISTED_STATES = ['NEEDS_ATTENTION', 'COMPENSATING'] as const;
const word = (description: string) => Type.Optional(Type.String({ pattern: '^[A-Za-z_]{1,64}$', description }));

/** A place in the list, not an entry of it: the saga that a page ended with may be over before the next is asked for. */
const PLACE = /^\d{4}-\d\d-\d\dT\d\d:\d\d \d{1,16} order-[0-9a-z-]+$/;
const formatPlace = ({ minute, amount, workflowId }: StuckPlace): string => `${minute} ${amount} ${workflowId}`;
function parsePlace(place: string): StuckPlace {
  const [minute = '', amount, workflowId = ''] = place.split(' ');
  return { minute, amount: Number(amount), workflowId };
}

export function stuckSagaRoutes(app: Api, deps: ApiDependencies): void {
  const { stuck: snapshots } = deps;
  keepLongListsAtHand(app, deps, snapshots);
  app.get(
    '/admin/sagas',
    {
      schema: {
        summary: 'Sagas that will not end without someone: oldest and dearest first',
        description:
          'As they were at `asOf`: a list of more than a thousand is kept at hand, up to 20 s old, and further pages of it are of the same moment ' +
          'for a minute. `groups` counts all of the state, also those that `step` and `failure` leave out.',
        tags: ['sagas'],
        querystring: Type.Object(
          {
            state: Type.Optional(oneOf(LISTED_STATES, 'Default NEEDS_ATTENTION')),
            step: word('Only those that stand at this step or undo; `none` = at no step'),
            failure: word(
              'Only those that stand there for this reason, as `groups` has it; `none` = for none that is known',
            ),
            limit: Limit,
            cursor: Type.Optional(Cursor),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            sagas: Type.Array(StuckSagaSchema),
            groups: Type.Array(GroupSchema),
            asOf: Type.String({ format: 'date-time' }),
            more: Type.Boolean({ description: 'There are more than can be listed: 10,000' }),
            next: Next,
          }),
          '4xx': ProblemSchema,
        },
      },
    },
    async ({ query: { state = 'NEEDS_ATTENTION', step, failure, limit, cursor } }, reply) => {
      const { sagas, groups, more, at } = await callTemporal(() =>
        soon(snapshots.read(state as ListedState, cursor !== undefined)),
      );
      const after = cursor === undefined ? undefined : parsePlace(decodeCursor(cursor, PLACE));
      const rest = sagas.filter(
        (saga) =>
          (after === undefined || comparePlaces(stuckPlace(saga), after) > 0) && isOfCause(saga, { step, failure }),
      );
      return sendPage<StuckSaga>(reply, {
        name: 'sagas',
        schema: StuckSagaSchema,
        limit,
        bytesMax: deps.pageBytesMax,
        read: async (last, rows) => {
          const from = last === undefined ? 0 : rest.indexOf(last) + 1;
          return rest.slice(from, from + rows);
        },
        next: nextBy((saga) => formatPlace(stuckPlace(saga))),
        also: { groups: await toldOf(deps, state as ListedState, sagas, groups), asOf: at.toISOString(), more },
      });
    },
  );
}

/** In the words of the first screen: one cause has one name. */
async function toldOf({ db, policy }: ApiDependencies, state: ListedState, sagas: StuckSaga[], groups: StuckGroup[]) {
  if (state === 'COMPENSATING') return groups.map((group) => ({ ...group, title: null, detail: null }));
  // Without the last errors they are told by their failures alone.
  const errors = await lastErrorsOf(db, sagas).catch(() => []);
  const causes = causesOfSagas(sagas, policy, errors);
  return groups.map((group, i) => ({ ...group, title: causes[i]?.title ?? null, detail: causes[i]?.detail ?? null }));
}

/** Reading a long list for the first time takes longer; it goes on, and whoever asks again has it. */
const ANSWER_WITHIN_MS = 8_000;

async function soon<T>(reading: Promise<T>): Promise<T> {
  const given = new AbortController();
  const late = pause(ANSWER_WITHIN_MS, undefined, { signal: given.signal, ref: false }).then(() => {
    throw new Problem(
      'unavailable',
      'Temporal has not listed the sagas yet: there are many, or it does not answer. Ask again.',
    );
  });
  try {
    return await Promise.race([reading, late]);
  } finally {
    given.abort();
    late.catch(() => undefined);
    reading.catch(() => undefined); // whoever asks next is told
  }
}

/** So often it is looked whether there are so many that reading them takes long: a count, while all is well. */
const LOOK_EVERY_MS = 10_000;

function keepLongListsAtHand(app: Api, { temporal }: ApiDependencies, snapshots: StuckSnapshots): void {
  let looking: NodeJS.Timeout | undefined;
  const look = () => {
    // A failure is said to whoever asks for the list.
    if (temporal.client()) snapshots.keepAtHand().catch(() => undefined);
  };
  // Not of an API that only says what it has (the OpenAPI file is made of one): it has no neighbours.
  app.addHook('onListen', async () => {
    looking = setInterval(look, LOOK_EVERY_MS);
    looking.unref();
    // At once as well: whoever opens the list just after a start would wait for all of it to be read.
    if (temporal.client()) look();
    else void temporal.connected.then(look, () => undefined);
  });
  app.addHook('preClose', async () => clearInterval(looking));
}
