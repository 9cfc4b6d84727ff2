/** Events live, as Server-Sent Events: of one order until it is CANCELLED, and the whole feed. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Order } from '../../contracts/orders.js';
import { readingAs, readOrderEvents } from '../../domain/outbox.js';
import { eventFor } from '../access/customers-view.js';
import { type Caller, confinedTo } from '../access/permissions.js';
import type { ApiDependencies } from '../dependencies.js';
import { lastEventId, type StreamContent, streamEvents } from '../http/event-stream.js';
import {
  beginFeed,
  type FeedCursor,
  PLACE,
  placeOf,
  requireKept,
  requireSequenceKept,
  SEQUENCE,
} from '../http/feed-cursors.js';
import { badCursor, decodeCursor } from '../http/pages.js';
import { inChunks, RETRY } from '../http/server-sent-events.js';
import { refusedPlace } from '../waiting/places.js';
import { requireOrder } from './orders.js';

const LAST_EVENT_ID = 'headers/last-event-id';
/** Events of an order that are read at a time; it has some ten. */
const EVENTS_MAX = 100;

/** @param after where a client begins that has no Last-Event-ID; undefined = with the oldest event that is kept */
export async function streamFeed(
  deps: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  after: FeedCursor | undefined,
): Promise<FastifyReply> {
  const last = lastEventId(request);
  const from = last === undefined ? after : placeOf(decodeCursor(last, PLACE, LAST_EVENT_ID));
  return streamEvents(deps, request, reply, (signal) => followFeed(deps, from, signal));
}

export async function streamOrder(
  deps: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  id: string,
): Promise<FastifyReply> {
  const last = lastEventId(request);
  if (last !== undefined && !SEQUENCE.test(last)) throw badCursor(LAST_EVENT_ID);
  const { customers } = deps.waiting;
  const customerId = customers.recall(id);
  const content: StreamContent = async function* (signal, place) {
    const order = await requireOrder(deps, id, request.caller);
    request.drawFor(order.customerId);
    if (customerId === undefined) {
      customers.remember(id, order.customerId);
      const refusal = place.countFor(order.customerId);
      if (refusal) throw refusedPlace(refusal, 'event streams of this customer');
    }
    yield* followOrder(deps, order, last, request.caller, signal);
  };
  return streamEvents(deps, request, reply, content, customerId);
}

/** An order's events after the last that the client has, until it is CANCELLED: a confirmed one may still be. */
async function* followOrder(
  { db, waiting, customersTold }: ApiDependencies,
  { id, status }: Order,
  last: string | undefined,
  caller: Caller,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const [own, show] = [confinedTo(caller, 'read'), eventFor(caller)];
  const watch = waiting.newEvents.watch(id); // before the read, so that nothing falls between the two
  try {
    let sequence = Number(last ?? 0);
    const reading = await readingAs(db, own, customersTold);
    let events = await readOrderEvents(db, id, sequence, EVENTS_MAX, reading);
    if (last !== undefined) await requireSequenceKept(db, id, sequence, events[0]?.sequence);
    let isOver = status === 'CANCELLED';
    if (isOver && events.length === 0) return;
    yield RETRY;
    while (!signal.aborted) {
      yield* inChunks(events.map(show), (event) => `${event.sequence}`, customersTold);
      sequence = events.at(-1)?.sequence ?? sequence;
      isOver ||= events.some(({ type }) => type === 'order.cancelled');
      const isCut = events.length === EVENTS_MAX;
      if (isOver && !isCut) return;
      events = isCut
        ? await readOrderEvents(db, id, sequence, EVENTS_MAX, reading)
        : ((await watch.next(sequence, signal)) ?? []);
    }
  } finally {
    watch.close();
  }
}

async function* followFeed(
  { db, waiting }: ApiDependencies,
  after: FeedCursor | undefined,
  signal: AbortSignal,
): AsyncGenerator<string | Uint8Array, void> {
  const from = after ?? (await beginFeed(db));
  const reader = waiting.feed.follow(from);
  try {
    let piece = await reader.read();
    await requireKept(db, from);
    yield RETRY;
    while (!signal.aborted) {
      if (piece) yield piece.bytes;
      else await reader.news(signal);
      piece = await reader.read();
    }
  } finally {
    reader.close();
  }
}
