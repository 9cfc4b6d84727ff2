/**
 * Changes of orders, as those who wait for them learn of one: relays, streams, requests that wait for an order's end. A hint: all
 * of them also look at intervals, so one that is lost costs that interval.
 *
 * Whoever notifies in a transaction takes a lock, at its commit, that every such commit of the database waits for. So where a
 * process has an announcer, a statement only returns what it has changed, and the announcer makes it known when the statement's
 * answer, and with it the commit, is there. Without one, as in a transaction or in the CLI, the statement notifies.
 */
import { ORDER_FINAL, OUTBOX_CHANNEL } from '../contracts/ids.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Statements } from './database.js';

/**
 * What a statement of `queryChanging` selects as `changed`; belongs where `id` is the order's.
 * @param isFinal the order is now CONFIRMED or CANCELLED: requests that wait for just that are woken by nothing else
 */
export function orderChanged(db: Statements, { isFinal = false } = {}): Prisma.Sql {
  const change = isFinal ? Prisma.sql`id::text || ${ORDER_FINAL}` : Prisma.sql`id::text`;
  return db.announcer ? change : Prisma.sql`pg_notify(${OUTBOX_CHANNEL}, ${change})::text`;
}

/** Runs a statement that changes orders, and has what its rows name as `changed` announced. */
export async function queryChanging<Row>(db: Statements, statement: Prisma.Sql): Promise<Row[]> {
  const rows = await db.$queryRaw<(Row & { changed: string | null })[]>(statement);
  for (const { changed } of rows) if (changed !== null) db.announcer?.announce(changed);
  return rows;
}
