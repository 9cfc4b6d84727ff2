/** Events over HTTP: of one order, and the whole feed; as pages, or live as Server-Sent Events. */
import { once } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type TSchema, Type } from 'typebox';
import { type StoredEvent, toCloudEvent } from '../../contracts/events.js';
import { FEED_START, type FeedEvent, type FeedPlace, readFeed, readOrderEvents } from '../../domain/outbox.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { whenOver } from '../http/disconnects.js';
import { requireOrder } from './orders.js';
import { badCursor, Cursor, decodeCursor, encodeCursor, Limit, Next, page } from '../http/pages.js';
import { ProblemSchema } from '../http/problems.js';
import { EventSchema, IdParams } from '../http/schemas.js';

/** Eighteen digits stay within a bigint; transaction ids and positions do not live to see more. */
const PLACE = /^\d{1,18}-\d{1,18}$/;
const SEQUENCE = /^\d{1,9}$/;
const STREAM_BATCH_MAX = 500;
/** Characters of a stream that are written at once, about. */
const CHUNK_LENGTH = 32_768;
/** Between the comments that keep proxies from cutting an idle stream; most cut after 30 s or more. */
const HEARTBEAT_EVERY_MS = 15_000;

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
        return stream(deps, request, reply, {
          from: last === undefined ? 0 : Number(last),
          read: (after) => readOrderEvents(db, id, after, STREAM_BATCH_MAX),
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
      return { events: rows.map(toCloudEvent), next };
    },
  );

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
        return stream(deps, request, reply, {
          from: last === undefined ? from : placeOf(decodeCursor(last, PLACE, 'headers/last-event-id')),
          read: (place) => readFeed(db, place, STREAM_BATCH_MAX),
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

const wantsStream = (request: FastifyRequest): boolean =>
  request.method === 'GET' && // a HEAD would wait for ever for a body that never comes
  (request.headers.accept ?? '').split(',').some((type) => type.trim().toLowerCase().startsWith('text/event-stream'));

function lastEventId(request: FastifyRequest): string | undefined {
  const id = request.headers['last-event-id'];
  return typeof id === 'string' && id !== '' ? id : undefined;
}

type Stream<E extends StoredEvent, P> = {
  from: P;
  read: (after: P) => Promise<E[]>;
  placeOf: (event: E) => P;
  idOf: (event: E) => string;
  /** The order whose events these are; undefined = every order's. */
  orderId?: string;
};

/** Writes events until the client goes or the server stops. https://html.spec.whatwg.org/multipage/server-sent-events.html */
async function stream<E extends StoredEvent, P>(
  { watch, stopping, heartbeatEveryMs = HEARTBEAT_EVERY_MS }: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  { from, read, placeOf, idOf, orderId }: Stream<E, P>,
): Promise<FastifyReply> {
  const gone = new AbortController();
  whenOver(reply, () => gone.abort());
  const ended = AbortSignal.any([gone.signal, stopping]);
  let place = from;
  let events = await read(place); // before the headers: what fails here can still be answered with a problem

  reply.hijack();
  request.leave();
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) reply.raw.setHeader(name, value);
  reply.raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  reply.raw.write('retry: 1000\n\n');
  const heartbeat = setInterval(() => reply.raw.write(': still here\n\n'), heartbeatEveryMs);
  let news: Promise<void> | undefined;
  try {
    while (!ended.aborted) {
      for (const chunk of inChunks(events, idOf)) await write(reply, ended, chunk);
      const last = events.at(-1);
      if (last) place = placeOf(last);
      if (events.length < STREAM_BATCH_MAX && news) {
        await news;
        news = undefined;
      }
      // Registered before the read, so that nothing falls between the two; and once, however long the catching up takes.
      news ??= watch.news({ signal: ended, ...(orderId !== undefined && { orderId }) });
      if (!ended.aborted) events = await read(place);
    }
  } catch (err) {
    // The client sees the stream end and resumes with Last-Event-ID.
    request.log.warn({ err }, 'an event stream broke');
  } finally {
    clearInterval(heartbeat);
    reply.raw.end();
  }
  return reply;
}

/** A write per event costs more than the event; a write of all of them, each of which may be 10 KB, too much memory. */
function* inChunks<E extends StoredEvent>(events: E[], idOf: (event: E) => string): Generator<string> {
  let chunk = '';
  for (const event of events) {
    chunk += `id: ${idOf(event)}\nevent: ${event.type}\ndata: ${JSON.stringify(toCloudEvent(event))}\n\n`;
    if (chunk.length >= CHUNK_LENGTH) {
      yield chunk;
      chunk = '';
    }
  }
  if (chunk !== '') yield chunk;
}

async function write(reply: FastifyReply, ended: AbortSignal, chunk: string): Promise<void> {
  if (ended.aborted) return;
  const room = reply.raw.write(chunk);
  // A slow reader slows its own stream down instead of filling our memory.
  if (!room && !ended.aborted) {
    await once(reply.raw, 'drain', { signal: ended }).catch(() => undefined); // gone or stopping: the loop sees it
  }
}
