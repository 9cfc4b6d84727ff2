/** What the verifier shows: of the one process that verifies, everything; of the others, nothing. */
import { Counter, Gauge } from 'prom-client';
import { onScrape } from '../runtime/metrics.js';
import type { Finding, InvariantName } from '../verification/invariants.js';

export const violations = new Gauge({
  name: 'order_saga_invariant_violations',
  help: 'What is wrong of what an invariant promises, of those that were looked at; 1,000 at most. Shown by the process that verifies',
  labelNames: ['invariant'],
  registers: [],
});
export const rowsLookedAt = new Counter({
  name: 'order_saga_invariant_rows_total',
  help: 'Rows that were held against an invariant: where they do not grow, nothing is proved',
  labelNames: ['invariant'],
  registers: [],
});
/** With a label, since a gauge without any cannot be taken away again. */
export const passed = new Gauge({
  name: 'order_saga_verification_timestamp_seconds',
  help: 'When a pass last came to its end with every source answering, of what is new and of all, whichever process made it; until then, when verification began',
  labelNames: ['pass'],
  registers: [],
});
export const verificationMetrics = [violations, rowsLookedAt, passed];

/** Violations by invariant: the sentences that say what is wrong, and what each is about. */
export type Wrong = ReadonlyMap<InvariantName, ReadonlyMap<string, string>>;

export const wrongOf = (findings: readonly Finding[]): Wrong =>
  new Map(
    findings.map(({ invariant, violations: all }) => [invariant, new Map(all.map(({ says, of }) => [says, of]))]),
  );

/** What both say. */
export function joined(a: Wrong, b: Wrong): Wrong {
  const all = new Map(a);
  for (const [invariant, says] of b) all.set(invariant, new Map([...(all.get(invariant) ?? []), ...says]));
  return all;
}

export function showWrong(wrong: Wrong): void {
  for (const [invariant, says] of wrong) violations.set({ invariant }, says.size);
}

export function countRows(page: readonly Finding[]): void {
  for (const { invariant, checked } of page) rowsLookedAt.inc({ invariant }, checked);
}

export const showPassed = (pass: 'new' | 'all', at: Date): void => passed.set({ pass }, at.getTime() / 1_000);

/** Another process verifies now, or nobody does: what this one knew is no news any more. */
export function hideVerification(): void {
  violations.reset();
  passed.reset();
}

/** A process that has slept may not know yet that it has lost its lease. @param isHeld at a scrape */
export const hideUnless = (isHeld: () => boolean): void =>
  onScrape(async () => {
    if (!isHeld()) hideVerification();
  });
