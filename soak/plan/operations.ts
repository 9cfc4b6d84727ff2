/** What clients and operators do, in which order: all of it from the seed. Orders are named by their numbers, since their ids are the service's. */
import type { Random } from '../random.js';

export type PlannedOrder = {
  no: number;
  /** Of this order, and those that would be it again, alone: by it they are found in the database. */
  customerId: string;
  /** Absent: a client that does without, and never sends it again. */
  key?: string;
  items: { sku: string; quantity: number }[];
  paymentMethod: string;
  externalOrderId?: string;
  preferWaitSeconds?: number;
};

export type Operation = { n: number } & (
  | { kind: 'order'; order: PlannedOrder }
  /** The same request again, under the same key. */
  | { kind: 'repeat'; of: number }
  /** Another body under the same key. */
  | { kind: 'conflict'; of: number }
  /** Another order of the customer's, with the same number of theirs. */
  | { kind: 'twin'; of: number; twin: PlannedOrder }
  | { kind: 'cancel'; of: number }
  | { kind: 'read'; of: number }
  /** Stock and price are one call. */
  | { kind: 'sku'; sku: string; unitPrice: number; onHand: number }
  /** What an operator decides about one of the stuck sagas. */
  | { kind: 'resolve'; action: 'retry' | 'skip' | 'compensate'; nth: number }
  | { kind: 'odd'; input: string }
);
export type OperationKind = Operation['kind'];

export const ODD_INPUTS = [
  'no-json',
  'wrong-type',
  'unknown-field',
  'unknown-sku',
  'no-items',
  'twice-the-same-sku',
  'quantity-zero',
  'quantity-huge',
  'no-card',
  'prototype',
  'nul-byte',
  'bad-key',
  'long-body',
  'not-an-id',
] as const;

/** The gateway's cards, by how often they are used. */
const CARDS = {
  pm_card_visa: 60,
  pm_card_pendingRefund: 8,
  pm_card_refundFail: 2,
  pm_card_chargeDeclined: 8,
  pm_card_chargeDeclinedInsufficientFunds: 2,
  pm_card_authenticationRequired: 2,
  pm_sandbox_processing: 3,
  pm_sandbox_timeout_after_charge: 4,
  pm_sandbox_error_after_charge: 4,
  pm_sandbox_slow: 3,
  pm_sandbox_unavailable: 4,
};
export const DECLINING: ReadonlySet<string> = new Set(
  Object.keys(CARDS).filter((card) => /chargeDeclined|authenticationRequired/.test(card)),
);

/** Per order, how many of the others there are on average. */
const OTHERS = {
  repeat: 0.18,
  conflict: 0.04,
  twin: 0.05,
  cancel: 0.2,
  read: 0.2,
  sku: 0.04,
  resolve: 0.06,
  odd: 0.06,
};

export const SKUS = Array.from({ length: 12 }, (_, n) => `SOAK-${n}`);
/** These are few, and run out. */
const SCARCE: ReadonlySet<string> = new Set(SKUS.slice(0, 2));
export const FIRST_PRICE = 1_000;
export const firstStock = (sku: string, orders: number): number =>
  SCARCE.has(sku) ? Math.ceil(orders / 5) : 1_000_000;

/** How far back an operation may reach for its order. */
const RECENT = 40;

export function planOperations(random: Random, seed: string, orders: number): Operation[] {
  const operations: Operation[] = [];
  const planned: PlannedOrder[] = [];
  const add = (operation: OperationWithoutNumber) => operations.push({ ...operation, n: operations.length });
  for (let no = 0; no < orders; no++) {
    const order = planOrder(random, seed, no);
    planned.push(order);
    add({ kind: 'order', order });
    for (const [kind, perOrder] of Object.entries(OTHERS) as [keyof typeof OTHERS, number][])
      if (random.chance(perOrder)) add(planOther(random, kind, planned, orders));
  }
  return operations;
}

type OperationWithoutNumber = Operation extends infer One ? (One extends Operation ? Omit<One, 'n'> : never) : never;

function planOrder(random: Random, seed: string, no: number): PlannedOrder {
  const skus = random.shuffled(SKUS).slice(0, random.between(1, 3));
  return {
    no,
    customerId: `cus_${seed}_${no}`,
    items: skus.map((sku) => ({ sku, quantity: random.between(1, 3) })),
    paymentMethod: random.weighed(CARDS),
    ...(random.chance(0.8) && { key: `key-${seed}-${no}` }),
    ...(random.chance(0.3) && { externalOrderId: `web-${no}` }),
    ...(random.chance(0.2) && { preferWaitSeconds: random.between(1, 3) }),
  };
}

function planOther(
  random: Random,
  kind: keyof typeof OTHERS,
  planned: PlannedOrder[],
  orders: number,
): OperationWithoutNumber {
  const recent = planned.slice(-RECENT);
  const of = (among: PlannedOrder[]) => (among.length > 0 ? random.pick(among) : undefined);
  const keyed = of(recent.filter(({ key }) => key !== undefined));
  const named = of(recent.filter(({ externalOrderId }) => externalOrderId !== undefined));
  const any = random.pick(recent).no;
  if (kind === 'sku') return planSku(random, orders);
  if (kind === 'resolve')
    return { kind, action: random.weighed({ retry: 6, compensate: 3, skip: 1 }), nth: random.between(0, 9) };
  if (kind === 'odd') return { kind, input: random.pick(ODD_INPUTS) };
  if (kind === 'cancel' || kind === 'read') return { kind, of: any };
  if (kind === 'twin' && named) {
    const twin = { ...named, key: `twin-${random.between(0, 1e9)}-${named.no}`, paymentMethod: 'pm_card_visa' };
    return { kind, of: named.no, twin };
  }
  return kind !== 'twin' && keyed ? { kind, of: keyed.no } : { kind: 'read', of: any };
}

function planSku(random: Random, orders: number): OperationWithoutNumber {
  const sku = random.pick(SKUS);
  const stocked = firstStock(sku, orders);
  const onHand = random.between(Math.floor(stocked / 2), stocked + Math.ceil(stocked / 4));
  return { kind: 'sku', sku, unitPrice: random.between(5, 20) * 100, onHand };
}
