/** What stands in an order's timeline: one list of what happened and what is awaited, each with its time, where it is on record, and how it stands. */

/** saga: steps, undos, waits, decisions · attempts: those that failed, and the one that is under way · money: at the gateway. */
export const LANES = ['saga', 'attempts', 'money', 'events', 'deliveries'] as const;
export type Lane = (typeof LANES)[number];

export const KINDS = [
  'accepted',
  'begun',
  'step',
  'undo',
  'wait',
  'decision',
  'attempt',
  'charge',
  'refund',
  'dispute',
  'finding',
  'event',
  'delivery',
  'next',
] as const;
export type EntryKind = (typeof KINDS)[number];

/**
 * How it stands: over (`done` … `not-taken`), going on (`running` … `reported`), or still to come (`pending` = its turn is not
 * yet; `awaited` = it comes by itself).
 */
export const ENTRY_STATUSES = [
  'done',
  'refused',
  'failed',
  'skipped',
  'undone',
  'nothing-to-undo',
  'decided',
  'not-taken',
  'delivered',
  'discarded',
  'running',
  'retrying',
  'parked',
  'waiting',
  'dead',
  'disputed',
  'reported',
  'pending',
  'awaited',
] as const;
export type EntryStatus = (typeof ENTRY_STATUSES)[number];

/** `log` = the saga's log in Postgres, which outlives Temporal's history; `saga` = Temporal, of a saga that has work to do. */
export const ENTRY_SOURCES = ['row', 'log', 'saga', 'event', 'gateway', 'finding', 'relay'] as const;
export type EntrySource = (typeof ENTRY_SOURCES)[number];

export type Entry = {
  /** null = it is to come, at no time that is known. */
  at: string | null;
  /** The same as `at` = a moment; null = it is not over, or has not begun. */
  until: string | null;
  lane: Lane;
  kind: EntryKind;
  status: EntryStatus;
  source: EntrySource;
  what: string;
  step?: string;
  /** Which of all attempts at the step; `times` = how many are folded into this entry. */
  attempts?: { first: number; last: number; times: number };
  error?: { failure: string; message: string | null };
  /** Who decided it, and why. */
  by?: string;
  reason?: string;
  money?: { amount: number; currency: string; reference: string | null };
  destination?: string;
  /** The order's events that it is about, by their sequence. */
  sequences?: number[];
  deadLetterId?: string;
};

export const moment = (at: string): Pick<Entry, 'at' | 'until'> => ({ at, until: at });

const RANK = new Map(LANES.map((lane, i) => [lane, i]));
const LAST = '~';

/** By time, what has none last; of the same moment first what ended first, and then as the lanes stand. */
export function inOrder(entries: Entry[]): Entry[] {
  const of = (time: string | null) => time ?? LAST;
  return entries.toSorted((a, b) => {
    const byTime = compare(of(a.at), of(b.at)) || compare(of(a.until), of(b.until));
    return byTime || (RANK.get(a.lane) ?? 0) - (RANK.get(b.lane) ?? 0);
  });
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
