/**
 * The port to the erasure journal, and what can be wrong with it. It stands outside the database and its backups: whatever is restored,
 * the journal is as it was.
 */
import type { JournalEntry, JournalNote, JournalPlace } from '../../contracts/erasure-journal.js';

export type ErasureJournal = {
  /** For sentences; without a password. */
  where: string;
  /**
   * Resolves once the entry would survive a crash of its machine.
   * @throws JournalAway: it may be there all the same, and is to be written again
   */
  append(note: JournalNote): Promise<JournalEntry>;
  /** @returns at most so many entries behind the place, whose chain was verified from there on; it is bounded by `limit` alone */
  readAfter(place: JournalPlace, limit: number): Promise<JournalEntry[]>;
  /** The cluster that it is in, as Postgres names it; null = in none, or the role may not ask. */
  cluster(): Promise<string | null>;
  close(): Promise<void>;
};

/** It does not answer, or takes nothing at the moment: an erasure waits for it. */
export class JournalAway extends Error {
  override name = 'JournalAway';
}

/** It is not what was written: cut, changed, or another one. Waiting changes nothing. */
export class JournalSpoilt extends Error {
  override name = 'JournalSpoilt';
}
