/**
 * A pass: everything that is promised, held against everything that can be asked, part by part and page by page. It only reads.
 * Each part stands alone: a neighbour that does not answer keeps no other part from being looked at.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type Finding, INVARIANT_NAMES, type InvariantName } from './invariants.js';
import { moneyPart } from './parts/money.js';
import { ordersPart } from './parts/orders.js';
import type { Absent, Part, PartOptions, Sources } from './parts/part.js';
import { claimedPart, sagasPart } from './parts/sagas.js';
import { cursorsPart, keysPart, stockPart } from './parts/whole.js';

const PARTS: readonly Part[] = [stockPart, ordersPart, keysPart, cursorsPart, moneyPart, sagasPart, claimedPart];

const of = (isIn: (part: Part) => boolean): readonly InvariantName[] =>
  INVARIANT_NAMES.filter((name) => PARTS.some((part) => isIn(part) && part.invariants.includes(name)));
/** What a pass looks at. The other invariants need to know what each consumer got, which only a test does. */
export const VERIFIED = of(() => true);
/** Those of them that can be asked of single orders. */
export const VERIFIED_OF_ORDERS = of(({ isOfAll }) => !isOfAll);

/** Where it is no failure that there was nothing to look at. */
const MAY_BE_NONE: Partial<Record<InvariantName, string>> = {
  'I1 strangers are left alone': 'nobody else has charged this account',
  'I7 what was answered is there': 'no order was placed with an Idempotency-Key',
  'I8 destinations are served': 'no destination has been configured within a day',
};

const DEFAULTS = {
  invariants: VERIFIED,
  pageSize: 200,
  rest: 1,
  againAfterMs: 15_000,
  results: 'asked' as const,
};
const NO_CHARGE = 'nothing was charged for these orders';
/** Of single orders. */
const MAY_BE_NONE_OF_SOME = Object.fromEntries(moneyPart.invariants.map((name) => [name, NO_CHARGE]));
/** Kept of each invariant: more than these are one cause. */
const VIOLATIONS_MAX = 1_000;

export type PassOptions = Omit<PartOptions, 'names' | 'pageSize' | 'againAfterMs' | 'results'> & {
  invariants?: readonly InvariantName[];
  pageSize?: number;
  againAfterMs?: number;
  results?: 'asked' | 'listed';
  /** After each page it rests for so many times as long as the page took. */
  rest?: number;
  /** What has been found so far, after each page. */
  onPage?: (page: readonly Finding[], soFar: readonly Finding[]) => void;
  /** Ends the pass after the page that is being read. */
  stopping?: AbortSignal;
};

export type Verified = {
  /** Of every invariant that was looked at how many rows, and what is wrong: a thousand violations at most. */
  findings: Finding[];
  notLookedAt: { invariant: InvariantName; why: string }[];
  /** What could not be looked at, to the end or at all. */
  failures: { invariants: readonly InvariantName[]; cause: unknown }[];
};

/** @returns everything that it has found; what a source did not answer is among the failures, not thrown */
export async function verify(sources: Sources, options: PassOptions): Promise<Verified> {
  const { invariants, ...settings } = { ...DEFAULTS, ...options };
  const verified: Verified = { findings: [], notLookedAt: [], failures: [] };
  for (const part of PARTS) {
    const names = part.invariants.filter((name) => invariants.includes(name));
    if (names.length === 0 || (part.isOfAll && options.ids) || options.stopping?.aborted) continue;
    const source = part.needs && sources[part.needs];
    if (source && 'why' in source) leaveOut(names, source, verified);
    else await carryOut(part, sources, { ...settings, names }, verified);
  }
  return withoutNone(verified, options.ids ? { ...MAY_BE_NONE, ...MAY_BE_NONE_OF_SOME } : MAY_BE_NONE);
}

function leaveOut(names: readonly InvariantName[], { why, cause }: Absent, { notLookedAt, failures }: Verified): void {
  if (cause === undefined) notLookedAt.push(...names.map((invariant) => ({ invariant, why })));
  else failures.push({ invariants: names, cause });
}

async function carryOut(
  part: Part,
  sources: Sources,
  options: PartOptions & Pick<PassOptions, 'onPage' | 'stopping'> & { rest: number },
  { findings, failures }: Verified,
): Promise<void> {
  const { names, rest, onPage, stopping } = options;
  findings.push(...names.map((invariant): Finding => ({ invariant, checked: 0, violations: [] })));
  try {
    let from = performance.now();
    for await (const page of part.looks(sources, options)) {
      add(findings, page);
      onPage?.(page, findings);
      if (stopping?.aborted) return;
      await pause(rest * (performance.now() - from));
      from = performance.now();
    }
  } catch (cause) {
    failures.push({ invariants: names, cause });
  }
}

function add(all: Finding[], page: readonly Finding[]): void {
  for (const { invariant, checked, violations } of page) {
    const sum = all.find((one) => one.invariant === invariant);
    if (!sum) continue;
    sum.checked += checked;
    const known = new Set(sum.violations.map(({ says }) => says));
    sum.violations.push(...violations.filter(({ says }) => !known.has(says)).slice(0, VIOLATIONS_MAX - known.size));
  }
}

function withoutNone({ findings, notLookedAt, failures }: Verified, mayBeNone: typeof MAY_BE_NONE): Verified {
  const failed = new Set(failures.flatMap(({ invariants }) => invariants));
  const none = findings.flatMap(({ invariant, checked }) => {
    const why = mayBeNone[invariant];
    return checked === 0 && why !== undefined && !failed.has(invariant) ? [{ invariant, why }] : [];
  });
  const isNone = new Set(none.map(({ invariant }) => invariant));
  return {
    findings: findings.filter(({ invariant }) => !isNone.has(invariant)),
    notLookedAt: [...notLookedAt, ...none],
    failures,
  };
}
