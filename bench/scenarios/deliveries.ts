/** Deliveries: transactions that write, per order, with a destination that takes every event. */
import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf, SPREAD, stock } from '../orders.js';
import { type Product, withProduct } from '../product.js';
import { type Receiver, startReceiver } from '../receiver.js';
import type { Findings } from '../report.js';
import { type Bench, inTurns, type Scenario } from '../scenario.js';
import { median } from '../statistics.js';

export const deliveries: Scenario = { name: 'deliveries', run };

const LOAD = { clients: 16, count: 300 };
const EVENTS_PER_ORDER = 4;
const POLL_MS = 50;
const ARRIVAL_LIMIT_MS = 30_000;

async function run(bench: Bench): Promise<Findings> {
  const receiver = await startReceiver();
  try {
    return await withProduct(receiver.settings, (product) => count(bench, product, receiver));
  } finally {
    await receiver.stop();
  }
}

async function count(bench: Bench, product: Product, receiver: Receiver): Promise<Findings> {
  bench.starts.first.push(product.readySeconds);
  await stock(product, SPREAD);
  const client = clientOf(product);
  const load = { ...LOAD, count: bench.sized(LOAD.count) };
  const turns = await inTurns(bench, {
    'orders with a webhook': async () => {
      const [before, eventsBefore] = [await nextTransaction(product), receiver.received()];
      const { totalCpuMs } = await client.waiting(load);
      const deadline = performance.now() + ARRIVAL_LIMIT_MS;
      while (receiver.received() < eventsBefore + EVENTS_PER_ORDER * load.count) {
        if (performance.now() > deadline) throw new Error('events did not arrive at the receiver');
        await sleep(POLL_MS);
      }
      return { writes: ((await nextTransaction(product)) - before) / load.count, cpuMs: totalCpuMs / load.count };
    },
  });
  client.close();
  const results = turns['orders with a webhook'];
  return {
    figures: [
      {
        what: 'writing transactions per confirmed order, relay and webhook included',
        value: median(results.map(({ writes }) => writes)),
        target: { atMost: 5.5 },
        from: 'transaction ids that Postgres gave out',
      },
      { what: 'CPU per confirmed order with a webhook', value: median(results.map(({ cpuMs }) => cpuMs)), unit: 'ms' },
    ],
    details: [],
  };
}

/** Postgres gives an id to a transaction when, and only when, it writes. Reading the next one takes none. */
async function nextTransaction({ client }: Product): Promise<number> {
  const { rows } = await client.query<{ next: string }>('SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next');
  return Number(rows[0]?.next);
}
