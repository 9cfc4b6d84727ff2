/** Reports: one run in some lines, and all runs added up, for people and for documents that cite them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { commandOf } from './plan/plan.js';
import { type Held, isRight, type Result } from './result.js';

const OUTCOMES = ['ok', 'refused', 'unknown'] as const;
const VIOLATIONS_SHOWN = 5;

export function describeResult(result: Result): string {
  const { orders, seconds, quiesceSeconds, decided, replayed, held, violations } = result;
  const wrong = held.filter((one) => one.violations.length > 0);
  return [
    `${orders.accepted} orders: ${orders.confirmed} confirmed, ${orders.cancelled} cancelled; ${seconds} s, of which ${quiesceSeconds} s until all was quiet`,
    `cancelled for ${Object.entries(result.reasons)
      .map(([reason, count]) => `${reason} ${count}`)
      .join(', ')}`,
    `faults: ${sumOf(result.faults, 'done')} done, ${sumOf(result.faults, 'missed')} with nothing to harm`,
    ...Object.entries(result.operations).map(
      ([kind, by]) => `  ${kind}: ${OUTCOMES.map((outcome) => `${by[outcome] ?? 0} ${outcome}`).join(', ')}`,
    ),
    `operators decided about ${decided} sagas, and had ${replayed} events sent again`,
    ...held.map(
      ({ invariant, checked, violations: found }) => `  ${found.length} violations in ${checked} rows: ${invariant}`,
    ),
    ...wrong.flatMap(({ invariant, violations: found }) =>
      found.slice(0, VIOLATIONS_SHOWN).map((says) => `VIOLATION of ${invariant}: ${says}`),
    ),
    ...violations.map((says) => `VIOLATION: ${says}`),
    isRight(result) ? 'Everything holds.' : `NOT RIGHT. Again: ${commandLineOf(result)}`,
  ].join('\n');
}

export const commandLineOf = ({ seed, size, slice }: Result): string => commandOf({ seed, slice, ...size });

/** Puts it in place of an earlier run of the same command. */
export function keepResult(file: string, result: Result): Result[] {
  const all = readResults(file).filter((one) => commandLineOf(one) !== commandLineOf(result));
  all.push(result);
  writeFileSync(file, `${JSON.stringify(all, undefined, 1)}\n`);
  return all;
}

export const readResults = (file: string): Result[] =>
  existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result[]) : [];

/** For soak/RESULTS.md. */
export function markdown(results: Result[]): string {
  const sum = (of: (result: Result) => number) => results.reduce((total, result) => total + of(result), 0);
  const faults = new Map<string, number>();
  for (const { faults: by } of results)
    for (const [name, became] of Object.entries(by)) {
      const kind = name.split(' ')[0] as string;
      faults.set(kind, (faults.get(kind) ?? 0) + (became['done'] ?? 0));
    }
  const invariants = new Map<string, { checked: number; violations: number }>();
  for (const { held } of results) for (const one of held) addTo(invariants, one);
  const wrong = results.filter((result) => !isRight(result));
  return `${[
    '# What the soak has found',
    'Written by `npm run soak -- --publish`; do not edit. What is done and checked: [README.md](README.md).',
    `${results.length} runs: ${sum(({ orders }) => orders.accepted)} orders accepted, ${sum(({ faults: by }) => sumOf(by, 'done'))} faults, ${(sum(({ seconds }) => seconds) / 60).toFixed(0)} minutes; ${wrong.length} runs with a violation.`,
    table(
      ['run', 'commit, machine', 'accepted', 'confirmed', 'cancelled', 'faults', 's', 's until quiet', 'violations'],
      results.map((result) => [
        `\`${commandLineOf(result).replace('npm run soak -- ', '')}\``,
        `${result.commit}; ${result.machine}`,
        ...[result.orders.accepted, result.orders.confirmed, result.orders.cancelled, sumOf(result.faults, 'done')],
        ...[result.seconds, result.quiesceSeconds],
        result.violations.length + result.held.reduce((n, { violations }) => n + violations.length, 0),
      ]),
    ),
    table(
      ['fault', 'how often'],
      [...faults].sort(([one], [other]) => one.localeCompare(other)),
    ),
    table(
      ['invariant', 'rows looked at', 'violations'],
      [...invariants].map(([name, { checked, violations }]) => [name, checked, violations]),
    ),
  ].join('\n\n')}\n`;
}

function addTo(
  sums: Map<string, { checked: number; violations: number }>,
  { invariant, checked, violations }: Held,
): void {
  const sum = sums.get(invariant) ?? { checked: 0, violations: 0 };
  sums.set(invariant, { checked: sum.checked + checked, violations: sum.violations + violations.length });
}

const sumOf = (counts: Record<string, Record<string, number>>, outcome: string): number =>
  Object.values(counts).reduce((sum, by) => sum + (by[outcome] ?? 0), 0);

const table = (head: string[], rows: (string | number)[][]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
