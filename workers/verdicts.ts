/**
 * A verdict: what a charge in the gateway's ledger means for its order, and so what is to be done. A pure function of the
 * two ledgers; it neither asks nor acts. Where an operator has vouched for the money, no machine moves it.
 */
import type { FindingKind, OrderMoney } from '../domain/reconciliation.js';
import type { LedgerCharge } from '../gateways/payments.js';

export type Verdict =
  /** The ledgers agree. */
  | { do: 'nothing' }
  /** Not to be decided yet. `wake`: the saga seems not to know what the gateway knows. */
  | { do: 'wait'; wake: boolean }
  | { do: 'refund'; kind: FindingKind }
  | { do: 'call-off'; kind: FindingKind }
  | { do: 'report'; kind: FindingKind; detail: string };

/**
 * An order is committed before its saga can charge, so an orphan is never a young order. This is for a database that has
 * just failed over and may yet find its tail; above it, 60 s from a charge to its settlement could not be kept.
 */
export const ORPHAN_GRACE_MS = 30_000;
/** A healthy saga records its charge within a second, and one that backs off tries again within 15 s. */
export const WAKE_AFTER_MS = 60_000;

const nothing: Verdict = { do: 'nothing' };
const wait: Verdict = { do: 'wait', wake: false };

/** @param now the database's clock */
export function judge(charge: LedgerCharge, order: OrderMoney | undefined, now: Date): Verdict {
  // Made by somebody else who shares the account: none of our business, least of all to refund.
  if (charge.orderId === null) return nothing;
  const held = charge.received - charge.refunded;
  if (charge.state === 'over' || (charge.state === 'succeeded' && held <= 0 && !isRecorded(charge, order)))
    return nothing;
  const ageMs = now.getTime() - charge.createdAt.getTime();
  if (!order) return ageMs < ORPHAN_GRACE_MS ? wait : takeBack(charge, 'ORPHAN_CHARGE');
  if (order.status === 'PENDING') return judgePending(charge, order, ageMs);
  if (order.status === 'CONFIRMED' && order.unwindingReason !== null) return wait; // its cancellation is at work
  if (order.payment === 'SETTLED_OUTSIDE') return judgeVouchedFor(charge, held);
  return order.status === 'CONFIRMED' ? judgeConfirmed(charge, order, held) : judgeCancelled(charge, order, held);
}

/** The saga is at work; it looks at the gateway itself, before it charges again and before it gives up. */
function judgePending(charge: LedgerCharge, order: OrderMoney, ageMs: number): Verdict {
  if (isRecorded(charge, order)) return nothing;
  const isUnknownToSaga = charge.state === 'succeeded' && order.payment === null && order.unwindingReason === null;
  return { do: 'wait', wake: isUnknownToSaga && ageMs >= WAKE_AFTER_MS };
}

function judgeConfirmed(charge: LedgerCharge, order: OrderMoney, held: number): Verdict {
  if (!isRecorded(charge, order)) return takeBack(charge, 'DOUBLE_CHARGE');
  if (charge.refunded > 0)
    return {
      do: 'report',
      kind: 'REFUNDED_AT_GATEWAY',
      detail: `${charge.refunded} of ${charge.received} went back, but the order is confirmed`,
    };
  if (held !== order.total || charge.currency !== order.currency)
    return {
      do: 'report',
      kind: 'AMOUNT_MISMATCH',
      detail: `The gateway holds ${held} ${charge.currency}, the order costs ${order.total} ${order.currency}`,
    };
  return nothing;
}

function judgeCancelled(charge: LedgerCharge, order: OrderMoney, held: number): Verdict {
  if (charge.state === 'succeeded' && held <= 0) return nothing;
  return takeBack(charge, isRecorded(charge, order) && order.payment === 'REFUNDED' ? 'LOST_REFUND' : 'LATE_CHARGE');
}

/** Money that nobody is to keep: refunded if it was taken, called off if it still could be. */
function takeBack(charge: LedgerCharge, kind: FindingKind): Verdict {
  if (charge.state === 'succeeded') return { do: 'refund', kind };
  if (charge.state === 'open') return { do: 'call-off', kind: 'OPEN_INTENT' };
  return wait; // nobody can stop what is being processed
}

function judgeVouchedFor(charge: LedgerCharge, held: number): Verdict {
  if (charge.state !== 'succeeded') return wait;
  if (held <= 0) return nothing;
  const detail = 'The gateway holds money of an order that an operator has settled by hand';
  return { do: 'report', kind: 'SETTLED_OUTSIDE', detail };
}

const isRecorded = (charge: LedgerCharge, order: OrderMoney | undefined): boolean =>
  order?.gatewayReference === charge.reference;
