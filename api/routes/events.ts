/** Events over HTTP: of one order, and the whole feed; as pages, or live as Server-Sent Events. */
import { type TSchema, Type } from 'typebox';
import { toCloudEvent } from '../../contracts/events.js';
import { FEED_START, type FeedEvent, type FeedPlace, readFeed, readOrderEvents } from '../../domain/outbox.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { lastEventId, streamEvents, wantsStream } from '../http/event-stream.js';
import { eventFor } from '../access/customers-view.js';
import { requireOrder } from './orders.js';
import { badCursor, Cursor, decodeCursor, encodeCursor, Limit, Next, page } from '../http/pages.js';
import { ProblemSchema } from '../http/problems.js';
import { EventSchema, IdParams } from '../http/schemas.js';

/** Eighteen digits stay within a bigint; transaction ids and positions do not live to see more. */
const PLACE = /^\d{1,18}-\d{1,18}$/;
const SEQUENCE = /^\d{1,9}$/;

const live = Type.Object({
  'last-event-id': Type.Optional(Type.String({ maxLength: 200, description: 'Resumes a stream after this event' })),
});

const pageOrStream = <N extends TSchema>(next: N) => ({
  content: {
    'application/json': { schema: Type.Object({ events: Type.Array(EventSchema), next }) },
    'text/event-stream': {
      schema: Type.String({
        description: 'Server-Sent Events: `id` is for Last-Event-ID, `event` the type, `data` an Event as JSON',
      }),
    },
  },
});

export function eventRoutes(app: Api, deps: ApiDependencies): void {
  orderEventsRoute(app, deps);
  feedRoute(app, deps);
}

function orderEventsRoute(app: Api, deps: ApiDependencies): void {
  const { db } = deps;
  app.get(
    '/orders/:id/events',
    {
      schema: {
        summary: 'Events of an order, oldest first',
        description:
          'With `Accept: text/event-stream` they are streamed as they happen; `Last-Event-ID` resumes. Events leave after ' +
          '`OUTBOX_RETENTION` (30 days): of an older order this answers what is left, whose `sequence` then begins above 1, ' +
          'or nothing. The order itself stays.',
        tags: ['events'],
        params: IdParams,
        headers: live,
        querystring: Type.Object({ limit: Limit, cursor: Type.Optional(Cursor) }, { additionalProperties: false }),
        response: { 200: pageOrStream(Next), '4xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const { id } = await requireOrder(deps, request.params.id, request.caller);
      const { limit, cursor } = request.query;
      if (wantsStream(request)) {
        const last = lastEventId(request);
        if (last !== undefined && !SEQUENCE.test(last)) throw badCursor('headers/last-event-id');
        return streamEvents(deps, request, reply, {
          from: last === undefined ? 0 : Number(last),
          read: async (after, max) => (await readOrderEvents(db, id, after, max)).map(eventFor(request.caller)),
          placeOf: (event) => event.sequence,
          idOf: (event) => `${event.sequence}`,
          orderId: id,
        });
      }
      const after = cursor === undefined ? 0 : Number(decodeCursor(cursor, SEQUENCE));
      const { rows, next } = page(
        await readOrderEvents(db, id, after, limit + 1),
        limit,
        (event) => `${event.sequence}`,
      );
      return { events: rows.map(eventFor(request.caller)).map(toCloudEvent), next };
    },
  );
}

function feedRoute(app: Api, deps: ApiDependencies): void {
  const { db } = deps;
  app.get(
    '/events',
    {
      schema: {
        summary: 'The feed: every event of every order',
        description:
          'In an order that never changes: keep `next`, ask again with it as `after`, and nothing is missed or seen twice. ' +
          '`next` is never null; it equals `after` when there is nothing new. Events stay for `OUTBOX_RETENTION` (30 days); a ' +
          'place older than that goes on with the oldest event there is.',
        tags: ['events'],
        headers: live,
        querystring: Type.Object({ limit: Limit, after: Type.Optional(Cursor) }, { additionalProperties: false }),
        response: { 200: pageOrStream(Type.String()), '4xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const { limit, after } = request.query;
      const from = after === undefined ? FEED_START : placeOf(decodeCursor(after, PLACE, 'querystring/after'));
      if (wantsStream(request)) {
        const last = lastEventId(request);
        return streamEvents(deps, request, reply, {
          from: last === undefined ? from : placeOf(decodeCursor(last, PLACE, 'headers/last-event-id')),
          read: (place, max) => readFeed(db, place, max),
          placeOf: (event): FeedPlace => event,
          idOf: (event) => cursorOf(event),
        });
      }
      const events = await readFeed(db, from, limit);
      const last = events.at(-1);
      return { events: events.map(toCloudEvent), next: last ? cursorOf(last) : (after ?? cursorOf(FEED_START)) };
    },
  );
}

const cursorOf = ({ feedXid, feedPosition }: FeedPlace | FeedEvent): string =>
  encodeCursor(`${feedXid}-${feedPosition}`);

function placeOf(cursor: string): FeedPlace {
  const [xid = '0', position = '0'] = cursor.split('-');
  return { feedXid: BigInt(xid), feedPosition: BigInt(position) };
}
