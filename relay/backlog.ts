/**
 * A lane: one partition of a destination in the memory of the relay that serves it. It holds what has been read and not
 * been taken, order by order, so that an order that fails holds back nobody else: the lane reads on, and only its cursor
 * waits before the oldest event that is still owed.
 */
import type { StoredEvent } from '../contracts/events.js';
import type { Lease, LeasedCursor } from '../domain/cursors.js';
import type { FeedPlace, PartitionEvent } from '../domain/outbox.js';
import type { DecidedLetter } from '../domain/held-events.js';

export type Lane = {
  lease: Lease;
  /** Where the cursor stands in Postgres. */
  saved: FeedPlace;
  /** Up to where the feed has been read. */
  readTo: FeedPlace;
  orders: Map<string, OwedOrder>;
};

/** What is owed of one order, and how its first event has fared. */
export type OwedOrder = {
  orderId: string;
  /** In sequence; with the place of each that the cursor, not a letter, answers for. */
  events: (StoredEvent & Partial<FeedPlace>)[];
  /** The open letter behind which these events have waited: they are found again by it, not by the cursor. */
  letter?: DecidedLetter;
  /** How its first event has failed so far. */
  trouble: Trouble;
};

export type Trouble = {
  tries: number;
  rejections: number;
  /** How sure it is that the event, not the destination, is at fault: see poison.ts. */
  doubt: number;
  /** By `performance.now()`. */
  nextTryAtMs: number;
  /** The destination's counts when the event failed last. */
  counts?: Counts;
};
/** Events taken, and first events that failed for the first time: that they fail again is no news of the destination. */
export type Counts = { taken: number; failed: number };
export const noTrouble = (): Trouble => ({ tries: 0, rejections: 0, doubt: 0, nextTryAtMs: 0 });

export const openLane = ({ feedXid, feedPosition, ...lease }: LeasedCursor, owner: string): Lane => ({
  lease: { ...lease, owner },
  saved: { feedXid, feedPosition },
  readTo: { feedXid, feedPosition },
  orders: new Map(),
});

/** Takes in an event that has been read. One whose order is held by a letter waits, unless the letter is being worked off. */
export function addEvent(lane: Lane, event: PartitionEvent): void {
  lane.readTo = { feedXid: event.feedXid, feedPosition: event.feedPosition };
  const order = lane.orders.get(event.orderId);
  if (event.isDiscarded) return;
  if (event.isHeld && !order?.letter) return;
  if (!order) lane.orders.set(event.orderId, { orderId: event.orderId, events: [event], trouble: noTrouble() });
  else if (event.sequence > (order.events.at(-1)?.sequence ?? 0)) order.events.push(event);
}

/** @returns the place up to which nothing is owed but what letters answer for */
export function servedUpTo(lane: Lane): FeedPlace {
  let served = lane.readTo;
  for (const { letter, events } of lane.orders.values()) {
    const [first] = events;
    if (letter || first?.feedXid === undefined || first.feedPosition === undefined) continue;
    const before = { feedXid: first.feedXid, feedPosition: first.feedPosition - 1n };
    if (isBefore(before, served)) served = before;
  }
  return served;
}

export const isBefore = (a: FeedPlace, b: FeedPlace): boolean =>
  a.feedXid < b.feedXid || (a.feedXid === b.feedXid && a.feedPosition < b.feedPosition);

/** The letter whose own event is what the order is to send next: a replay that has not got through. */
export const replayOf = ({ letter, events }: OwedOrder): DecidedLetter | undefined =>
  letter !== undefined && letter.sequence === events[0]?.sequence ? letter : undefined;

/** Events in memory: of orders that flow, of those whose first event has failed, and those that letters answer for. */
export type Owed = { flowing: number; troubled: number; ofLetters: number };

export function countOwed(lanes: Iterable<Lane>): Owed {
  const owed = { flowing: 0, troubled: 0, ofLetters: 0 };
  for (const lane of lanes) {
    for (const { letter, trouble, events } of lane.orders.values()) {
      owed[letter ? 'ofLetters' : trouble.tries > 0 ? 'troubled' : 'flowing'] += events.length;
    }
  }
  return owed;
}
