/** The siege's report: a row per attack, what customers and supervisors noticed of it, and what the attacker was answered. */
import { quantile } from '../statistics.js';
import type { Noticed, Timed } from './customers.js';

export type Row = { name: string; what: string; peace: Noticed; noticed: Noticed; seen: Record<string, number> };

type Report = {
  rows: Row[];
  before: { rows: Row[]; commit: string } | undefined;
  machine: [commit: string, machine: string];
  seconds: number;
};

export function siegeReport({ rows, before, machine: [commit, machine], seconds }: Report): string {
  const parts = [
    '# What customers notice of attackers',
    '',
    'Written by `npm run siege`: ten customers send 20 orders a second together, each with a token of its own, while one attacker does',
    'its worst. Authentication is on; every other setting is the default, but `CONNECTIONS_MAX`, which one process must be able to take.',
    'The attacker has a process of its own on the same machine, which gets what the others leave of it. `÷ peace` is the p99 of',
    `\`POST /orders\` divided by that without an attack, which is measured for ${seconds} seconds before each of them and taken together. Health`,
    "is asked of the API's port and of the metrics port, on a new connection each time.",
    '',
    `- ${commit}`,
    `- ${machine}`,
    '',
    ...rows.map(({ name, what }) => `- **${name}**: ${what}`),
    '',
    ...table(rows),
  ];
  if (before) parts.push('', `## Before: commit ${before.commit}`, '', ...table(before.rows));
  return parts.join('\n');
}

const HEAD = [
  'beside',
  'orders',
  'failed',
  'p50 ms',
  'p99 ms',
  '÷ peace',
  'health, p99 ms',
  'health by the metrics port, p99 ms',
  'the attacker was answered',
];

function table(rows: Row[]): string[] {
  const peace = together(rows.map((row) => row.peace.orders));
  return [
    line(HEAD),
    line(HEAD.map(() => '---')),
    line(['**peace**', `${peace.waitsMs.length}`, failures(peace), at(peace, 0.5), at(peace, 0.99), '1', '', '', '']),
    ...rows.map((row) => line(cellsOf(row, peace))),
  ];
}

const together = (timed: Timed[]): Timed => ({
  waitsMs: timed.flatMap(({ waitsMs }) => waitsMs),
  failed: Object.assign({}, ...timed.map(({ failed }) => failed)) as Timed['failed'],
});

const cellsOf = ({ name, noticed, seen }: Row, peace: Timed): string[] => [
  name,
  `${noticed.orders.waitsMs.length}`,
  failures(noticed.orders),
  at(noticed.orders, 0.5),
  at(noticed.orders, 0.99),
  (p99(noticed.orders) / p99(peace)).toFixed(1),
  health(noticed.health),
  health(noticed.sideHealth),
  Object.entries(seen)
    .toSorted(([, a], [, b]) => b - a)
    .map(([what, times]) => `${times} × ${what}`)
    .join(', '),
];

const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
const p99 = ({ waitsMs }: Timed): number => (waitsMs.length === 0 ? Number.NaN : quantile(waitsMs, 0.99));
const at = ({ waitsMs }: Timed, q: number): string => (waitsMs.length === 0 ? '–' : quantile(waitsMs, q).toFixed(1));

function failures({ failed }: Timed): string {
  const kinds = Object.entries(failed);
  return kinds.length === 0 ? '0' : kinds.map(([what, times]) => `${times} × ${what}`).join(', ');
}

function health(timed: Timed): string {
  const bad = failures(timed);
  return bad === '0' ? at(timed, 0.99) : `${at(timed, 0.99)}, failed: ${bad}`;
}
