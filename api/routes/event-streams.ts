/** Events live, as Server-Sent Events: of one order until it is CANCELLED, and the whole feed. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Order } from '../../contracts/orders.js';
import { type FeedPlace, readOrderEvents } from '../../domain/outbox.js';
import type { ApiDependencies } from '../dependencies.js';
import { inChunks, lastEventId, RETRY, type StreamContent, streamEvents } from '../http/event-stream.js';
import { decodePlace } from '../http/feed-places.js';
import { badCursor } from '../http/pages.js';
import { refusedPlace } from '../waiting/places.js';
import { requireOrder } from './orders.js';

const LAST_EVENT_ID = 'headers/last-event-id';
const SEQUENCE = /^\d{1,9}$/;
/** Events of an order that are read at a time; it has some ten. */
const EVENTS_MAX = 100;

/** @param from where a client begins that has no Last-Event-ID */
export async function streamFeed(
  deps: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  from: FeedPlace,
): Promise<FastifyReply> {
  const last = lastEventId(request);
  const place = last === undefined ? from : decodePlace(last, LAST_EVENT_ID);
  return streamEvents(deps, request, reply, (signal) => followFeed(deps, place, signal));
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
    if (customerId === undefined) {
      customers.remember(id, order.customerId);
      const refusal = place.countFor(order.customerId);
      if (refusal) throw refusedPlace(refusal, 'event streams of this customer');
    }
    yield* followOrder(deps, order, last === undefined ? 0 : Number(last), signal);
  };
  return streamEvents(deps, request, reply, content, customerId);
}

/** An order's events after a sequence, until it is CANCELLED: a confirmed one may still be. */
async function* followOrder(
  { db, waiting }: ApiDependencies,
  { id, status }: Order,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const watch = waiting.newEvents.watch(id); // before the read, so that nothing falls between the two
  try {
    let sequence = after;
    let events = await readOrderEvents(db, id, sequence, EVENTS_MAX);
    let isOver = status === 'CANCELLED';
    if (isOver && events.length === 0) return;
    yield RETRY;
    while (!signal.aborted) {
      yield* inChunks(events, (event) => `${event.sequence}`);
      sequence = events.at(-1)?.sequence ?? sequence;
      isOver ||= events.some(({ type }) => type === 'order.cancelled');
      const isCut = events.length === EVENTS_MAX;
      if (isOver && !isCut) return;
      events = isCut
        ? await readOrderEvents(db, id, sequence, EVENTS_MAX)
        : ((await watch.next(sequence, signal)) ?? []);
    }
  } finally {
    watch.close();
  }
}

async function* followFeed(
  { waiting }: ApiDependencies,
  from: FeedPlace,
  signal: AbortSignal,
): AsyncGenerator<string | Uint8Array, void> {
  const reader = waiting.feed.follow(from);
  try {
    let piece = await reader.read(signal);
    yield RETRY;
    while (!signal.aborted) {
      if (piece) yield piece.bytes;
      else await reader.news(signal);
      piece = await reader.read(signal);
    }
  } finally {
    reader.close();
  }
}
