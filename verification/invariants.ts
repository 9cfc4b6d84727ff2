/**
 * The invariants: what must hold of the ledgers of orders that are final, and of those that are not. One list for `ops verify` and for the tests. Each says how
 * many rows it has looked at: one that has looked at nothing has proved nothing.
 */
import { answered, fedInOrder, served } from './checks/delivery.js';
import { oneEnd, sagas } from './checks/ends.js';
import { delivered, deliveredInOrder, events } from './checks/events.js';
import { holdings, reservations, stock } from './checks/holdings.js';
import { lines, money, oneCharge, payments, provider, strangers } from './checks/money.js';
import { atWork, ofOrders, seen } from './checks/open.js';
import type { Ledgers } from './ledgers.js';
import type { Check, Violation } from './look.js';

const INVARIANTS = {
  'I1 lines add up': lines,
  'I1 money': money,
  'I1 strangers are left alone': strangers,
  'I1 the provider agrees with itself': provider,
  'I1 payments agree with the gateway': payments,
  'I2 stock is conserved': stock,
  'I3 one charge per order': oneCharge,
  'I4 orders hold what they bought': reservations,
  'I4 orders hold what the plan says': holdings,
  'I5 one end': oneEnd,
  'I5 sagas have ended as their orders': sagas,
  'I5 open orders have a saga': atWork,
  'I5 sagas are of orders': ofOrders,
  'I7 what was answered is there': answered,
  'I8 delivered at least once': delivered,
  'I8 destinations are served': served,
  'I9 delivered in order': deliveredInOrder,
  'I9 fed in order': fedInOrder,
  'I10 exactly its events': events,
  'I14 nothing is stuck unseen': seen,
} satisfies Record<string, Check>;
export type InvariantName = keyof typeof INVARIANTS;

/** All that ledgers are held against, strangers' charges only where there are any. */
export const INVARIANT_NAMES = Object.keys(INVARIANTS) as InvariantName[];

export type Finding = { invariant: InvariantName; checked: number; violations: Violation[] };

/** @returns one finding per invariant, of these names, that these ledgers can be held against */
export function checkInvariants(ledgers: Ledgers, names: readonly InvariantName[] = INVARIANT_NAMES): Finding[] {
  return names.flatMap((invariant) => {
    const looked = (INVARIANTS[invariant] as Check)(ledgers);
    return looked ? [{ invariant, checked: looked.rows, violations: looked.violations }] : [];
  });
}
