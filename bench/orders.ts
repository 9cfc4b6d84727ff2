/** Orders: placing them as clients do, and waiting for them as only a bench can. */
import { v7 as uuidv7 } from 'uuid';
import { type Completions, watchCompletions } from './completions.js';
import { createPost, type Post } from './http.js';
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

/** What a shop's page sends that shows the end of an order; the service holds its answer back for as long. */
const PREFER = { prefer: 'wait=20' };

/** SKUs that orders are spread over, so that no row of stock is waited for. */
export const SPREAD = Array.from({ length: 100 }, (_, n) => `BENCH-${n}`);
export const spread = (n: number): string => SPREAD[n % SPREAD.length] as string;

type Connections = ReturnType<typeof createPost>;

export type Client = {
  /** Clients that place an order with `Prefer: wait`, are answered when it is final, and place the next: what most of them do. */
  waiting: (load: Load, skuOf?: (n: number) => string) => Promise<Measured<Placed[]>>;
  /** Clients that place an order, are answered at once, and place the next when it is final, which the bench reads in Postgres. */
  steadily: (load: { clients: number; count: number }, skuOf?: (n: number) => string) => Promise<Measured<Placed[]>>;
  /** The same, but what it leaves to be done is not waited for, and no CPU is counted: for times when much else is going on. */
  amid: (load: Load) => Promise<{ placed: Placed[]; elapsedMs: number }>;
  /** Clients that place the next order as soon as the last is accepted. */
  hastily: (load: { clients: number; count: number }) => Promise<Accepted[]>;
  /** Places one order. Resolves when it is final. */
  placeOne: () => Promise<void>;
  close: () => void;
};

/** @param apis the processes that its requests take turns with */
export function clientOf(product: Product, apis = [product.api]): Client {
  const connections = apis.map(createPost);
  let sent = 0;
  const post: Post = (...request) => (connections[sent++ % apis.length] as Connections).post(...request);
  const close = () => {
    for (const each of connections) each.close();
  };
  const completions: Completions = watchCompletions(product.client);
  const place = async (sku: string): Promise<string> => {
    const answer = await post('/orders', orderOf(sku));
    if (answer.status !== 201) throw new Error(`POST /orders: ${answer.status} ${answer.body}`);
    return (JSON.parse(answer.body) as { id: string }).id;
  };
  const placeWaiting = async (sku: string): Promise<Placed> => {
    const from = performance.now();
    const answer = await post('/orders', orderOf(sku), PREFER);
    const finalMs = performance.now() - from;
    const { id, status } = JSON.parse(answer.body) as { id: string; status?: string };
    if (answer.status !== 201 || status !== 'CONFIRMED')
      throw new Error(`POST /orders with Prefer: ${PREFER.prefer}: ${answer.status} ${answer.body}`);
    return { id, acceptedMs: finalMs, finalMs };
  };
  const placeAndWait = async (sku: string): Promise<Placed> => {
    const from = performance.now();
    const id = await place(sku);
    const acceptedMs = performance.now() - from;
    await completions.final(id);
    return { id, acceptedMs, finalMs: performance.now() - from };
  };
  return {
    waiting: (load, skuOf = spread) => measure(product, () => closedLoop(load, (n) => placeWaiting(skuOf(n)))),
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
