/** The report of a run: what customers noticed of each act, and what the histories of all sagas say. */
import { isRight } from '../result.js';
import type { DeploysResult } from './run.js';

export function markdown(result: DeploysResult): string {
  const { acts, crowd, held, histories, takenBack, violations } = result;
  const sum = (of: (act: DeploysResult['acts'][number]) => number) => acts.reduce((total, act) => total + of(act), 0);
  const wrong = [
    ...violations,
    ...held.flatMap(({ invariant, violations: found }) => found.map((says) => `${invariant}: ${says}`)),
  ];
  return `${[
    '# Deploys with sagas in flight',
    'Written by `npm run deploys -- --publish`; do not edit. What is done: [README.md](README.md#deploys).',
    `${result.at}, commit ${result.commit}; ${result.machine}.`,
    `${crowd.parked + crowd.retrying} sagas in flight from the start: ${crowd.parked} parked for an operator, ${crowd.retrying} being retried as the gateway is down for them. ` +
      `${sum(({ orders }) => orders)} orders in all: ${sum(({ retried }) => retried)} asked a second time, ${sum(({ failed }) => failed)} without an answer then.`,
    table(
      [
        'act',
        's',
        'in flight at its end',
        'of them parked',
        'orders',
        'asked twice',
        'failed',
        'p99 ms',
        'slowest ms',
        'sagas that began, by build',
      ],
      acts.map(({ name, seconds, inFlight, orders, retried, failed, p99Ms, slowestMs, begunOn }) => [
        ...[name, seconds, inFlight.running, inFlight.parked, orders, retried, failed, p99Ms, slowestMs],
        Object.entries(begunOn)
          .sort(([one], [other]) => one.localeCompare(other))
          .map(([build, count]) => `${build} ${count}`)
          .join(', '),
      ]),
    ),
    ...(takenBack === null
      ? []
      : [
          `The release that fails had got ${takenBack.begun} sagas when it was taken back; they ended on it, mended. From the start of its worker that took ${takenBack.seconds} s.`,
        ]),
    `Histories of all ${histories.sagas} sagas: activity timeouts ${counts(histories.activityTimeouts)}; tasks that failed ${counts(histories.taskFailures)}; tasks taken over from a worker that had gone ${histories.taskTimeouts}; sagas that ran on another build than they began on ${histories.moved.length}.`,
    table(
      ['invariant', 'rows looked at', 'violations'],
      held.map(({ invariant, checked, violations: found }) => [invariant, checked, found.length]),
    ),
    isRight(result) ? 'Everything holds.' : ['NOT RIGHT:', ...wrong.map((says) => `- ${says}`)].join('\n'),
  ].join('\n\n')}\n`;
}

const counts = (by: Record<string, number>): string =>
  Object.keys(by).length === 0
    ? '0'
    : Object.entries(by)
        .map(([name, count]) => `${name} ${count}`)
        .join(', ');

const table = (head: string[], rows: (string | number)[][]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
