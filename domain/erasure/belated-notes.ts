/**
 * Erasures that the erasure journal does not have, since they were done while there was none, or before the one that there is: a restore
 * of the database would take them back. They are written into it afterwards; one that comes twice means nothing.
 */
import type { JournalNote } from '../../contracts/erasure-journal.js';
import { Prisma } from '../../prisma/generated/client.js';
import type { Statements } from '../database.js';
import { markNoted } from './erasures.js';

/** Of the open ones the eraser notes each by itself, before it destroys anything. */
const DONE = Prisma.sql`state = 'done' AND reference IS NOT NULL`;
const PAGE = 100;

/** @param isEmpty whether the journal is: then it has none of those either that were noted in another one */
export async function countBelated(db: Statements, isEmpty: boolean): Promise<number> {
  const [row] = await db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM erasures WHERE ${DONE} AND (${isEmpty} OR noted_at IS NULL)`;
  return row?.count ?? 0;
}

/** Where the journal is empty: whatever was noted stood in another one. */
export const forgetNotes = (db: Statements): Promise<number> =>
  db.$executeRaw`UPDATE erasures SET noted_at = NULL WHERE ${DONE} AND noted_at IS NOT NULL`;

/** Where the journal was written anew from what the database knows: it has them. */
export const markAllNoted = (db: Statements): Promise<number> =>
  db.$executeRaw`UPDATE erasures SET noted_at = now() WHERE ${DONE} AND noted_at IS NULL`;

/** Oldest first, up to a page of them; who dies in between leaves the rest, or one to be noted again. @returns how many */
export async function noteBelated(db: Statements, note: (note: JournalNote) => Promise<unknown>): Promise<number> {
  const belated = await db.$queryRaw<{ id: string; reference: string }[]>`
    SELECT id::text AS id, reference::text AS reference FROM erasures WHERE ${DONE} AND noted_at IS NULL
    ORDER BY done_at, id LIMIT ${PAGE}`;
  for (const { id, reference } of belated) {
    for (const kind of ['requested', 'done'] as const) await note({ kind, erasureId: id, customer: reference });
    await markNoted(db, id);
  }
  return belated.length;
}
