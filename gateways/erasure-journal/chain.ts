/**
 * The chain: each entry's hash is of the entry and of the hash before it. Its newest place is also kept in the database (its mark), so
 * that neither can be changed without the other showing it.
 */
import { createHash } from 'node:crypto';
import {
  JOURNAL_KINDS,
  type JournalEntry,
  type JournalNote,
  type JournalPlace,
} from '../../contracts/erasure-journal.js';
import { JournalSpoilt } from './journal.js';

const ERASURE_ID = /^[\w-]{1,64}$/;
const REFERENCE = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @throws if it is no reference: a client's id must never get into the journal, from which nothing can be removed */
export function entryAfter(place: JournalPlace, note: JournalNote, now: Date): JournalEntry {
  if (!ERASURE_ID.test(note.erasureId) || !REFERENCE.test(note.customer) || !JOURNAL_KINDS.includes(note.kind))
    throw new Error('Bug! The erasure journal takes ids of erasures and references of customers, nothing else');
  const { kind, erasureId, customer } = note;
  const entry = { position: place.position + 1, at: now.toISOString(), kind, erasureId, customer };
  return { ...entry, hash: hashOf(place.hash, entry) };
}

/** @returns the last of the entries as a place. @throws JournalSpoilt if one does not follow from that before it */
export function verifyChain(after: JournalPlace, entries: JournalEntry[], where: string): JournalPlace {
  let place = after;
  for (const entry of entries) {
    if (entry.position !== place.position + 1 || entry.hash !== hashOf(place.hash, entry))
      throw new JournalSpoilt(`entry ${place.position + 1} of the erasure journal ${where} is not what was written`);
    place = entry;
  }
  return { position: place.position, hash: place.hash };
}

/** @throws JournalSpoilt unless the entry at the place is the one that was there. @param found undefined = there is none */
export function verifyPlace(place: JournalPlace, found: { hash: string } | undefined, where: string): void {
  if (place.position === 0 || found?.hash === place.hash) return;
  throw new JournalSpoilt(
    found === undefined
      ? `the erasure journal ${where} ends before entry ${place.position}, which this database has read in it`
      : `entry ${place.position} of the erasure journal ${where} is another one than this database has read in it`,
  );
}

const hashOf = (before: string, { position, at, kind, erasureId, customer }: Omit<JournalEntry, 'hash'>): string =>
  createHash('sha256')
    .update(JSON.stringify([before, position, at, kind, erasureId, customer]))
    .digest('base64url');
