/** Money: what the gateway holds of an order is what the order's end says, once, and our payments say the same. */
import type { LedgerCharge, LedgerOrder, LedgerPayment, Ledgers } from '../ledgers.js';
import { type Check, each, idOf, isVouched, type Violation } from '../look.js';

const nameOf = ({ orderId, reference }: LedgerCharge): string => orderId ?? reference;

export const lines: Check = ({ orders }) => ({
  rows: orders.length,
  violations: each(orders, idOf, (order) => {
    const sum = order.lines.reduce((total, line) => total + line.quantity * line.unitPrice, 0);
    return sum !== order.total && `${order.id} costs ${order.total}, its lines ${sum}`;
  }),
});

export const money: Check = (ledgers) =>
  ledgers.charges && {
    rows: ledgers.orders.length,
    violations: [
      ...each(ledgers.orders, idOf, (order) => moneyOf(order, ledgers, ledgers.charges ?? [])),
      ...foreignMoney(ledgers),
    ],
  };

export const strangers: Check = ({ charges = [] }) => {
  const theirs = charges.filter(({ isOurs }) => !isOurs);
  if (theirs.length === 0) return undefined;
  return {
    rows: theirs.length,
    violations: each(
      theirs,
      ({ reference }) => reference,
      ({ reference, refunds }) =>
        refunds.some(({ orderId }) => orderId !== null) && `the stranger's charge ${reference} was refunded by us`,
    ),
  };
};

export const provider: Check = ({ charges }) =>
  charges && {
    rows: charges.length,
    violations: each(
      charges,
      nameOf,
      ({ reference, received, refunded, holds }) =>
        holds !== received - refunded && `${reference} holds ${holds}; ${refunded} of ${received} went back`,
    ),
  };

export const payments: Check = (ledgers) =>
  ledgers.payments &&
  ledgers.charges && {
    rows: ledgers.payments.length,
    violations: each(
      ledgers.payments,
      ({ orderId }) => orderId,
      (payment) => disagreement(payment, ledgers),
    ),
  };

export const oneCharge: Check = ({ charges, inHand }) => {
  if (!charges) return undefined;
  const paid = charges.filter(({ received, isOurs, reference }) => isOurs && received > 0 && !inHand?.has(reference));
  const ids = paid.map(({ orderId }) => orderId);
  return {
    rows: charges.length,
    violations: each(
      paid.filter(({ orderId }, i) => ids.indexOf(orderId) !== i),
      nameOf,
      ({ orderId }) => `${orderId} was charged twice`,
    ),
  };
};

function moneyOf(order: LedgerOrder, ledgers: Ledgers, all: LedgerCharge[]): string | undefined {
  if (ledgers.inHand?.has(order.id)) return undefined;
  if (isVouched(ledgers, order.id, 'payment.charged') || isVouched(ledgers, order.id, 'payment.refunded'))
    return undefined;
  const charges = all.filter(({ orderId, isOurs }) => isOurs && orderId === order.id);
  const net = charges.reduce((total, { holds }) => total + holds, 0);
  const due = order.status === 'CONFIRMED' ? order.total : 0;
  if (net !== due) return `${order.id} is ${order.status} and has paid ${net}, not ${due}`;
  const open = charges.find(({ status }) => ['processing', 'requires_action', 'requires_capture'].includes(status));
  return open && `${order.id} is final, its charge ${open.reference} is not`;
}

/** What carries our marks and is no order's. What strangers take is theirs. */
function foreignMoney({ orders, charges = [], inHand }: Ledgers): Violation[] {
  const ours = charges.filter(({ isOurs, reference }) => isOurs && !inHand?.has(reference));
  const currencies = new Map(orders.map(({ id, currency }) => [id, currency]));
  return each(ours, nameOf, (charge) => [
    !currencies.has(charge.orderId ?? '') && `the charge ${charge.reference} is no order's`,
    currencies.get(charge.orderId ?? '') !== charge.currency &&
      `the charge ${charge.reference} is in ${charge.currency}`,
    charge.refunded > charge.received && `the charge ${charge.reference} was refunded beyond what it took`,
  ]);
}

/** How much of what a charge took, a payment of this status says is still there. */
const KEPT: Record<string, 'all' | 'nothing'> = {
  CHARGED: 'all',
  REFUNDED: 'nothing',
  VOIDED: 'nothing',
  DECLINED: 'nothing',
};

function disagreement(payment: LedgerPayment, { charges = [], inHand }: Ledgers): string | undefined {
  if (inHand?.has(payment.orderId)) return undefined;
  const kept = KEPT[payment.status];
  if (payment.status === 'SETTLED_OUTSIDE' || payment.amount === 0) return undefined;
  if (kept === undefined) return `the payment of ${payment.orderId} is still ${payment.status}`;
  const charge = charges.find(({ reference }) => reference === payment.reference);
  if (payment.reference !== null && !charge) return `the gateway has no charge ${payment.reference}`;
  if (kept === 'all' && !charge) return `the payment of ${payment.orderId} names no charge`;
  const held = charge?.holds ?? 0;
  return held === (kept === 'all' ? payment.amount : 0)
    ? undefined
    : `the payment of ${payment.orderId} is ${payment.status}, the gateway holds ${held}`;
}
