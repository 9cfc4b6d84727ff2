/**
 * The backlog of a partition: what has been read for a destination and has not been taken, in the memory of the relay that
 * holds the partition's lease. It is kept as one stream per order, so that an order that fails delays no other: reading goes
 * on, and only the cursor waits before the oldest event that is still owed.
 */
import type { PartitionLease } from '../domain/cursors.js';
import type { FeedPlace, PartitionEvent, ToldEvent } from '../domain/outbox.js';
import type { DecidedDeadLetter } from '../domain/held-events.js';
import type { RenewedCursor } from './partition-leases.js';

export type PartitionBacklog = {
  lease: PartitionLease;
  /** Where the cursor stands in Postgres. */
  saved: FeedPlace;
  /** Since when it has stood there, by `performance.now()`. */
  savedAtMs: number;
  /** Up to where the feed has been read. */
  readTo: FeedPlace;
  streams: Map<string, OrderStream>;
};

/** An order stream: the events of one order that the destination is owed, and how the first of them has fared. */
export type OrderStream = {
  orderId: string;
  /** In sequence; with the place of each that the cursor, not a dead letter, answers for. */
  events: (ToldEvent & Partial<FeedPlace>)[];
  /** The open dead letter behind which these events have waited: they are found again by it, not by the cursor. */
  deadLetter?: DecidedDeadLetter;
  /** How its first event has failed so far. */
  trouble: Trouble;
};

export type Trouble = {
  tries: number;
  rejections: number;
  /** Failures may be uncertain rejections: how much speaks for the event being at fault, not the destination (hold-policy.ts). */
  faultScore: number;
  /** By `performance.now()`. */
  nextTryAtMs: number;
  /** The destination's counts when the event failed last. */
  counts?: DestinationCounts;
};
/** Events taken, and first events that failed for the first time: that they fail again is no news of the destination. */
export type DestinationCounts = { taken: number; failed: number };
export const noTrouble = (): Trouble => ({ tries: 0, rejections: 0, faultScore: 0, nextTryAtMs: 0 });

export const openBacklog = (
  { feedXid, feedPosition, askedAtMs, ...lease }: RenewedCursor,
  owner: string,
): PartitionBacklog => ({
  lease: { ...lease, owner },
  saved: { feedXid, feedPosition },
  savedAtMs: askedAtMs,
  readTo: { feedXid, feedPosition },
  streams: new Map(),
});

/** Takes in an event that has been read. One whose order is held by a dead letter waits, unless that is being worked off. */
export function addEvent(backlog: PartitionBacklog, event: PartitionEvent): void {
  backlog.readTo = { feedXid: event.feedXid, feedPosition: event.feedPosition };
  const stream = backlog.streams.get(event.orderId);
  if (event.isDiscarded) return;
  if (event.isHeld && !stream?.deadLetter) return;
  if (!stream) backlog.streams.set(event.orderId, { orderId: event.orderId, events: [event], trouble: noTrouble() });
  else if (event.sequence > (stream.events.at(-1)?.sequence ?? 0)) stream.events.push(event);
}

/** @returns the place up to which nothing is owed but what dead letters answer for */
export function servedUpTo(backlog: PartitionBacklog): FeedPlace {
  let served = backlog.readTo;
  for (const { deadLetter, events } of backlog.streams.values()) {
    const [first] = events;
    if (deadLetter || first?.feedXid === undefined || first.feedPosition === undefined) continue;
    const before = { feedXid: first.feedXid, feedPosition: first.feedPosition - 1n };
    if (isBefore(before, served)) served = before;
  }
  return served;
}

export const isBefore = (a: FeedPlace, b: FeedPlace): boolean =>
  a.feedXid < b.feedXid || (a.feedXid === b.feedXid && a.feedPosition < b.feedPosition);

/**
 * Whether what is in memory goes on from this cursor. Not if the lease is another one, or another server has given it: it may lack the
 * end of what this process has read, and have other events there. Nor if the cursor stands before what was saved: it was set back.
 */
export const goesOnFrom = ({ lease, saved, savedAtMs }: PartitionBacklog, cursor: RenewedCursor): boolean =>
  lease.epoch === cursor.epoch &&
  lease.serverSince === cursor.serverSince &&
  !(savedAtMs < cursor.askedAtMs && isBefore(cursor, saved));

/** The dead letter whose own event is what the stream is to send next: a replay that has not got through. */
export const replayOf = ({ deadLetter, events }: OrderStream): DecidedDeadLetter | undefined =>
  deadLetter !== undefined && deadLetter.sequence === events[0]?.sequence ? deadLetter : undefined;

/** Events in memory: of orders without a failure, of those whose first event has failed, and those that dead letters answer for. */
export type Owed = { flowing: number; troubled: number; behindDeadLetters: number };

export function countOwed(backlogs: Iterable<PartitionBacklog>): Owed {
  const owed = { flowing: 0, troubled: 0, behindDeadLetters: 0 };
  for (const backlog of backlogs) {
    for (const { deadLetter, trouble, events } of backlog.streams.values()) {
      owed[deadLetter ? 'behindDeadLetters' : trouble.tries > 0 ? 'troubled' : 'flowing'] += events.length;
    }
  }
  return owed;
}
