/**
 * Moments of the feed: up to which time what a reader has had is complete. An event's `occurred_at` is taken at its insertion, by
 * when its transaction has its id. So whoever has an id of `nextXid` or above, as it was at a moment, writes events of after
 * that moment only; and all that is below `settledBelow` is shown. (A `feed_xid` may be above its writer's id, never below it; then
 * the order's previous event is of after the moment, and this one, which waited for the order's row, is too.)
 */
import type { Database } from './database.js';

export type FeedMoment = {
  /** Not later than the moment at which the two were so. */
  at: Date;
  /** The transaction id that is given out next. */
  nextXid: bigint;
  /** No transaction with an id below it runs. */
  settledBelow: bigint;
};

/**
 * As of now. Not within a transaction: its now() is of its start, and that is what `at` would say. A snapshot's own end is not the
 * next id, but the one after the last that has *ended*: others above it may be at work. age() counts from the next one.
 */
export async function readFeedMoment(db: Database): Promise<FeedMoment> {
  const [moment] = await db.$queryRaw<FeedMoment[]>`
    SELECT date_trunc('milliseconds', now()) AS at, pg_snapshot_xmin(s)::text::bigint AS "settledBelow",
      pg_snapshot_xmin(s)::text::bigint + age(pg_snapshot_xmin(s)::xid) AS "nextXid"
    FROM pg_current_snapshot() AS s`;
  if (!moment) throw new Error('Bug! A SELECT without conditions gave no row');
  return moment;
}
