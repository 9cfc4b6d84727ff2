/**
 * The feed's horizon: the place up to which events have left the feed, by retention. A reader who stands before it has missed
 * some, unless it began there knowing that. What leaves is not always the oldest: events that a destination still owes stay,
 * and may lie before the horizon.
 */
import type { Database } from './database.js';
import type { FeedPlace } from './outbox.js';

/** `occurredAt`: of the newest event that has left. */
export type FeedHorizon = FeedPlace & { occurredAt: Date };

/** @returns undefined if nothing has left yet */
export async function readFeedHorizon(db: Database): Promise<FeedHorizon | undefined> {
  const [row] = await db.$queryRaw<FeedHorizon[]>`
    SELECT feed_xid AS "feedXid", feed_position AS "feedPosition", occurred_at AS "occurredAt" FROM feed_horizon`;
  return row;
}

export const isBefore = (a: FeedPlace, b: FeedPlace): boolean =>
  a.feedXid < b.feedXid || (a.feedXid === b.feedXid && a.feedPosition < b.feedPosition);
