/** Money that the shop holds of an order that is final, and should not: what the reconciler does about it by itself, and by when. */
import { money } from '../contracts/amounts.js';
import type { Money } from '../contracts/orders.js';
import type { GatewayView } from './gateway-view.js';
import type { OrderRow } from './order-row.js';
import type { Periods } from './periods.js';
import { clock, span } from './plain-words.js';
import { isFinal } from './situation.js';

export type Surplus = {
  why: 'charged-late' | 'charged-twice' | 'refund-failed';
  amount: Money;
  /** By when the reconciler gives it back; null = it looks by itself at charges of the last day only. */
  by: string | null;
};

/** So far back every pass reads the gateway's list of charges, and so far its hourly look (reconciliation/scans). */
const EVERY_PASS_MS = 60_000;
const HOURLY_MS = 3_600_000;
const HOURLY_BACK_MS = 26 * 3_600_000;

/** Findings that the reconciler settles by giving a charge back. */
export const GIVEN_BACK = new Set(['LATE_CHARGE', 'DOUBLE_CHARGE', 'LOST_REFUND', 'REFUND_FAILED']);

/** @returns null if none is held wrongly, or if the reconciler may not give it back by itself, or has it in hand already */
export function surplusOf(row: OrderRow, gateway: GatewayView, periods: Periods, now: number): Surplus | null {
  const { state, payment, total, findings } = row;
  if (!gateway.asked || !isFinal(row) || payment.status === 'SETTLED_OUTSIDE') return null;
  const amount = gateway.holds - (state.status === 'CONFIRMED' ? total.amount : 0);
  if (amount <= 0 || gateway.charges.some(({ disputed, dispute }) => disputed && dispute !== 'won')) return null;
  const isInHand = findings.some(({ id, kind, action }) => id !== null && GIVEN_BACK.has(kind) && !isSettled(action));
  if (isInHand) return null;
  const isPaid = gateway.charges.some(
    ({ reference, received, refunded }) =>
      reference === payment.gatewayReference && received - refunded === total.amount,
  );
  if (state.status === 'CONFIRMED' && !isPaid) return null;
  const why =
    state.status === 'CONFIRMED' ? 'charged-twice' : payment.status === 'REFUNDED' ? 'refund-failed' : 'charged-late';
  const by = why === 'refund-failed' ? byFollowing(row, periods, now) : byListing(gateway, row, periods, now);
  return { why, amount: { amount, currency: total.currency }, by };
}

const isSettled = (action: string): boolean => action === 'refunded' || action === 'cancelled';

type Asked = Extract<GatewayView, { asked: true }>;
const iso = (ms: number): string => new Date(ms).toISOString();

/** A refund that fails later is found when its list is read again, or at once if the gateway's event says so. */
function byFollowing({ payment }: OrderRow, periods: Periods, now: number): string {
  const isYoung = payment.updatedAt !== null && now - Date.parse(payment.updatedAt) < periods.refundYoungForMs;
  return iso(now + (isYoung ? periods.refundCheckEveryMs : periods.refundRecheckEveryMs) + periods.reconcileEveryMs);
}

/** By when the reconciler comes across a charge by itself; null = it is too old for that. */
export function byListing({ charges }: Asked, { payment }: OrderRow, periods: Periods, now: number): string | null {
  const ours = charges.filter(({ reference, received }) => received > 0 && reference !== payment.gatewayReference);
  const newest = Math.max(0, ...(ours.length > 0 ? ours : charges).map(({ at }) => Date.parse(at)));
  if (now - newest < EVERY_PASS_MS) return iso(now + periods.reconcileEveryMs);
  return now - newest < HOURLY_BACK_MS ? iso(now + HOURLY_MS + periods.reconcileEveryMs) : null;
}

/** What becomes of it by itself, for whoever reads that the sources do not agree. */
export function sequelOf({ amount, by, why }: Surplus, { id }: OrderRow, periods: Periods): string {
  const who = `The reconciler gives the customer the ${money(amount)} back that the shop holds wrongly`;
  const again = why === 'refund-failed' ? ', by one more refund' : '';
  const when =
    by === null
      ? `: but for a charge as old as this one only when it is asked to, by \`ops reconcile --order ${id}\``
      : `${again}, by ${clock(by)} at the latest (${why === 'refund-failed' ? 'it reads refunds again now and then, and at once if the gateway tells of it' : `it looks every ${span(periods.reconcileEveryMs)}`})`;
  return `${who}${when}. A refund cannot be taken back. ${exceptOf({ why }, id, periods)}`;
}

function exceptOf({ why }: Pick<Surplus, 'why'>, id: string, { actionsPerHourMax }: Periods): string {
  const unless =
    why === 'refund-failed'
      ? 'If that refund fails, too'
      : why === 'charged-twice'
        ? 'If the charge does not bear our mark'
        : 'If the charge does not bear our mark, or is of another amount';
  return `${unless}, or if ${actionsPerHourMax} of this kind were settled within the hour, it opens a finding for you instead: \`ops reconcile --order ${id}\` lists it.`;
}
