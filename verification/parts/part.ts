/** A part of a pass: which invariants it looks at, from which sources, a page at a time. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { DatabaseClient } from '../../runtime/database.js';
import { checkInvariants, type Finding, type InvariantName } from '../invariants.js';
import type { Ledgers } from '../ledgers.js';
import type { GatewayLists } from '../sources/gateway.js';
import type { Span } from '../sources/span.js';

/** Where there is no gateway or Temporal to ask, it is said why not; `cause`: there is one, and it does not answer. */
export type Absent = { why: string; cause?: unknown };
export type Sources = { db: DatabaseClient; gateway: GatewayLists | Absent; temporal: Client | Absent };

export type PartOptions = Span & {
  names: readonly InvariantName[];
  pageSize: number;
  /** How long an open saga may go without saying so: see Ledgers. */
  openAtMostMs: { unmarked: number; inAll: number };
  /** Between the first look at a saga that is out of the ordinary and the second: a try by a machine is over by then. */
  againAfterMs: number;
  /** How it is learnt what a saga has come to: see readSagas. */
  results: 'asked' | 'listed';
};

export type Part = {
  invariants: readonly InvariantName[];
  needs?: 'gateway' | 'temporal';
  /** Of the whole installation: it cannot be asked of single orders. */
  isOfAll?: true;
  /** @returns what each page's invariants have come to, at a second look where the first found something */
  looks(sources: Sources, options: PartOptions): AsyncGenerator<Finding[]>;
};

export const present = <Source extends object>(source: Source | Absent): Source => {
  if ('why' in source) throw new Error(`Bug! This was to be looked at without its source: ${source.why}`);
  return source;
};

export const ofOrders = (ledgers: Partial<Ledgers>): Ledgers => ({ orders: [], events: [], stock: [], ...ledgers });

/** Ledgers, and which of the invariants they are held against: of others they have too little. */
export type Looked = readonly [names: readonly InvariantName[], ledgers: Ledgers];

/**
 * What is wrong at a first look is looked at again, since pages are read while orders move: told is what both looks say.
 * @param again reads anew what is said to be wrong
 */
export async function lookTwice(
  names: readonly InvariantName[],
  first: readonly Looked[],
  again: (subjects: string[]) => Promise<readonly Looked[]>,
  againAfterMs = 0,
): Promise<Finding[]> {
  const found = merged(names, first);
  const subjects = [...new Set(found.flatMap(({ violations }) => violations.map(({ of }) => of)))];
  if (subjects.length === 0) return found;
  if (againAfterMs > 0) await pause(againAfterMs);
  const second = merged(names, await again(subjects));
  return found.map(({ invariant, checked, violations }) => {
    const still = new Set(second.find((one) => one.invariant === invariant)?.violations.map(({ says }) => says));
    return { invariant, checked, violations: violations.filter(({ says }) => still.has(says)) };
  });
}

function merged(names: readonly InvariantName[], all: readonly Looked[]): Finding[] {
  const found = all.flatMap(([own, ledgers]) => checkInvariants(ledgers, own));
  return names.flatMap((invariant) => {
    const of = found.filter((one) => one.invariant === invariant);
    if (of.length === 0) return [];
    const checked = of.reduce((sum, one) => sum + one.checked, 0);
    return [{ invariant, checked, violations: of.flatMap(({ violations }) => violations) }];
  });
}
