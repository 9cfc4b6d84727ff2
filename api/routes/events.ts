/** Events over HTTP: of one order, and the whole feed; as pages, or live as Server-Sent Events. */
import { type TSchema, Type } from 'typebox';
import { type StoredEvent, toCloudEvent } from '../../contracts/events.js';
import { readFeedMoment } from '../../domain/feed-moments.js';
import { type FeedEvent, readFeed, readingAs, readingOf, readOrderEvents } from '../../domain/outbox.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { wantsStream } from '../http/event-stream.js';
import { eventFor } from '../access/customers-view.js';
import { confinedTo } from '../access/permissions.js';
import { requireOrder } from './orders.js';
import { createFeedAsOf } from '../http/feed-as-of.js';
import {
  beginFeed,
  cursorOf,
  PLACE,
  placeOf,
  requireKept,
  requireSequenceKept,
  SEQUENCE,
} from '../http/feed-cursors.js';
import { Cursor, decodeCursor, Limit, Next, nextBy, sendPage } from '../http/pages.js';
import { problemResponses } from '../openapi/problems.js';
import { EventSchema, IdParams } from '../http/schemas.js';
import { streamFeed, streamOrder } from './event-streams.js';

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

const FeedNext = Type.String({ description: 'Ask again with it as `after`; equal to `after` = nothing is new' });
/** A header, so that the same page has the same body whenever it is asked for. */
const AS_OF = 'feed-as-of';

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
          'With `Accept: text/event-stream` they are streamed as they happen; `Last-Event-ID` resumes. The stream ends when the ' +
          'order is CANCELLED, and when your token expires; of a CONFIRMED order it stays open. Events leave after ' +
          '`OUTBOX_RETENTION` (30 days): of an older order this answers what is left, whose `sequence` then begins above 1, ' +
          'or nothing. The order itself stays. A cursor whose next event has left is answered 410, whose `oldest` goes on ' +
          'with what is left.',
        tags: ['events'],
        params: IdParams,
        headers: live,
        querystring: Type.Object({ limit: Limit, cursor: Type.Optional(Cursor) }, { additionalProperties: false }),
        response: {
          200: pageOrStream(Next),
          204: Type.Null({ description: 'To a stream: the order is CANCELLED, and you have all its events' }),
          '4xx': problemResponses('events-gone', 'key-unavailable', 'too-many-requests'),
        },
      },
    },
    async (request, reply) => {
      if (wantsStream(request)) return streamOrder(deps, request, reply, request.params.id);
      const { id, customerId } = await requireOrder(deps, request.params.id, request.caller);
      request.drawFor(customerId);
      const { limit, cursor } = request.query;
      const after = cursor === undefined ? 0 : Number(decodeCursor(cursor, SEQUENCE));
      const reading = await readingAs(db, confinedTo(request.caller, 'read'), deps.customersTold);
      return sendPage<StoredEvent>(reply, {
        name: 'events',
        schema: EventSchema,
        limit,
        bytesMax: deps.pageBytesMax,
        read: async (last, rows) => {
          const events = await readOrderEvents(db, id, last?.sequence ?? after, rows, reading);
          if (!last && cursor !== undefined) await requireSequenceKept(db, id, after, events[0]?.sequence);
          return events;
        },
        show: (event) => toCloudEvent(eventFor(request.caller)(event), deps.customersTold),
        next: nextBy((event) => `${event.sequence}`),
      });
    },
  );
}

function feedRoute(app: Api, deps: ApiDependencies): void {
  const { db } = deps;
  const asOfNow = createFeedAsOf();
  app.get(
    '/events',
    {
      schema: {
        summary: 'The feed: every event of every order',
        description:
          'In an order that never changes: keep `next`, ask again with it as `after`, and nothing is missed or seen twice. ' +
          '`next` is never null; it equals `after` when there is nothing new, and only then: a page may hold fewer events ' +
          'than `limit`. Without `after` it begins with the oldest event there is. Events stay for `OUTBOX_RETENTION` (30 ' +
          'days); a place behind which events have left is answered 410: its `oldest` as `after` goes on without them. ' +
          'The header `Feed-As-Of` of a page says how complete it is: every event whose `time` is before it is on that page or an ' +
          'earlier one, by the database’s clock; it moves on while nothing is new, and is absent where it cannot be said.',
        tags: ['events'],
        headers: live,
        querystring: Type.Object({ limit: Limit, after: Type.Optional(Cursor) }, { additionalProperties: false }),
        response: {
          200: pageOrStream(FeedNext),
          '4xx': problemResponses('events-gone', 'key-unavailable', 'too-many-requests'),
        },
      },
    },
    async (request, reply) => {
      const { limit, after } = request.query;
      const given = after === undefined ? undefined : placeOf(decodeCursor(after, PLACE, 'querystring/after'));
      if (wantsStream(request)) return streamFeed(deps, request, reply, given);
      const from = given ?? (await beginFeed(db));
      const { known } = from;
      const asOf = asOfNow(await readFeedMoment(db)); // before the page: what was settled by then is on it
      return sendPage<FeedEvent>(reply, {
        name: 'events',
        schema: EventSchema,
        limit,
        bytesMax: deps.pageBytesMax,
        read: async (last, rows) => readFeed(db, last ?? from, rows, readingOf(deps.customersTold)),
        check: async () => requireKept(db, from),
        show: (event) => toCloudEvent(event, deps.customersTold),
        headers: ({ more }) => (more || !asOf ? {} : { [AS_OF]: asOf.toISOString() }),
        next: ({ last }) => (last ? cursorOf({ ...last, ...(known && { known }) }) : (after ?? cursorOf(from))),
      });
    },
  );
}
