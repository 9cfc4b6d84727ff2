/** A pass over all orders that are final, and all stock: what of Postgres alone can be verified. What is wrong is looked at a second time before it is told. */
import type { DatabaseClient } from '../runtime/database.js';
import { checkInvariants, type Finding, type InvariantName } from './invariants.js';
import type { Ledgers } from './ledgers.js';
import { readOrders, readStock, type Span } from './postgres.js';

/** Of each order, by what its rows in Postgres say. */
const OF_ORDERS = [
  'I1 lines add up',
  'I4 orders hold what they bought',
  'I4 orders hold what the plan says',
  'I5 one end',
  'I10 exactly its events',
] as const satisfies InvariantName[];
const OF_STOCK = ['I2 stock is conserved'] as const satisfies InvariantName[];
export const VERIFIED: readonly InvariantName[] = [...OF_ORDERS, ...OF_STOCK];

export type PassOptions = Span & { invariants?: readonly InvariantName[]; pageSize?: number };
const PAGE_SIZE = 200;

/** @returns of every invariant how many rows it has looked at, and what is wrong, still, at a second look */
export async function verify(db: DatabaseClient, options: PassOptions): Promise<Finding[]> {
  const { invariants = VERIFIED, pageSize = PAGE_SIZE, ...span } = options;
  const ofOrders = OF_ORDERS.filter((name) => invariants.includes(name));
  const ofStock = OF_STOCK.filter((name) => invariants.includes(name));
  const all = [...ofOrders, ...ofStock].map((invariant): Finding => ({ invariant, checked: 0, violations: [] }));
  if (ofStock.length > 0) add(all, await confirmed(() => lookAtStock(db)));
  if (ofOrders.length === 0) return all;
  for (let after: string | undefined; ; ) {
    const page = await readOrders(db, span, pageSize, after);
    const again = (ids: string[]) => readOrders(db, { ...span, ids }, pageSize);
    add(
      all,
      await confirmedOrders({ ...page, stock: [] }, ofOrders, async (ids) => ({ ...(await again(ids)), stock: [] })),
    );
    after = page.orders.at(-1)?.id;
    if (page.orders.length < pageSize) return all;
  }
}

const lookAtStock = async (db: DatabaseClient): Promise<Finding[]> =>
  checkInvariants({ orders: [], events: [], ...(await readStock(db)) }, OF_STOCK);

async function confirmed(look: () => Promise<Finding[]>): Promise<Finding[]> {
  const first = await look();
  return first.some(({ violations }) => violations.length > 0) ? common(first, await look()) : first;
}

async function confirmedOrders(
  page: Ledgers,
  names: readonly InvariantName[],
  readAgain: (ids: string[]) => Promise<Ledgers>,
): Promise<Finding[]> {
  const first = checkInvariants(page, names);
  const ids = [...new Set(first.flatMap(({ violations }) => violations.map(({ of }) => of)))];
  return ids.length === 0 ? first : common(first, checkInvariants(await readAgain(ids), names));
}

/** What both looks say of the same row. */
const common = (first: Finding[], second: Finding[]): Finding[] =>
  first.map((finding) => {
    const still = second.find(({ invariant }) => invariant === finding.invariant)?.violations ?? [];
    return { ...finding, violations: finding.violations.filter(({ says }) => still.some((one) => one.says === says)) };
  });

function add(all: Finding[], some: Finding[]): void {
  for (const { invariant, checked, violations } of some) {
    const sum = all.find((one) => one.invariant === invariant);
    if (!sum) continue;
    sum.checked += checked;
    sum.violations.push(...violations);
  }
}
