/** Orders: placing them as clients do, and waiting for them as only a bench can. */
import { v7 as uuidv7 } from 'uuid';
import { type Completions, watchCompletions } from './completions.js';
import { createPost } from './http.js';
import { closedLoop, type Load } from './load.js';
import { type Measured, measure } from './measurement.js';
import type { Product } from './product.js';

export type Placed = {
  id: string;
  /** From sending the request to its 201. */
  acceptedMs: number;
  /** From sending the request to the order being CONFIRMED in Postgres. */
  finalMs: number;
};

/** `answeredAt` in milliseconds since the epoch, as the database counts them. */
export type Accepted = Pick<Placed, 'id' | 'acceptedMs'> & { answeredAt: number };

/** Enough that nothing is ever sold out. */
const PLENTY = 100_000_000;
const UNIT_PRICE = 1_000;

export async function stock(product: Product, skus: string[]): Promise<void> {
  for (const sku of skus) {
    const body = { name: sku, unitPrice: UNIT_PRICE, currency: 'USD', onHand: PLENTY };
    const answer = await fetch(`${product.api}/inventory/${sku}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`PUT /inventory/${sku}: ${answer.status} ${await answer.text()}`);
  }
}

export const orderOf = (sku: string) => ({
  customerId: 'cus_bench',
  items: [{ sku, quantity: 1 }],
  paymentMethod: 'pm_card_visa',
});

/** SKUs that orders are spread over, so that no row of stock is waited for. */
export const SPREAD = Array.from({ length: 100 }, (_, n) => `BENCH-${n}`);
export const spread = (n: number): string => SPREAD[n % SPREAD.length] as string;

export type Client = {
  /** Clients that place an order, wait until it is final, and place the next. */
  steadily: (load: { clients: number; count: number }, skuOf?: (n: number) => string) => Promise<Measured<Placed[]>>;
  /** The same, but what it leaves to be done is not waited for, and no CPU is counted: for times when much else is going on. */
  amid: (load: Load) => Promise<{ placed: Placed[]; elapsedMs: number }>;
  /** Clients that place the next order as soon as the last is accepted. */
  hastily: (load: { clients: number; count: number }) => Promise<Accepted[]>;
  /** Places one order. Resolves when it is final. */
  placeOne: () => Promise<void>;
  close: () => void;
};

export function clientOf(product: Product): Client {
  const { post, close } = createPost(product.api);
  const completions: Completions = watchCompletions(product.client);
  const place = async (sku: string): Promise<string> => {
    const answer = await post('/orders', orderOf(sku));
    if (answer.status !== 201) throw new Error(`POST /orders: ${answer.status} ${answer.body}`);
    return (JSON.parse(answer.body) as { id: string }).id;
  };
  const placeAndWait = async (sku: string): Promise<Placed> => {
    const from = performance.now();
    const id = await place(sku);
    const acceptedMs = performance.now() - from;
    await completions.final(id);
    return { id, acceptedMs, finalMs: performance.now() - from };
  };
  return {
    steadily: async (load, skuOf = spread) => {
      const measured = await measure(product, () => closedLoop(load, (n) => placeAndWait(skuOf(n))));
      await requireConfirmed(
        product,
        measured.result.map(({ id }) => id),
      );
      return measured;
    },
    amid: async (load) => {
      const from = performance.now();
      const placed = await closedLoop(load, (n) => placeAndWait(spread(n)));
      const elapsedMs = performance.now() - from;
      await requireConfirmed(
        product,
        placed.map(({ id }) => id),
      );
      return { placed, elapsedMs };
    },
    placeOne: async () => void (await placeAndWait(spread(0))),
    hastily: (load) =>
      closedLoop(load, async (n) => {
        const from = performance.now();
        return { id: await place(spread(n)), acceptedMs: performance.now() - from, answeredAt: Date.now() };
      }),
    close,
  };
}

/** An order that was cancelled for some reason would make its figure look better than it is. */
export async function requireConfirmed({ client }: Product, ids: string[]): Promise<void> {
  const { rows } = await client.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM orders WHERE id = ANY($1::uuid[]) AND status = 'CONFIRMED'`,
    [ids],
  );
  if (rows[0]?.count !== ids.length) throw new Error(`${rows[0]?.count} of ${ids.length} orders were confirmed`);
}

/** A key that makes the same request safe to send again. */
export const newKey = (): string => uuidv7();
