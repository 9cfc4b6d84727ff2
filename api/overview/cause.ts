/** A cause: what is wrong now, of one kind, as one line of the first screen. */
import type { Money } from '../../contracts/orders.js';

export const CAUSE_KINDS = [
  'postgres',
  'temporal',
  'gateway',
  'account',
  'workers',
  'sagas',
  'unstarted-orders',
  'destination',
  'feed',
  'dead-letters',
  'findings',
  'erasures',
  'invariant',
  'verification',
  'operation',
  'catching-up',
  'brake',
] as const;
export type CauseKind = (typeof CAUSE_KINDS)[number];

/** What is counted as recent. */
export const RECENT_MS = 600_000;

export type Cause = {
  /** The same while it is the same cause. */
  id: string;
  kind: CauseKind;
  /** bad = somebody has to look; warn = it goes on by itself, or is meant to be so. */
  severity: 'bad' | 'warn';
  /** What is wrong, in a sentence without a full stop; and what follows from it, or is to be done. */
  title: string;
  detail: string;
  /** How many are concerned, of `noun`; null where there is nothing to count. */
  count: number | null;
  noun: string | null;
  oldest: string | null;
  /** What the orders concerned are worth, per currency. */
  atStake: Money[];
  /** How many of them are younger than ten minutes; null = not known. */
  recent: number | null;
  /** How many there were when this process looked about ten minutes ago, or first since then; null = it had not. */
  before: { count: number; at: string } | null;
  /** When the first of them unwinds by itself; null = none does. */
  unwindsAt: string | null;
  /** The cause from which this one follows: mend that first. null = it is one by itself. */
  follows: string | null;
  /** Which ones: as lists are asked for them. */
  of: {
    step?: string;
    failure?: string;
    destination?: string;
    cause?: string;
    kind?: string;
    brake?: string;
    invariant?: string;
  };
};

/** What a cause has at least. */
export type Wrong = Pick<Cause, 'kind' | 'title' | 'detail'> & Partial<Cause>;

/** @returns it with everything else empty */
export const cause = (wrong: Wrong): Cause => ({
  id: [wrong.kind, ...Object.values(wrong.of ?? {})].join('/'),
  severity: 'bad',
  count: null,
  noun: null,
  oldest: null,
  atStake: [],
  recent: null,
  before: null,
  unwindsAt: null,
  follows: null,
  of: {},
  ...wrong,
});

/** Amounts of several currencies, each summed. */
export function addMoney(sums: Money[], { amount, currency }: Money): void {
  const sum = sums.find((money) => money.currency === currency);
  if (sum) sum.amount += amount;
  else sums.push({ amount, currency });
}
