/**
 * What this database knows of the erasure journal. A database that was restored does not know of erasures that came after its backup:
 * the journal does, and nothing is served before they are carried out anew. The mark says up to which entry all are known, so that what
 * is read at a start is bounded by what is new.
 *
 * An erasure and its entries: (1) the request commits here; (2) `requested` is appended; (3) everything is destroyed here, `erased_at`
 * last; (4) `done` is appended; (5) the erasure is said to be done. Whoever dies in between goes on from what is here, and appends again
 * what may be missing. `done` is never in the journal before `erased_at` is here: a crash alone never looks like a restore.
 */
import { JOURNAL_START, type JournalEntry, type JournalPlace } from '../contracts/erasure-journal.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Database, Statements } from './database.js';

/** What is needed of the journal to compare it; see gateways/erasure-journal. */
export type JournalReader = { readAfter(place: JournalPlace, limit: number): Promise<JournalEntry[]> };

/** Some 300 KB, and one statement. */
const PAGE = 1_000;

/**
 * Tells this state of the database from those that a restore may put in its place: another server, the same one started anew over
 * another disk, another database, tables that were loaded anew.
 */
const incarnation = Prisma.sql`
  to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || ' ' ||
  (SELECT oid FROM pg_database WHERE datname = current_database())::text || ' ' || 'customers'::regclass::oid::text`;

export async function readIncarnation(db: Statements): Promise<string> {
  const [row] = await db.$queryRaw<{ incarnation: string }[]>(Prisma.sql`SELECT ${incarnation} AS incarnation`);
  if (!row) throw new Error('Bug! A SELECT without FROM gave no row');
  return row.incarnation;
}

/** `incarnation` = in which state of the database that was true; null = nothing was read yet. */
export type JournalMark = JournalPlace & { incarnation: string | null };

export async function readMark(db: Statements): Promise<JournalMark> {
  const [row] = await db.$queryRaw<{ position: number; hash: string; incarnation: string }[]>`
    SELECT position::float8 AS position, hash, incarnation FROM erasure_journal_mark`;
  return row ?? { ...JOURNAL_START, incarnation: null };
}

/** @returns whether this very state of the database was compared with the journal; false also if it does not answer */
export async function wasCompared(db: Statements): Promise<boolean> {
  try {
    const [{ incarnation }, present] = await Promise.all([readMark(db), readIncarnation(db)]);
    return incarnation === present;
  } catch {
    return false;
  }
}

/** The mark goes forward only. @param place up to which every entry is known here */
export async function moveMark(db: Statements, place: JournalPlace): Promise<void> {
  await db.$executeRaw`
    INSERT INTO erasure_journal_mark AS m (position, hash, incarnation)
    VALUES (${place.position}::bigint, ${place.hash}, ${incarnation})
    ON CONFLICT (singleton) DO UPDATE SET incarnation = excluded.incarnation, read_at = now(),
      position = excluded.position, hash = excluded.hash
    WHERE m.position <= excluded.position AND (m.position, m.incarnation) <> (excluded.position, excluded.incarnation)`;
}

/** Forgets what was read, where another journal takes the place of one that is lost. */
export async function forgetMark(db: Statements): Promise<void> {
  await db.$executeRaw`UPDATE erasure_journal_mark SET position = 0, hash = '', incarnation = ''`;
}

/**
 * @returns those of the entries whose erasure is not known here: who is still known although the erasure is done, or of whom none was asked
 *   for. A customer who is not here has nothing to be erased.
 */
async function unknownOf(db: Statements, entries: JournalEntry[]): Promise<JournalEntry[]> {
  const unknown = await db.$queryRaw<{ position: number }[]>`
    SELECT e.position::float8 AS position
    FROM unnest(${entries.map((e) => e.position)}::bigint[], ${entries.map((e) => e.customer)}::uuid[],
      ${entries.map((e) => e.kind)}::text[]) AS e (position, customer, kind)
      JOIN customers c ON c.reference = e.customer
    WHERE c.erasing_since IS NULL OR (e.kind = 'done' AND c.client_id IS NOT NULL)`;
  const positions = new Set(unknown.map(({ position }) => position));
  return entries.filter(({ position }) => positions.has(position));
}

export type Comparison = {
  /** Erasures that the journal has and this database does not know, oldest first. */
  unknown: JournalEntry[];
  /** How many entries were read. */
  read: number;
};

/**
 * Reads the journal from the mark on. Where all is known the mark moves to its end: a note about this database, and safe at any time.
 * @param from where to begin instead; JOURNAL_START = all of it, so that its whole chain is verified
 * @throws what the journal throws, when it is away or spoilt
 */
export async function compareJournal(db: Statements, journal: JournalReader, from?: JournalPlace): Promise<Comparison> {
  const unknown: JournalEntry[] = [];
  let place: JournalPlace = from ?? (await readMark(db));
  let read = 0;
  for (;;) {
    const entries = await journal.readAfter(place, PAGE);
    const last = entries.at(-1);
    if (last === undefined) break;
    unknown.push(...(await unknownOf(db, entries)));
    read += entries.length;
    place = { position: last.position, hash: last.hash };
  }
  // A database that takes no changes just now has its mark moved by whoever compares next.
  if (unknown.length === 0) await moveMark(db, place).catch(() => undefined);
  return { unknown, read };
}

/** Those of whom an erasure is known here, by reference. @param after where the page before ended, '' = the first */
export async function listErasing(
  db: Statements,
  after: string,
  limit: number,
): Promise<{ reference: string; isErased: boolean }[]> {
  return db.$queryRaw<{ reference: string; isErased: boolean }[]>`
    SELECT reference::text AS reference, erased_at IS NOT NULL AS "isErased" FROM customers
    WHERE erasing_since IS NOT NULL AND (${after} = '' OR reference > nullif(${after}, '')::uuid)
    ORDER BY reference LIMIT ${limit}`;
}

/** Of those who append to a journal in a file. It ends with its session, however that ends. */
export const aloneAtJournal =
  (db: Pick<DatabaseWithTransactions, '$transaction'>) =>
  <T>(work: () => Promise<T>): Promise<T> =>
    db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtext('order-saga erasure journal'))::text`;
      return work();
    });

type DatabaseWithTransactions = { $transaction<T>(work: (tx: Database) => Promise<T>): Promise<T> };
