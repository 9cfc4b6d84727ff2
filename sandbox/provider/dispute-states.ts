/**
 * Dispute states: a cardholder's bank takes the money of a charge back (or first inquires), and in the end decides. While
 * the bank has the money the charge cannot be refunded, and a refund that was still under way fails.
 */

import type { Change, Ledger } from '../ledger/ledger.js';
import { type Charge, type Dispute, newId } from '../ledger/records.js';
import { invalid } from '../protocol/errors.js';
import { isRefundable } from '../protocol/render-dispute.js';
import type { DisputeTerms } from './cards.js';
import { moved } from './refund-states.js';

const isOpen = ({ status }: Dispute) => status === 'needs_response' || status === 'warning_needs_response';

/** @throws ProviderError when there is nothing to dispute: nothing was taken, all of it went back, or it is disputed already */
export async function openDispute(
  ledger: Ledger,
  charge: Charge,
  { reason, status, amount }: DisputeTerms & { amount?: number | undefined },
): Promise<Dispute> {
  const refunds = ledger.refundsOf(charge.intent).filter((refund) => refund.charge === charge.id);
  const gone = refunds
    .filter((refund) => (refund.status ?? 'succeeded') === 'succeeded')
    .reduce((sum, refund) => sum + refund.amount, 0);
  const left = charge.status === 'succeeded' ? charge.amount - gone : 0;
  if (ledger.disputesOf(charge.id).some(isOpen)) throw invalid(`Charge ${charge.id} is disputed already.`);
  if (left === 0) throw invalid(`Charge ${charge.id} holds nothing that could be disputed.`);
  if ((amount ?? left) > left) throw invalid(`Charge ${charge.id} holds only ${left}.`, { param: 'amount' });

  const { upcoming: _, ...rest } = charge;
  const dispute: Dispute = {
    id: newId('dp'),
    at: ledger.now(),
    intent: charge.intent,
    charge: charge.id,
    amount: amount ?? left,
    currency: charge.currency,
    reason,
    status,
    metadata: {},
  };
  const isInquiry = isRefundable(dispute);
  const recorded = ledger.record({
    dispute,
    charge: { ...rest, disputed: true },
    events: ['charge.dispute.created', ...(isInquiry ? [] : (['charge.dispute.funds_withdrawn'] as const))],
  });
  const failing = isInquiry ? [] : refunds.filter(({ status: of }) => of === 'pending' || of === 'requires_action');
  for (const refund of failing)
    await ledger.record(moved(ledger, refund, 'failed', 'charge_for_pending_refund_disputed'));
  await recorded;
  return dispute;
}

/** @throws ProviderError when it has been decided already */
export function decided(dispute: Dispute, isWon: boolean): Change & { dispute: Dispute } {
  if (!isOpen(dispute)) throw invalid(`This dispute has a status of ${dispute.status}; it has been decided.`);
  const isInquiry = dispute.status === 'warning_needs_response';
  const status = isInquiry && isWon ? 'warning_closed' : isWon ? 'won' : 'lost';
  return {
    dispute: { ...dispute, status },
    previous: { status: dispute.status },
    events: ['charge.dispute.closed', ...(status === 'won' ? (['charge.dispute.funds_reinstated'] as const) : [])],
  };
}
