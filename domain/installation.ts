/**
 * This installation: by which id everything of ours at the gateway is known, and whether this database is the one that last
 * spoke for it there. A word, which is a random token, is kept here and on a marker at the gateway, and both are changed
 * every minute; a database that was restored or copied falls behind, and then moves no money until an operator adopts it.
 */
import { type Database, isNotNow } from './database.js';

export type Standing = {
  id: string;
  /** The marker's reference at the gateway; null = there is none yet. */
  marker: string | null;
  /** The word that the marker says; '' = just adopted: whatever it says is to be overwritten. */
  word: string | null;
  /** What it may say instead: written by a process that died, or is suspended, before it could note that. */
  offered: string[];
  /** From which cluster and database the word was written; null = unknown here. */
  cluster: string | null;
  heldSince: Date | null;
  heldBecause: string | null;
};

/** Gives the installation the id that INSTALLATION_ID names. Orders of before keep theirs. */
export async function nameInstallation(db: Database, id: string): Promise<void> {
  await db.installation.updateMany({ where: { id: { not: id } }, data: { id } });
}

/** @throws if the row is gone, which nothing of ours removes */
export async function readStanding(db: Database): Promise<Standing> {
  return db.installation.findFirstOrThrow({
    select: { id: true, marker: true, word: true, offered: true, cluster: true, heldSince: true, heldBecause: true },
  });
}

/**
 * Which cluster and database this is: a copy made by a dump, or beside the original, is another one.
 * @returns null where the role may not ask
 */
export async function readCluster(db: Database): Promise<string | null> {
  try {
    const [row] = await db.$queryRaw<{ cluster: string }[]>`
      SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid AS cluster
      FROM pg_database WHERE datname = current_database()`;
    return row?.cluster ?? null;
  } catch (err) {
    if (isNotNow(err)) throw err;
    return null;
  }
}

/** The marker says a word of ours after all. @returns false if nothing was held */
export async function releaseAccount(db: Database): Promise<boolean> {
  const released = await db.$executeRaw`
    UPDATE installation SET held_since = NULL, held_because = NULL WHERE held_since IS NOT NULL`;
  return released > 0;
}

/**
 * Notes what the first marker is to say, before there is one: after a crash in between, the marker is found again by that.
 * @returns the word, the same to all that ask; null if there is a marker by now
 */
export async function offerFirstWord(db: Database, word: string, cluster: string | null): Promise<string | null> {
  const [row] = await db.$queryRaw<{ word: string }[]>`
    UPDATE installation SET cluster = coalesce(cluster, ${cluster}),
      offered = CASE WHEN offered = '{}' THEN ARRAY[${word}] ELSE offered END
    WHERE marker IS NULL RETURNING offered[1] AS word`;
  return row?.word ?? null;
}

/** Keeps the first marker. @returns false if another process was faster: its marker counts */
export async function keepMarker(
  db: Database,
  { marker, word, cluster }: { marker: string; word: string; cluster: string | null },
): Promise<boolean> {
  const kept = await db.$executeRaw`
    UPDATE installation SET marker = ${marker}, word = ${word}, cluster = coalesce(cluster, ${cluster}), offered = '{}',
      spoken_at = now(), server_started_at = pg_postmaster_start_time()
    WHERE marker IS NULL`;
  return kept > 0;
}

/** Just adopted, and the marker is gone: from now on it is this one, whose word is still to be written. */
export async function moveMarker(db: Database, marker: string): Promise<void> {
  await db.$executeRaw`UPDATE installation SET marker = ${marker} WHERE word = ''`;
}

/** Offers that are remembered, for processes that were suspended; one is made a minute. */
const OFFERED_MAX = 20;

/**
 * Notes that a new word is about to be written to the marker.
 * @param pause.everyMs     not more often than this, over all processes; after an adoption at once
 * @param pause.elsewhereMs the same where the last word was written from another server than this one
 * @returns whether it is now to be written
 */
export async function offerWord(
  db: Database,
  word: string,
  { everyMs, elsewhereMs }: { everyMs: number; elsewhereMs: number },
): Promise<boolean> {
  const offered = await db.$executeRaw`
    UPDATE installation SET offered = (array_append(offered, ${word}))[greatest(1, cardinality(offered) + 2 - ${OFFERED_MAX}::int):],
      spoken_at = now(), server_started_at = pg_postmaster_start_time()
    WHERE held_since IS NULL AND marker IS NOT NULL
      AND (word = '' OR spoken_at IS NULL OR spoken_at < now() - interval '1 ms' *
        CASE WHEN server_started_at <> pg_postmaster_start_time() THEN ${elsewhereMs}::float8 ELSE ${everyMs}::float8 END)`;
  return offered > 0;
}

/**
 * How long ago, by the database's clock, the marker was last seen to say our word, by a process at this very server. A copy
 * does not take its original's answer: it is another database, or of another cluster, or its server started at another time.
 * @returns null if that is unknown, or has since been refuted
 */
export async function readWordAgeMs(db: Database, cluster: string | null): Promise<number | null> {
  const [row] = await db.$queryRaw<{ ageMs: number }[]>`
    SELECT (extract(epoch FROM clock_timestamp() - spoken_at) * 1000)::float8 AS "ageMs" FROM installation
    WHERE held_since IS NULL AND marker IS NOT NULL AND word <> ''
      AND cluster = ${cluster} AND server_started_at = pg_postmaster_start_time()`;
  return row?.ageMs ?? null;
}

/**
 * The marker says one of the words that were offered. The one that it said before stays among them: a process that notes
 * this late does not know that another word has been written since. An older word is no danger: a marker never says it again.
 */
export async function keepWord(db: Database, word: string, cluster: string | null): Promise<void> {
  await db.$executeRaw`
    UPDATE installation SET word = ${word}, cluster = coalesce(cluster, ${cluster}), offered = array_remove(array_append(array_remove(offered, ${word}), word), '')
    WHERE ${word} = ANY(offered)`;
}

/** The account does not know this database. @returns false if that was known */
export async function holdAccount(db: Database, because: string): Promise<boolean> {
  const held = await db.$executeRaw`
    UPDATE installation SET held_since = now(), held_because = ${because} WHERE held_since IS NULL`;
  return held > 0;
}

/**
 * An operator says that this database speaks for the installation: a new word is written to the marker, whatever it says. The
 * database that spoke for it until then is held from its next look on.
 */
export async function adoptAccount(
  db: Database,
  { operator, reason }: { operator: string; reason: string },
): Promise<boolean> {
  const adopted = await db.$executeRaw`
    UPDATE installation SET held_since = NULL, held_because = NULL, adopted_at = now(), adopted_by = ${operator},
      adopted_for = ${reason}, word = CASE WHEN marker IS NULL THEN NULL ELSE '' END, offered = '{}', cluster = NULL
    WHERE held_since IS NOT NULL`;
  return adopted > 0;
}
