/**
 * The feed's clock: the cluster's transaction ids, by which the feed is ordered. It goes forwards for ever, but belongs to one
 * cluster: in another, into which the tables were restored by pg_restore, the counter may stand below what is stored. New
 * events would then sort before old ones, and every cursor would skip them.
 */
import { Prisma } from '../prisma/generated/client.js';
import type { Database } from './database.js';

/** `highest` = the largest id that events and cursors hold; `next` = the one that the cluster gives out next. */
export type FeedClock = { highest: bigint; next: bigint };

/** Two looks at indexes. */
const reading = Prisma.sql`
  SELECT greatest((SELECT max(feed_xid) FROM outbox), (SELECT max(feed_xid) FROM relay_cursors), 0) AS highest,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next`;

export async function readFeedClock(db: Database): Promise<FeedClock> {
  const [clock] = await db.$queryRaw<FeedClock[]>(reading);
  if (!clock) throw new Error('Bug! A SELECT without FROM gave no row');
  return clock;
}

/** The same over a connection that is no pool's yet. */
export async function readFeedClockOver(connection: {
  query(sql: string): Promise<{ rows: { highest: string; next: string }[] }>;
}): Promise<FeedClock> {
  const { rows } = await connection.query(reading.sql);
  const [clock] = rows;
  if (!clock) throw new Error('Bug! A SELECT without FROM gave no row');
  return { highest: BigInt(clock.highest), next: BigInt(clock.next) };
}

/** @returns how many ids are missing until the feed goes on where it was; 0 = all is well */
export const feedClockLag = ({ highest, next }: FeedClock): bigint => (highest < next ? 0n : highest - next + 1n);

/** Some 0.3 s of a statement's 4 s. */
const STRIDE = 20_000;

/** Uses up transaction ids: at most so many, and no more than it takes. @returns how the clock stands then */
export async function advanceFeedClock(db: Database): Promise<FeedClock> {
  const lag = feedClockLag(await readFeedClock(db));
  await useUp(db, lag);
  return readFeedClock(db);
}

/** Uses up transaction ids: at most so many, and no more than are wanted. @returns how many */
export async function useUp(db: Database, wanted: bigint): Promise<bigint> {
  const count = wanted < BigInt(STRIDE) ? Number(wanted) : STRIDE;
  // A DO statement takes no parameters; each COMMIT ends a transaction that has done nothing but take its id.
  await db.$executeRaw(
    Prisma.raw(`DO $$ BEGIN FOR i IN 1..${count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`),
  );
  return BigInt(count);
}
