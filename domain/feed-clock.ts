/**
 * The feed's clock: the cluster's transaction ids, by which the feed is ordered. It goes forwards for ever, but belongs to one
 * cluster: in another, into which the tables were restored by pg_restore, the counter may stand below what is stored. New
 * events would then sort before old ones, and every cursor would skip them. The same a little differently where a standby is promoted
 * that lacks the newest, or where an earlier moment is restored: the tables agree with the counter, and readers stand beyond it. Either
 * begins another timeline of the cluster, by which it is noticed.
 */
import { Prisma } from '../prisma/generated/client.js';
import type { Statements } from './database.js';

/** `highest` = the largest id that events and cursors hold; `next` = the one that the cluster gives out next. */
export type FeedClock = { highest: bigint; next: bigint };

/** Two looks at indexes. */
const reading = Prisma.sql`
  SELECT greatest((SELECT max(feed_xid) FROM outbox), (SELECT max(feed_xid) FROM relay_cursors), 0) AS highest,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next`;

export async function readFeedClock(db: Statements): Promise<FeedClock> {
  const [clock] = await db.$queryRaw<FeedClock[]>(reading);
  if (!clock) throw new Error('Bug! A SELECT without FROM gave no row');
  return clock;
}

/** @returns how many ids are missing until the feed goes on where it was; 0 = all is well */
export const feedClockLag = ({ highest, next }: FeedClock): bigint => (highest < next ? 0n : highest - next + 1n);

/** Some 0.3 s of a statement's 4 s. */
const STRIDE = 20_000;

/** Uses up transaction ids: at most so many, and no more than it takes. @returns how the clock stands then */
export async function advanceFeedClock(db: Statements): Promise<FeedClock> {
  const lag = feedClockLag(await readFeedClock(db));
  await useUp(db, lag);
  return readFeedClock(db);
}

/** Uses up transaction ids: at most so many, and no more than are wanted. @returns how many */
export async function useUp(db: Statements, wanted: bigint): Promise<bigint> {
  const count = wanted < BigInt(STRIDE) ? Number(wanted) : STRIDE;
  // A DO statement takes no parameters; each COMMIT ends a transaction that has done nothing but take its id.
  await db.$executeRaw(
    Prisma.raw(`DO $$ BEGIN FOR i IN 1..${count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`),
  );
  return BigInt(count);
}

/** Ids that a standby may lack, at a thousand a second for more than three minutes; some 3 s, for which the service stands still. */
const LOST_MAX = 200_000n;

/** A mark per timeline, in the table of progress marks: the clock has been put ahead on it, or it is the first that was seen. */
const MARK = 'feed-ahead-on-';

/**
 * @returns the timeline on which this server writes, if the clock has not been put ahead on it yet; null if it has, or if this is a
 * standby. The first that is ever seen counts as right.
 */
export async function readStrangeTimeline(db: Statements): Promise<string | null> {
  const [row] = await db.$queryRaw<{ timeline: string | null }[]>`
    WITH present AS MATERIALIZED (
      SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline
    )
    SELECT timeline FROM present WHERE NOT EXISTS (SELECT FROM progress_marks WHERE name = ${MARK}::text || timeline)`;
  const timeline = row?.timeline ?? null;
  if (timeline === null) return null;
  const known = await db.$queryRaw<
    unknown[]
  >`SELECT FROM progress_marks WHERE starts_with(name, ${MARK}::text) LIMIT 1`;
  if (known.length > 0) return timeline;
  await noteAheadOn(db, timeline);
  return null;
}

async function noteAheadOn(db: Statements, timeline: string): Promise<void> {
  await db.$executeRaw`
    INSERT INTO progress_marks (name, reached_at) VALUES (${MARK}::text || ${timeline}::text, now()) ON CONFLICT DO NOTHING`;
}

/**
 * Uses up more ids than a standby that was promoted may lack. Several processes at once do it together: each looks at the counter.
 * @returns how the clock stands then
 */
export async function goAheadOn(db: Statements, timeline: string): Promise<FeedClock> {
  const { next: from } = await readFeedClock(db);
  for (let next = from; next < from + LOST_MAX; next = (await readFeedClock(db)).next) {
    await useUp(db, from + LOST_MAX - next);
    if ((await readStrangeTimeline(db)) === null) break; // another process has done it
  }
  await noteAheadOn(db, timeline);
  return readFeedClock(db);
}
