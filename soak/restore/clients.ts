/** Clients that order without a pause, and keep what they were told, and when. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

export type Told = { id: string; atMs: number };
export type Load = { told: Told[]; stop: () => Promise<void> };

const BETWEEN_MS = 20;
const METHODS = ['pm_card_visa', 'pm_card_visa', 'pm_card_visa', 'pm_card_chargeDeclined'];

export async function stock(api: string): Promise<void> {
  const body = JSON.stringify({ name: 'A', unitPrice: 1_000, currency: 'USD', onHand: 100_000 });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${api}/inventory/A`, { method: 'PUT', headers, body });
  if (!answer.ok) throw new Error(`PUT /inventory/A: ${answer.status}`);
}

export async function order(api: string, paymentMethod = 'pm_card_visa', more = {}): Promise<string | undefined> {
  const answer = await fetch(`${api}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
    body: JSON.stringify({
      customerId: `cus_${randomUUID()}`,
      items: [{ sku: 'A', quantity: 1 }],
      paymentMethod,
      ...more,
    }),
    signal: AbortSignal.timeout(10_000),
  }).catch(() => undefined);
  if (answer?.status !== 201) return undefined;
  return ((await answer.json()) as { id: string }).id;
}

export function startLoad(api: string, clients: number): Load {
  const told: Told[] = [];
  let isOver = false;
  const client = async (nth: number) => {
    for (let n = nth; !isOver; n++) {
      const id = await order(api, METHODS[n % METHODS.length]);
      if (id !== undefined) told.push({ id, atMs: Date.now() });
      await sleep(BETWEEN_MS);
    }
  };
  const running = Promise.all(Array.from({ length: clients }, (_, nth) => client(nth)));
  return {
    told,
    stop: async () => {
      isOver = true;
      await running;
    },
  };
}
