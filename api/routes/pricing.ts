/**
 * What an order costs. The catalogue's prices are remembered as they were last seen, so that most orders are priced without
 * asking: whether they still hold, the statement that accepts the order says (domain/acceptance). An order that
 * the remembered prices would refuse is priced from the catalogue first: no order is refused for yesterday's price.
 */
import { CURRENCIES } from '../../contracts/currencies.js';
import { ORDER_TOTAL_MAX, type Order } from '../../contracts/orders.js';
import type { Database } from '../../domain/database.js';
import { type Price, readPrices } from '../../domain/inventory.js';
import { refusePrice, refuseTotal } from '../../domain/prices.js';
import { Problem } from '../http/problems.js';
import type { NewOrder } from '../http/schemas.js';

export type Priced = Pick<Order, 'items' | 'total'>;

export type Pricing = {
  /** At the prices last seen. @returns undefined if that would be refused, or not all of them have been seen */
  recall(order: NewOrder): Priced | undefined;
  /** At the catalogue's prices. @throws Problem, of `PRICING_PROBLEMS` */
  read(order: NewOrder): Promise<Priced>;
};

export const PRICING_PROBLEMS = [
  'price-changed',
  'unknown-sku',
  'unsupported-currency',
  'unsupported-unit-price',
  'mixed-currencies',
  'total-too-large',
  'amount-too-small',
  'amount-too-large',
] as const;

/** Some 200 bytes each. Only what the catalogue has gets in, whatever clients ask for. */
const REMEMBERED_MAX = 10_000;

export function createPricing(db: Database): Pricing {
  const seen = new Map<string, Price>();
  const remember = (skus: string[], prices: Price[]) => {
    for (const sku of skus) seen.delete(sku); // withdrawn, or to become the youngest again
    for (const price of prices) seen.set(price.sku, price);
    for (const oldest of seen.keys()) {
      if (seen.size <= REMEMBERED_MAX) break;
      seen.delete(oldest);
    }
  };
  return {
    recall: (order) => {
      const priced = priceOrder(order, seen);
      return priced instanceof Problem ? undefined : priced;
    },
    read: async (order) => {
      const skus = order.items.map(({ sku }) => sku);
      const prices = await readPrices(db, skus);
      remember(skus, prices);
      const priced = priceOrder(order, new Map(prices.map((price) => [price.sku, price])));
      if (priced instanceof Problem) throw priced;
      return priced;
    },
  };
}

function priceOrder({ items, expectedTotal }: NewOrder, prices: ReadonlyMap<string, Price>): Priced | Problem {
  const priced = items.map(({ sku, quantity }) => ({ sku, quantity, price: prices.get(sku) }));
  const unknown = priced.flatMap(({ sku, price }, i) =>
    price ? [] : [{ pointer: `/items/${i}/sku`, detail: `${sku} is not in the catalogue` }],
  );
  if (unknown.length > 0) return new Problem('unknown-sku', 'Not in the catalogue: see errors.', { errors: unknown });
  const unsellable = refuseUnsellable(priced);
  if (unsellable) return unsellable;

  const [currency, ...others] = new Set(priced.map(({ price }) => price?.currency));
  if (currency === undefined || others.length > 0)
    return new Problem('mixed-currencies', `The lines are priced in ${[currency, ...others].join(' and ')}.`);
  const lines = priced.map(({ sku, quantity, price }) => ({ sku, quantity, unitPrice: Number(price?.unitPrice) }));
  const amount = lines.reduce((sum, line) => sum + line.quantity * line.unitPrice, 0);
  if (amount > ORDER_TOTAL_MAX)
    return new Problem('total-too-large', `The total of ${amount} is more than ${ORDER_TOTAL_MAX}.`, {
      maximum: { amount: Math.min(ORDER_TOTAL_MAX, CURRENCIES.get(currency)?.maximum ?? ORDER_TOTAL_MAX), currency },
    });
  const unchargeable = refuseTotal({ amount, currency });
  if (unchargeable) {
    const { code, detail, minimum, maximum } = unchargeable;
    const bounds = { minimum: { amount: minimum, currency }, maximum: { amount: maximum, currency } };
    return new Problem(code, detail, { total: { amount, currency }, ...bounds });
  }
  if (expectedTotal && (expectedTotal.amount !== amount || expectedTotal.currency !== currency)) {
    return new Problem(
      'price-changed',
      `The total is ${amount} ${currency}, not ${expectedTotal.amount} ${expectedTotal.currency}.`,
    );
  }
  return { items: lines, total: { amount, currency } };
}

/** A SKU may have got its price before a release that knew the provider's rules, or past this API. */
function refuseUnsellable(lines: { sku: string; price: Price | undefined }[]): Problem | undefined {
  const refused = lines.flatMap(({ sku, price }, i) => {
    const refusal = price && refusePrice(price);
    return refusal ? [{ code: refusal.code, pointer: `/items/${i}/sku`, detail: `${sku}: ${refusal.detail}` }] : [];
  });
  const [first] = refused;
  if (!first) return undefined;
  const errors = refused.map(({ pointer, detail }) => ({ pointer, detail }));
  return new Problem(first.code, 'Not for sale at the price that the catalogue has: see errors.', { errors });
}

/** @throws Problem invalid-request */
export function refuseRepeatedSkus(items: NewOrder['items']): void {
  const seen = new Set<string>();
  const errors = items.flatMap(({ sku }, i) => {
    const repeated = seen.has(sku);
    seen.add(sku);
    return repeated ? [{ pointer: `/items/${i}/sku`, detail: `${sku} stands in an earlier line already` }] : [];
  });
  if (errors.length > 0) throw new Problem('invalid-request', 'Each SKU may stand in one line only.', { errors });
}
