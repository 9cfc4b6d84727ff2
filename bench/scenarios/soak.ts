/** Soak: orders for a long time, one like the other. Whatever grows all the while would end the process some day. */
import { clientOf, SPREAD, stock } from '../orders.js';
import { memoryByName, type Roots } from '../processes.js';
import { type Product, withProduct } from '../product.js';
import type { Findings } from '../report.js';
import type { Bench, Scenario } from '../scenario.js';
import { median } from '../statistics.js';

export const soak: Scenario = { name: 'soak', run: (bench) => withProduct({}, (product) => run(bench, product)) };

const CLIENTS = 8;
/** Orders between two looks at the clock. */
const ROUND = 100;
const SAMPLE_EVERY_MS = 1_000;
/** Caches fill, code is compiled: what is compared is the second quarter of the time with the last. */
const GROWTH_MAX = 1.25;

type Sample = { atMs: number; memory: Map<string, number> };

async function run(bench: Bench, product: Product): Promise<Findings> {
  bench.starts.first.push(product.readySeconds);
  await stock(product, SPREAD);
  const client = clientOf(product);
  const samples: Sample[] = [];
  const from = performance.now();
  const sampling = setInterval(() => samples.push(sample(product.roots(), from)), SAMPLE_EVERY_MS);
  let orders = 0;
  let saidAtMs = 0;
  while (performance.now() - from < bench.soakMs) {
    orders += (await client.waiting({ clients: CLIENTS, count: ROUND })).result.length;
    if (performance.now() - from - saidAtMs > bench.soakMs / 10) {
      saidAtMs = performance.now() - from;
      bench.say(`  ${orders} orders in ${(saidAtMs / 1000).toFixed(0)} s`);
    }
  }
  clearInterval(sampling);
  samples.push(sample(product.roots(), from));
  client.close();
  return findings(samples, orders);
}

const sample = (roots: Roots, from: number): Sample => ({
  atMs: performance.now() - from,
  memory: memoryByName(roots),
});

function findings(samples: Sample[], orders: number): Findings {
  const endMs = samples.at(-1)?.atMs ?? 0;
  const during = (name: string, [begin, end]: [number, number]) =>
    median(
      samples
        .filter(({ atMs }) => atMs >= begin * endMs && atMs <= end * endMs)
        .map(({ memory }) => memory.get(name) ?? 0),
    );
  const names = [...(samples.at(-1)?.memory.keys() ?? [])];
  const quarters: [number, number][] = [
    [0, 0.25],
    [0.25, 0.5],
    [0.5, 0.75],
    [0.75, 1],
  ];
  const ratio = during('service', [0.75, 1]) / during('service', [0.25, 0.5]);
  return {
    figures: [
      {
        what: 'soak: the service’s memory in the last quarter ÷ in the second',
        value: ratio,
        target: { atMost: GROWTH_MAX },
        from: `${orders} orders in ${(endMs / 1000).toFixed(0)} s`,
      },
    ],
    details: [
      {
        title: 'Memory during the soak (MiB resident, shared pages once; median of each quarter)',
        head: ['', '1st quarter', '2nd', '3rd', '4th'],
        rows: names.map((name) => [name, ...quarters.map((quarter) => during(name, quarter))]),
        note: 'Temporal’s development server keeps caches; Postgres’ shared buffers fill up to 128 MiB.',
      },
    ],
  };
}
