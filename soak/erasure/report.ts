/** The report of a proof: who was erased amid what, how long it took, and what was verified afterwards. */
import { isRight } from '../result.js';
import type { ProofResult } from './proof.js';

export function markdown(result: ProofResult): string {
  const { kinds, heldBy, seconds, erased, repeated, traces, told, held, violations } = result;
  const wrong = [
    ...violations,
    ...held.flatMap(({ invariant, violations: found }) => found.map((says) => `${invariant}: ${says}`)),
  ];
  return `${[
    '# A person erased under load',
    'Written by `npm run erasure:proof -- --publish`; do not edit. What an erasure does: [docs/erasure.md](../docs/erasure.md).',
    `${result.at}, commit ${result.commit}; ${result.machine}.`,
    `A person with ${result.orders} orders (${counts(kinds)}) is erased while others place ${result.othersOrders}. When it is asked for, ${heldBy.count} orders hold it ` +
      `(of the first of them: ${counts(heldBy.why)}); they were final after ${seconds.untilAllFinal} s, and the person was erased after ${seconds.untilDone} s, though ${result.kills} times a process with the worker was killed amid it.`,
    `Erased: ${counts(erased)}.`,
    table(
      ['table', 'rows with the person’s word before', 'after'],
      Object.entries(traces.before).map(([name, before]) => [name, before, traces.after[name] ?? 0]),
    ),
    `Asked again afterwards: ${repeated.asked} requests under their Idempotency-Keys: ${counts(repeated.byKey)}; under order numbers of confirmed orders: ${counts(repeated.byNumber)}. ` +
      `\`customer.erased\` reached the webhook ${told.webhook} times, and stands in the feed once.`,
    'Verified by `ops verify`, `ops audit verify` and `ops erasures verify`, and by checks of the proof’s own:',
    table(
      ['invariant', 'rows looked at', 'violations'],
      held.map(({ invariant, checked, violations: found }) => [invariant, checked, found.length]),
    ),
    isRight(result) ? 'Everything holds.' : ['NOT RIGHT:', ...wrong.map((says) => `- ${says}`)].join('\n'),
  ].join('\n\n')}\n`;
}

const counts = (of: Record<string, number>): string =>
  Object.entries(of)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ') || 'none';

const table = (head: readonly string[], rows: readonly (string | number)[][]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
