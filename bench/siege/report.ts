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
    'The attacker has a process of its own on the same machine. `÷ peace` is the p99 of `POST /orders` divided by that of the same',
    `${seconds} seconds without an attack, just before. Health is asked of the API's port and of the metrics port, on a new connection each time.`,
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

const table = (rows: Row[]): string[] => [
  line(HEAD),
  line(HEAD.map(() => '---')),
  ...rows.map(({ name, peace, noticed, seen }) =>
    line([
      name,
      `${noticed.orders.waitsMs.length}`,
      failures(noticed.orders),
      at(noticed.orders, 0.5),
      at(noticed.orders, 0.99),
      (p99(noticed.orders) / p99(peace.orders)).toFixed(1),
      health(noticed.health),
      health(noticed.sideHealth),
      Object.entries(seen)
        .toSorted(([, a], [, b]) => b - a)
        .map(([what, times]) => `${times} × ${what}`)
        .join(', '),
    ]),
  ),
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
