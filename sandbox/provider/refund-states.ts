/**
 * Refund states: what becomes of a refund after it was made. As at the provider, a charge's `amount_refunded` counts what is
 * still under way, and falls back when a refund fails or is canceled: then the money is the merchant's again.
 */

import type { Fault } from '../faults/faults.js';
import type { Change, Ledger } from '../ledger/ledger.js';
import { type Charge, newId, type Refund, type RefundStatus } from '../ledger/records.js';
import { invalid } from '../protocol/errors.js';
import { findCard } from './cards.js';

/** The provider's own list. */
export const FAILURE_REASONS = [
  'expired_or_canceled_card',
  'lost_or_stolen_card',
  'charge_for_pending_refund_disputed',
  'insufficient_funds',
  'declined',
  'merchant_request',
  'unknown',
] as const;

/** How long the provider's test cards take, from the refund on. */
export interface RefundTiming {
  refundSettlesAfterMs: number;
  refundFailsAfterMs: number;
}

export type RefundFate = Pick<Refund, 'status' | 'failure' | 'upcoming'>;

/** From which states a refund can come into each. What failed or was canceled stays so. */
const FROM: Record<Exclude<RefundStatus, 'pending'>, readonly RefundStatus[]> = {
  succeeded: ['pending', 'requires_action', 'succeeded'],
  failed: ['pending', 'requires_action', 'succeeded'],
  canceled: ['pending', 'requires_action'],
  requires_action: ['pending'],
};

export const givesBack = ({ status }: Pick<Refund, 'status'>): boolean => status !== 'failed' && status !== 'canceled';

/** How a new refund begins, and what it will turn into by itself. A fault wins over the card. */
export function fateOf(
  charge: Charge,
  { at, timing, fault }: { at: number; timing: RefundTiming; fault: Fault | undefined },
): RefundFate {
  const later = (to: 'succeeded' | 'failed', afterMs: number) => ({ upcoming: { to, at: at + afterMs } });
  switch (fault?.mode) {
    case 'refund_pending':
      return { status: 'pending', ...(fault.delayMs === null ? {} : later('succeeded', fault.delayMs)) };
    case 'refund_fails_later':
      return { status: 'succeeded', ...later('failed', fault.delayMs ?? timing.refundFailsAfterMs) };
    case 'refund_failed':
      return { status: 'failed', failure: failureOf('expired_or_canceled_card') };
    case 'refund_requires_action':
      return { status: 'requires_action' };
    default:
  }
  const plan = findCard(charge.paymentMethod)?.refunds;
  if (plan === 'settle') return { status: 'pending', ...later('succeeded', timing.refundSettlesAfterMs) };
  if (plan === 'fail') return { status: 'succeeded', ...later('failed', timing.refundFailsAfterMs) };
  return { status: 'succeeded' };
}

/** @throws ProviderError when the refund cannot come into that state any more */
export function moved(
  ledger: Ledger,
  refund: Refund,
  to: keyof typeof FROM,
  reason: string = to === 'canceled' ? 'merchant_request' : 'expired_or_canceled_card',
): Change {
  const { upcoming: _, ...rest } = refund;
  const from = refund.status ?? 'succeeded';
  if (!FROM[to].includes(from)) throw invalid(`This Refund has a status of ${from}; it cannot become ${to}.`);
  const after: Refund = { ...rest, status: to, ...(givesBack({ status: to }) ? {} : { failure: failureOf(reason) }) };
  const charge = ledger.facts.charges.get(refund.charge);
  if (!charge) throw new Error(`Bug! The charge of ${refund.id} is not there.`);
  const fallsBack = givesBack(refund) && !givesBack(after);
  return {
    refund: after,
    ...(fallsBack ? { charge: { ...charge, amountRefunded: charge.amountRefunded - refund.amount } } : {}),
    ...(from === to ? {} : { previous: { status: from } }),
    // The last one for programs of before there were events of refunds: the provider sends it beside the new ones.
    events: from === to ? [] : ['refund.updated', ...(to === 'failed' ? FAILED : []), 'charge.refund.updated'],
  };
}

const FAILED = ['refund.failed'] as const;
const failureOf = (reason: string) => ({ reason, balanceTransaction: newId('txn') });
