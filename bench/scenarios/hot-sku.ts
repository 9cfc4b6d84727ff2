/** Hot SKU: all customers want the same SKU, so that every order waits for the same row of stock, twice. */
import { clientOf, SPREAD, spread, stock } from '../orders.js';
import { type Product, withProduct } from '../product.js';
import type { Findings } from '../report.js';
import { type Bench, inTurns, type Scenario } from '../scenario.js';
import { median } from '../statistics.js';

export const hotSku: Scenario = {
  name: 'hot-sku',
  run: (bench) => withProduct({}, (product) => compare(bench, product)),
};

const HOT = 'BENCH-HOT';
const LOAD = { clients: 16, count: 250 };

async function compare(bench: Bench, product: Product): Promise<Findings> {
  bench.starts.first.push(product.readySeconds);
  await stock(product, [...SPREAD, HOT]);
  const client = clientOf(product);
  const load = { ...LOAD, count: bench.sized(LOAD.count) };
  const rateWith = async (skuOf: (n: number) => string) => {
    const { result, elapsedMs } = await client.waiting(load, skuOf);
    return (result.length / elapsedMs) * 1000;
  };
  await rateWith(spread);
  const rates = await inTurns(bench, {
    'spread SKUs': () => rateWith(spread),
    'one hot SKU': () => rateWith(() => HOT),
  });
  client.close();
  const [hot, cold] = [median(rates['one hot SKU']), median(rates['spread SKUs'])];
  return {
    figures: [
      {
        what: 'orders/s with one SKU in every order ÷ with spread SKUs',
        value: hot / cold,
        target: { atLeast: 0.5 },
        from: `${hot.toFixed(1)}/s ÷ ${cold.toFixed(1)}/s`,
      },
    ],
    details: [],
  };
}
