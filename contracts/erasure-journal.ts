/**
 * The erasure journal: which customers were erased, kept where a restore of the database does not reach. It knows a customer by the
 * reference alone, which says nothing to whoever has not the database, and nothing more once the customer is erased.
 */

/** `requested` = before anything is destroyed; `done` = the database knows the customer as erased. */
export const JOURNAL_KINDS = ['requested', 'done'] as const;
export type JournalKind = (typeof JOURNAL_KINDS)[number];

export type JournalNote = {
  kind: JournalKind;
  /** The erasure's id. */
  erasureId: string;
  /** The customer's reference. */
  customer: string;
};

/** Notes come once or more: whoever died between writing one and noting that it is written writes it again. */
export type JournalEntry = JournalNote & {
  /** 1, 2, 3… without a gap. */
  position: number;
  at: string;
  /** Of the entry and of the hash before it: an entry that was changed, or has gone from the middle, breaks every later one. */
  hash: string;
};

/** An entry as a place in the journal. */
export type JournalPlace = Pick<JournalEntry, 'position' | 'hash'>;
export const JOURNAL_START: JournalPlace = { position: 0, hash: '' };
