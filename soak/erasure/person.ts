/** A person with orders of every kind, each text of which has their word in it, and what becomes of it if the same is asked again. */
import { send } from '../workload/http.js';

/** In every text that a client may choose. */
export const WORD = 'erasurecanary';
export const CUSTOMER = `cus_${WORD}`;

/** How orders end, and how many of a hundred do so. Some are cancelled by the person, confirmed or not. */
const KINDS: readonly Kind[] = [
  { name: 'confirmed', share: 58, paymentMethod: 'pm_card_visa' },
  { name: 'declined', share: 12, paymentMethod: 'pm_card_chargeDeclined' },
  { name: 'out of stock', share: 8, paymentMethod: 'pm_card_visa', sku: 'PROOF-NONE' },
  { name: 'taken back once confirmed', share: 10, paymentMethod: 'pm_card_visa', isCancelled: true },
  { name: 'cancelled at once', share: 8, paymentMethod: 'pm_sandbox_slow', isCancelled: true },
  { name: 'charged, and told late', share: 4, paymentMethod: 'pm_sandbox_timeout_after_charge' },
];
type Kind = { name: string; share: number; paymentMethod: string; sku?: string; isCancelled?: boolean };
const SLOW: Kind = { name: 'confirmed', share: 0, paymentMethod: 'pm_sandbox_slow' };

const kindOf = (n: number): Kind => {
  let place = (n * 37) % 100; // all kinds, mixed
  for (const kind of KINDS) {
    if (place < kind.share) return kind;
    place -= kind.share;
  }
  throw new Error('Bug! The shares are not a hundred');
};

export const SKUS = ['PROOF-A', 'PROOF-B', 'PROOF-NONE'] as const;
export async function stockUp(api: string): Promise<void> {
  for (const sku of SKUS) {
    const body = { name: sku, unitPrice: 1_000, currency: 'USD', onHand: sku === 'PROOF-NONE' ? 0 : 1_000_000 };
    const { outcome, text } = await send({ method: 'PUT', url: `${api}/inventory/${sku}`, body });
    if (outcome !== 'ok') throw new Error(`${sku} cannot be stocked: ${text}`);
  }
}

export type Placed = { n: number; id: string; kind: string; body: object };

const AT_ONCE = 8;

/** Orders from one number to before another; `slow`: each is in flight for some seconds. */
export async function placeAll(api: string, from: number, before: number, slow = false): Promise<Placed[]> {
  const placed: Placed[] = [];
  let next = from;
  const some = async () => {
    while (next < before) {
      const n = next++;
      placed.push(await place(api, n, slow ? SLOW : kindOf(n)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
  return placed;
}

async function place(api: string, n: number, kind: Kind): Promise<Placed> {
  const body = {
    customerId: CUSTOMER,
    items: [{ sku: kind.sku ?? `PROOF-${n % 2 === 0 ? 'A' : 'B'}`, quantity: 1 + (n % 3) }],
    paymentMethod: kind.paymentMethod,
    externalOrderId: `web-${WORD}-${n}`,
  };
  for (;;) {
    const answer = await send({ method: 'POST', url: `${api}/orders`, body, headers: headersOf(n) });
    if (answer.outcome === 'unknown') continue; // a restarted API: the same key asks again
    if (answer.outcome !== 'ok') throw new Error(`order ${n} is refused: ${answer.text}`);
    const { id } = JSON.parse(answer.text ?? '') as { id: string };
    if (kind.isCancelled && kind.paymentMethod === 'pm_sandbox_slow') await cancel(api, id, n);
    return { n, id, kind: kind.name, body };
  }
}

const headersOf = (n: number) => ({ 'idempotency-key': `key-${WORD}-${n}`, 'x-correlation-id': `corr-${WORD}-${n}` });

const cancel = (api: string, id: string, n: number) =>
  send({
    method: 'POST',
    url: `${api}/orders/${id}/cancel`,
    body: { reason: `I am ${WORD}, and order ${n} is not wanted` },
    headers: { 'idempotency-key': `cancel-${WORD}-${n}` },
  });

/** Those that were to be confirmed first. */
export async function takeBack(api: string, placed: readonly Placed[]): Promise<void> {
  for (const { id, n, kind } of placed) if (kind === 'taken back once confirmed') await cancel(api, id, n);
}

export type Repeated = { asked: number; byKey: Record<string, number>; byNumber: Record<string, number> };

/** Each request again with its key, and each order number with a fresh one. @returns the answers, by status and code */
export async function repeat(api: string, placed: readonly Placed[]): Promise<Repeated> {
  const repeated: Repeated = { asked: placed.length, byKey: {}, byNumber: {} };
  const count = (into: Record<string, number>, { status, code }: { status?: number; code?: string }) => {
    const name = `${status ?? 'no answer'} ${code ?? ''}`.trim();
    into[name] = (into[name] ?? 0) + 1;
  };
  const url = `${api}/orders`;
  for (const { n, body } of placed)
    count(repeated.byKey, await send({ method: 'POST', url, body, headers: headersOf(n) }));
  for (const { body, kind } of placed)
    if (kind === 'confirmed') count(repeated.byNumber, await send({ method: 'POST', url, body }));
  return repeated;
}
