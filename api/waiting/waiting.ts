/**
 * Waiting: requests that are held open until something changes: streams of events, and answers that wait for an order's final
 * status. However many there are, they cost Postgres a few statements a second per process while nothing happens.
 */
import type { Logger } from 'pino';
import type { CustomersTold, StoredEvent } from '../../contracts/events.js';
import type { StoredOrder } from '../../contracts/orders.js';
import type { Database } from '../../domain/database.js';
import { readFinalOrders } from '../../domain/orders.js';
import { readingOf, readNewEvents } from '../../domain/outbox.js';
import type { Channel } from '../../runtime/channel.js';
import { cursorOf } from '../http/feed-cursors.js';
import { encodeEvent } from '../http/server-sent-events.js';
import { createFeedTail, type FeedTail } from './feed-tail.js';
import { type BeginLifetime, createLifetimes } from './lifetimes.js';
import { createOrderChanges, type OrderChanges, POLL_MS } from './order-changes.js';
import { createOrderCustomers, type OrderCustomers } from './order-customers.js';
import { createOrderLookups, type OrderLookups } from './order-lookups.js';
import { createPlaces, type PlaceLimits, type Places, PLACES } from './places.js';

export type Waiting = {
  beginLifetime: BeginLifetime;
  streams: Places;
  waits: Places;
  customers: OrderCustomers;
  /** Resolve with the order once it is CONFIRMED or CANCELLED. */
  finalOrders: OrderLookups<void, StoredOrder>;
  /** Resolve with the order's events after a sequence. */
  newEvents: OrderLookups<number, StoredEvent[]>;
  feed: FeedTail;
  /** Resolves at a change of any order. */
  nextChange: OrderChanges['next'];
  stop(): Promise<void>;
};

export type WaitingOptions = {
  db: Database;
  /** Changes of orders. */
  changes: Pick<Channel, 'subscribe'>;
  stopping: AbortSignal;
  logger: Logger;
  /** Absent = the defaults. */
  streams?: PlaceLimits;
  waits?: PlaceLimits;
  pollMs?: number;
  /** What events say of their customer; absent = the client's id. */
  customersTold?: CustomersTold;
  /** Hears of each order that has become CONFIRMED or CANCELLED, unless the notification is lost; must not throw. */
  onFinal?: (orderId: string) => void;
};

/** Of one order: more than it ever has. Of all in one statement: an event may have 10 KB. */
const NEW_EVENTS = { perOrder: 100, total: 1_000 };

export function createWaiting(options: WaitingOptions): Waiting {
  const { db, logger, pollMs = POLL_MS, onFinal } = options;
  const finalOrders = createOrderLookups<void, StoredOrder, StoredOrder>({
    name: 'the look-up of final orders',
    find: async (waiting) => {
      const orders = await readFinalOrders(
        db,
        waiting.map(({ orderId }) => orderId),
      );
      return { found: new Map(orders.map((order) => [order.id, order])) };
    },
    answer: (order) => order,
    everyMs: pollMs,
    logger,
  });
  const newEvents = createOrderLookups<number, StoredEvent[], StoredEvent[]>({
    name: 'the look-up of new events',
    find: async (waiting) => {
      const after = waiting.map(({ orderId, abouts }) => ({ orderId, sequence: Math.min(...abouts) }));
      const events = await readNewEvents(db, after, NEW_EVENTS, readingOf(options.customersTold));
      return { found: byOrder(events), isCut: events.length === NEW_EVENTS.total };
    },
    answer: (events, after) => {
      const mine = events.filter(({ sequence }) => sequence > after);
      return mine.length > 0 ? mine : undefined;
    },
    everyMs: pollMs,
    logger,
  });
  const feed = createFeedTail({
    db,
    reading: readingOf(options.customersTold),
    encode: (event) => encodeEvent(cursorOf(event), event, options.customersTold),
    pollMs,
    logger,
  });
  const changes = createOrderChanges(
    options.changes,
    ({ orderId, isFinal }) => {
      newEvents.noteChange(orderId);
      if (isFinal) finalOrders.noteChange(orderId);
      if (isFinal && orderId !== undefined) onFinal?.(orderId);
      feed.noteChange();
    },
    pollMs,
  );
  return {
    beginLifetime: createLifetimes(options.stopping),
    streams: createPlaces(options.streams ?? PLACES),
    waits: createPlaces(options.waits ?? PLACES),
    customers: createOrderCustomers(),
    finalOrders,
    newEvents,
    feed,
    nextChange: changes.next,
    stop: async () => {
      changes.stop();
      await Promise.all([finalOrders.stop(), newEvents.stop(), feed.stop()]);
    },
  };
}

function byOrder(events: StoredEvent[]): Map<string, StoredEvent[]> {
  const found = new Map<string, StoredEvent[]>();
  for (const event of events) {
    const those = found.get(event.orderId);
    if (those) those.push(event);
    else found.set(event.orderId, [event]);
  }
  return found;
}
