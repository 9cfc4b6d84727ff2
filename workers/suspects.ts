/** Suspects: what the verifier has found wrong, and how that alone is asked for again. */
import type { InvariantName } from '../verification/invariants.js';
import { VERIFIED_OF_ORDERS } from '../verification/pass.js';
import { MONEY } from '../verification/parts/money.js';
import type { Wrong } from './verification-metrics.js';

/** `ids`: of these orders, and charges, alone; absent: it is about everything there is. */
export type Question = { invariants: InvariantName[]; ids?: string[] };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Money is asked about by orders and charges; other invariants by orders, or, where they are not an order's, as a whole. */
export function questionsAbout(suspects: Wrong): Question[] {
  const names = [...suspects].flatMap(([name, says]) => (says.size > 0 ? [name] : []));
  const idsOf = (of: InvariantName[]) => [...new Set(of.flatMap((name) => [...(suspects.get(name)?.values() ?? [])]))];
  const money = names.filter((name) => MONEY.includes(name));
  const ofOrders = names.filter((name) => VERIFIED_OF_ORDERS.includes(name) && !MONEY.includes(name));
  const ofAll = names.filter((name) => !VERIFIED_OF_ORDERS.includes(name));
  return [
    ...(money.length > 0 ? [{ invariants: money, ids: idsOf(money) }] : []),
    ...(ofOrders.length > 0 ? [{ invariants: ofOrders, ids: idsOf(ofOrders).filter((id) => UUID.test(id)) }] : []),
    ...(ofAll.length > 0 ? [{ invariants: ofAll }] : []),
  ];
}

/** @param of whose violations of these invariants are left out; absent: all of them */
export const without = (wrong: Wrong, invariants: readonly InvariantName[], of?: ReadonlySet<string>): Wrong =>
  new Map(
    [...wrong].map(([name, says]) => [
      name,
      invariants.includes(name) ? new Map([...says].filter(([, subject]) => of && !of.has(subject))) : says,
    ]),
  );
