/** Burst: many more orders than can be worked on at once. They must be accepted at once, and work must go on meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Accepted, clientOf, requireConfirmed, SPREAD, stock } from '../orders.js';
import { type Product, withProduct } from '../product.js';
import type { Findings } from '../report.js';
import { type Bench, inTurns, type Scenario } from '../scenario.js';
import { median, quantile } from '../statistics.js';

export const burst: Scenario = {
  name: 'burst',
  run: (bench) => withProduct({}, (product) => measureBursts(bench, product)),
};

const STEADY = { clients: 16, count: 300 };
const BURST = { clients: 64, count: 2_000 };
/** Each takes the best part of a minute. */
const REPETITIONS_MAX = 2;
const POLL_MS = 200;

type Rates = { acceptedPerS: number; confirmedPerS: number; drainedS: number; finalS: number; latenciesMs: number[] };

async function measureBursts(bench: Bench, product: Product): Promise<Findings> {
  bench.starts.first.push(product.readySeconds);
  await stock(product, SPREAD);
  const client = clientOf(product);
  await client.waiting({ ...STEADY, count: bench.sized(STEADY.count) });
  const repetitions = Math.min(bench.repetitions, REPETITIONS_MAX);
  const turns = await inTurns(
    { ...bench, repetitions },
    {
      steady: async (): Promise<Rates> => {
        const { result, elapsedMs } = await client.waiting({ ...STEADY, count: bench.sized(STEADY.count) });
        const perS = (result.length / elapsedMs) * 1000;
        return {
          acceptedPerS: perS,
          confirmedPerS: perS,
          drainedS: elapsedMs / 1000,
          finalS: 0,
          latenciesMs: result.map(({ acceptedMs }) => acceptedMs),
        };
      },
      burst: () => burstOnce(product, () => client.hastily({ ...BURST, count: bench.sized(BURST.count) })),
    },
  );
  client.close();
  const of = (kind: 'steady' | 'burst', value: Exclude<keyof Rates, 'latenciesMs'>) =>
    median(turns[kind].map((rates) => rates[value]));
  const steady = of('steady', 'confirmedPerS');
  const latency = (q: number) => median(turns.burst.map(({ latenciesMs }) => quantile(latenciesMs, q)));
  const perS = (value: number) => `${value.toFixed(1)}/s`;
  return {
    figures: [
      {
        what: 'burst: acceptances/s ÷ steady orders/s',
        value: of('burst', 'acceptedPerS') / steady,
        target: { atLeast: 5 },
        from: `${perS(of('burst', 'acceptedPerS'))} ÷ ${perS(steady)}`,
      },
      {
        what: 'burst: completions/s during it ÷ steady',
        value: of('burst', 'confirmedPerS') / steady,
        target: { atLeast: 0.8 },
        from: `${perS(of('burst', 'confirmedPerS'))} ÷ ${perS(steady)}`,
      },
      {
        what: 'burst: POST→201 p50',
        value: latency(0.5),
        unit: 'ms',
        from: `p95 ${latency(0.95).toFixed(0)} ms, p99 ${latency(0.99).toFixed(0)} ms`,
      },
      {
        what: `burst: until all ${bench.sized(BURST.count)} are confirmed`,
        value: of('burst', 'drainedS'),
        unit: 's',
        from: `completion p50 ${of('burst', 'finalS').toFixed(1)} s`,
      },
    ],
    details: [],
  };
}

async function burstOnce(product: Product, post: () => Promise<Accepted[]>): Promise<Rates> {
  const from = Date.now();
  const placed = await post();
  const lastAnswerAt = Math.max(...placed.map(({ answeredAt }) => answeredAt));
  const ids = placed.map(({ id }) => id);
  await untilFinal(product);
  await requireConfirmed(product, ids);
  const confirmedAt = await readConfirmed(product, ids);
  const seconds = (lastAnswerAt - from) / 1000;
  return {
    acceptedPerS: placed.length / seconds,
    confirmedPerS: confirmedAt.filter((at) => at <= lastAnswerAt).length / seconds,
    drainedS: (Math.max(...confirmedAt) - from) / 1000,
    finalS: (quantile(confirmedAt, 0.5) - from) / 1000,
    latenciesMs: placed.map(({ acceptedMs }) => acceptedMs),
  };
}

/** By an index that has next to nothing in it; asking costs no more at the end than at the beginning. */
async function untilFinal({ client }: Product): Promise<void> {
  for (;;) {
    const { rows } = await client.query(`SELECT FROM orders WHERE status = 'PENDING' LIMIT 1`);
    if (rows.length === 0) return;
    await sleep(POLL_MS);
  }
}

/** Nothing touches an order's `updated_at` after its confirmation; the database's clock is this machine's. */
async function readConfirmed({ client }: Product, ids: string[]): Promise<number[]> {
  const { rows } = await client.query<{ at: Date }>('SELECT updated_at AS at FROM orders WHERE id = ANY($1::uuid[])', [
    ids,
  ]);
  return rows.map(({ at }) => at.getTime());
}
