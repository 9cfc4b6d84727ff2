/**
 * A classification: what a charge in the gateway's ledger means for its order, and so what is to be done. A pure function of the
 * two ledgers; it neither asks nor acts. The reconciler moves money only of what is ours (gateways/marks), and
 * never of an order that an operator has settled outside, or of a charge that the customer's bank has disputed.
 */
import type { FindingKind, OrderMoney } from '../domain/reconciliation.js';
import { amountAtGateway, ownershipOf } from '../gateways/marks.js';
import type { LedgerCharge } from '../gateways/payments.js';

export type Classification =
  /** The ledgers agree, or the charge is not ours. */
  | { do: 'nothing' }
  /** Not to be decided yet. `wake`: the saga seems not to know what the gateway knows. */
  | { do: 'wait'; wake: boolean }
  | { do: 'refund'; kind: FindingKind }
  | { do: 'call-off'; kind: FindingKind }
  | { do: 'report'; kind: FindingKind; detail: string };

/** A healthy saga records its charge within a second, and one that backs off tries again within 15 s. */
export const WAKE_AFTER_MS = 60_000;

const nothing: Classification = { do: 'nothing' };
const wait: Classification = { do: 'wait', wake: false };
const reportAs = (kind: FindingKind, detail: string): Classification => ({ do: 'report', kind, detail });

/** Of this installation. */
export type Self = { installationId: string };

/**
 * @param order the one whose payment names the charge, else the one that the charge names
 * @param now   the database's clock; only our own times are held against it
 */
export function classify(charge: LedgerCharge, order: OrderMoney | undefined, now: Date, self: Self): Classification {
  const held = charge.received - charge.refunded;
  if (!order) return classifyWithoutOrder(charge, held, self);
  const isOfNoUse = charge.state === 'over' || (charge.state === 'succeeded' && held <= 0);
  if (!isRecorded(charge, order)) {
    const ownership = ownershipOf(charge, { ...order, amount: order.total });
    if (ownership === 'foreign' || isOfNoUse) return nothing;
    if (ownership === 'unlike') return reportAs('AMOUNT_MISMATCH', unlikeOf(charge, order));
    if (ownership === 'unmarked')
      // While an order may still be charged, the saga may record this very charge. Once it is unwinding, it never will.
      return order.status === 'PENDING' && order.unwindingReason === null
        ? wait
        : reportAs('UNMARKED_CHARGE', 'It names the order, but is not marked as ours');
  }
  // What has gone back all the same needs no decision any more.
  const isOver = order.status === 'CANCELLED' && isOfNoUse;
  if (charge.disputed && !isOver) return reportAs('DISPUTED', 'The customer’s bank has taken issue with this charge');
  if (order.status === 'PENDING') return classifyPending(charge, order, now);
  if (order.status === 'CONFIRMED' && order.unwindingReason !== null) return wait; // its cancellation is at work
  if (order.payment === 'SETTLED_OUTSIDE') return classifySettledOutside(charge, held);
  return order.status === 'CONFIRMED' ? classifyConfirmed(charge, order, held) : classifyCancelled(charge, order, held);
}

/**
 * An order is committed before its saga can charge: this is not the database that made the charge, or it has lost its tail.
 * Giving all that money back would be the disaster; and what others make is not ours to move.
 */
function classifyWithoutOrder(charge: LedgerCharge, held: number, { installationId }: Self): Classification {
  if (charge.installationId !== installationId || charge.state === 'over') return nothing;
  if (charge.state === 'succeeded' && held <= 0) return nothing;
  return reportAs('ORPHAN_CHARGE', 'It is marked as ours, and this database has no such order: was it restored?');
}

/** The saga is at work; it looks at the gateway itself, before it charges again and before it gives up. */
function classifyPending(charge: LedgerCharge, order: OrderMoney, now: Date): Classification {
  if (isRecorded(charge, order)) return nothing;
  const isUnknownToSaga = charge.state === 'succeeded' && order.payment === null && order.unwindingReason === null;
  return { do: 'wait', wake: isUnknownToSaga && now.getTime() - order.createdAt.getTime() >= WAKE_AFTER_MS };
}

function classifyConfirmed(charge: LedgerCharge, order: OrderMoney, held: number): Classification {
  if (!isRecorded(charge, order)) return takeBack(charge, 'DOUBLE_CHARGE');
  if (charge.refunded > 0)
    return reportAs(
      'REFUNDED_AT_GATEWAY',
      `${charge.refunded} of ${charge.received} went back, but the order is confirmed`,
    );
  if (held !== dueOf(order) || charge.currency !== order.currency)
    return reportAs('AMOUNT_MISMATCH', unlikeOf(charge, order));
  return nothing;
}

/** As the provider counts it. */
export const dueOf = (order: OrderMoney): number => amountAtGateway({ ...order, amount: order.total });

const unlikeOf = (charge: LedgerCharge, order: OrderMoney): string =>
  `The gateway holds ${charge.received - charge.refunded} ${charge.currency}, the order costs ${dueOf(order)} ${order.currency}`;

function classifyCancelled(charge: LedgerCharge, order: OrderMoney, held: number): Classification {
  if (charge.state === 'succeeded' && held <= 0) return nothing;
  return takeBack(charge, isRecorded(charge, order) && order.payment === 'REFUNDED' ? 'LOST_REFUND' : 'LATE_CHARGE');
}

/**
 * Whether money of it went back in our name, or counts as given back: so does a refund that waits for its customer, and
 * only the refund itself says that it waits. While the order's saga is at work, the saga looks.
 */
export const wentBack = (charge: LedgerCharge, order: OrderMoney): boolean =>
  charge.state === 'succeeded' &&
  charge.refunded > 0 &&
  order.status !== 'PENDING' &&
  (isRecorded(charge, order) || ownershipOf(charge, { ...order, amount: order.total }) === 'ours');

/** Money that must not be kept: refunded if it was taken, called off if it still could be. */
export function takeBack(charge: LedgerCharge, kind: FindingKind): Classification {
  if (charge.state === 'succeeded') return { do: 'refund', kind };
  if (charge.state === 'open') return { do: 'call-off', kind: 'OPEN_INTENT' };
  return wait; // what is being processed cannot be stopped
}

function classifySettledOutside(charge: LedgerCharge, held: number): Classification {
  if (charge.state !== 'succeeded') return wait;
  if (held <= 0) return nothing;
  return reportAs('SETTLED_OUTSIDE', 'The gateway holds money of an order that an operator has settled by hand');
}

const isRecorded = (charge: LedgerCharge, order: OrderMoney): boolean => order.gatewayReference === charge.reference;
