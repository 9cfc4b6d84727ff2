/** The read side as its readers run it: a process of its own, which may be killed, and its answers. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from '../../../local/processes/ports.js';
import { eventually } from '../../support/conditions.js';
import type { Sums } from './installation.js';

type Total = Sums & {
  start: string;
  currency: string;
  placedAmount: number;
  net: number;
  reasons: Record<string, number>;
};
export type Product = { sku: string; quantity: number; net: number };
export type Answer<Row> = {
  asOf: string;
  behindMs: number;
  generation: number;
  unreadable: number;
  rebuilding: { listed: boolean } | null;
  rows: Row[];
};

export async function startReadSide(env: Record<string, string>) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let program: ChildProcess | undefined;
  const logged: string[] = [];
  const start = () => {
    program = spawn(process.execPath, ['examples/analytics/main.mjs'], {
      env: { PATH: process.env['PATH'], PORT: `${port}`, POLL_MS: '30', CACHE_TTL_MS: '0', ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    program.stderr?.on('data', (text) => logged.push(`${text}`));
  };
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    const victim = program;
    program = undefined;
    if (victim === undefined || victim.exitCode !== null) return;
    const gone = once(victim, 'exit');
    victim.kill(signal);
    await gone;
  };
  const ask = async <Row>(path: string): Promise<Answer<Row> | undefined> => {
    const answer = await fetch(`${url}${path}`).catch(() => undefined);
    return answer?.ok ? ((await answer.json()) as Answer<Row>) : undefined;
  };
  const totals = () => ask<Total>('/v1/totals?grain=day');
  start();
  return {
    url,
    start,
    kill,
    ask,
    totals,
    log: () => logged.join(''),
    /** Until its answers are complete up to a moment. */
    isBeyond: (at: number, limitMs = 30_000) =>
      eventually(
        'the read side is complete up to then',
        async () => {
          const answer = await totals();
          return answer && Date.parse(answer.asOf) > at && answer;
        },
        limitMs,
      ),
  };
}

export function sumOf({ rows }: Answer<Total>) {
  const of = (name: 'placed' | 'confirmed' | 'cancelled' | 'revenue' | 'placedAmount' | 'net') =>
    rows.reduce((sum, row) => sum + row[name], 0);
  const reasons: Record<string, number> = {};
  for (const row of rows)
    for (const [reason, count] of Object.entries(row.reasons)) reasons[reason] = (reasons[reason] ?? 0) + count;
  return {
    sums: { placed: of('placed'), confirmed: of('confirmed'), cancelled: of('cancelled'), revenue: of('revenue') },
    totals: { placed: of('placed'), placedAmount: of('placedAmount'), cancelled: of('cancelled'), net: of('net') },
    reasons,
  };
}
