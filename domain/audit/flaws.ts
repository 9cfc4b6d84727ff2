/** What a verification of the audit trail finds, how far it has come, and how it tells an erased text from a changed one. */
import { ERASABLE, type Erasable, hashField, hex } from './signatures.js';

/** `trail` = what was recorded before there was a chain. */
export type Flaw = {
  table: 'acts' | 'calls' | 'trail';
  /** Of the first entry that is not what was signed, or is not there. */
  id: number;
  what: 'changed' | 'missing' | 'back-dated' | 'cut-off' | 'replaced' | 'unknown-key';
  detail: string;
};

/** How far a verification has come: it may be done in parts. */
export type Place = {
  acts: { after: number; hash: string | null; atMs: number; isKeyed: boolean };
  calls: { after: number; hash: string | null; isKeyed: boolean };
  trail: { after: number; hash: string | null };
};
export const VERIFICATION_START: Place = {
  acts: { after: 0, hash: null, atMs: 0, isKeyed: false },
  calls: { after: 0, hash: null, isKeyed: false },
  trail: { after: 0, hash: null },
};

/** From where rows are read: at the start, also those that somebody has put before the first. */
export const firstIdAfter = (after: number): bigint => (after === 0 ? -(2n ** 63n) : BigInt(after) + 1n);
export const PUT_BEFORE = 'it stands before the first, and was put there';

export type Part = { flaw: Flaw | null; erased: number; checked: number; isAtEnd: boolean };
/** The columns that may be erased, and their hashes. */
export type Signed = Record<Erasable, string | null> & Record<`${Erasable}Hash`, Uint8Array | null>;

export const hashesOf = (row: Signed): Record<Erasable, Uint8Array | null> => ({
  subject: row.subjectHash,
  resource: row.resourceHash,
  reason: row.reasonHash,
  source: row.sourceHash,
});

/** @returns the field whose text is not that of its signed hash; one that was erased has none, and is no change */
export function changedField(key: Parameters<typeof hashField>[0], row: Signed): Erasable | undefined {
  return ERASABLE.find(
    (name) => row[name] !== null && hex(hashField(key, name, row[name])) !== hex(row[`${name}Hash`]),
  );
}

export const isErased = (row: Signed): boolean =>
  ERASABLE.some((name) => row[name] === null && row[`${name}Hash`] !== null);
