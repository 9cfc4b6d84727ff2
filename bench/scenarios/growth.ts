/** Growth: what an order costs when the tables are full of finished ones. */
import { type Client, clientOf, SPREAD, stock } from '../orders.js';
import { addPastOrders } from '../past-orders.js';
import { type Product, withProduct } from '../product.js';
import type { Findings } from '../report.js';
import { type Bench, inTurns, type Scenario } from '../scenario.js';
import { median } from '../statistics.js';

/** Two of everything side by side, so that both meet the same machine. */
export const growth: Scenario = {
  name: 'growth',
  run: (bench) => withProduct({}, (empty) => withProduct({}, (full) => compare(bench, empty, full))),
};

const PAST_ORDERS = 200_000;
const LOAD = { clients: 16, count: 250 };

async function compare(bench: Bench, empty: Product, full: Product): Promise<Findings> {
  bench.starts.first.push(empty.readySeconds);
  const past = bench.sized(PAST_ORDERS);
  await addPastOrders(full.client, past, { say: bench.say });
  const clients = await Promise.all([empty, full].map(prepare));
  const [ofEmpty, ofFull] = clients as [Client, Client];
  const load = { ...LOAD, count: bench.sized(LOAD.count) };
  const cpuWith = async (client: Client) => (await client.waiting(load)).totalCpuMs / load.count;
  bench.say('  warming up');
  for (const client of clients) await cpuWith(client);
  const cpu = await inTurns(bench, { 'empty tables': () => cpuWith(ofEmpty), 'full tables': () => cpuWith(ofFull) });
  for (const client of clients) client.close();
  const [before, after] = [median(cpu['empty tables']), median(cpu['full tables'])];
  return {
    figures: [
      {
        what: `CPU per order with ${past.toLocaleString('en')} finished orders ÷ with none`,
        value: after / before,
        target: { atMost: 1.15 },
        from: `${after.toFixed(1)} ms ÷ ${before.toFixed(1)} ms`,
      },
    ],
    details: [],
  };
}

async function prepare(product: Product): Promise<Client> {
  await stock(product, SPREAD);
  return clientOf(product);
}
