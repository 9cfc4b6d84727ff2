/**
 * Ledger sums: for checking what the sandbox holds without paging through it. `/sandbox/ledger` is the whole ledger in sums,
 * `?orderId=` everything about one order. Not the provider's API; no key needed.
 */
import type { FastifyInstance } from 'fastify';
import type { Ledger } from '../ledger/ledger.js';
import type { Charge, Dispute, Refund } from '../ledger/records.js';
import { readQuery } from '../protocol/lists.js';
import { text } from '../protocol/params.js';
import { renderCharge, renderIntent, renderRefund } from '../protocol/render.js';
import { isRefundable, renderDispute } from '../protocol/render-dispute.js';

/** Enough to start looking; the count beside them says how many there are. */
const EXAMPLES_MAX = 100;

export function ledgerRoutes(app: FastifyInstance, ledger: Ledger): void {
  app.get('/sandbox/ledger', async (request) => {
    const orderId = text(readQuery(request, ['orderId']), 'orderId');
    await ledger.durable();
    return orderId === undefined ? totals(ledger) : order(ledger, orderId);
  });
}

function totals(ledger: Ledger): object {
  const { intents, charges, refunds, disputes } = ledger.facts;
  const count = { succeeded: 0, pending: 0, failed: 0 };
  const currencies: Record<string, Sums> = {};
  const sumsOf = (currency: string): Sums => (currencies[currency] ??= { ...NOTHING });
  const paidIntentsByOrder = new Map<string, number>();
  let withoutOrder = 0;
  for (const charge of charges.items) {
    count[charge.status] += 1;
    if (charge.status !== 'succeeded') continue;
    addCharge(sumsOf(charge.currency), charge);
    const orderId = charge.metadata['orderId'];
    if (orderId === undefined) withoutOrder += 1;
    else paidIntentsByOrder.set(orderId, (paidIntentsByOrder.get(orderId) ?? 0) + 1);
  }
  for (const refund of refunds.items) addRefund(sumsOf(refund.currency), refund);
  for (const dispute of disputes.items) addDispute(sumsOf(dispute.currency), dispute);
  const twice = [...paidIntentsByOrder].filter(([, paid]) => paid > 1).map(([orderId]) => orderId);
  return {
    paymentIntents: intents.items.length,
    charges: count,
    refunds: refunds.items.length,
    refundsByStatus: countBy(refunds.items, statusOf),
    disputesByStatus: countBy(disputes.items, ({ status }) => status),
    currencies,
    ordersCharged: paidIntentsByOrder.size,
    chargesWithoutOrder: withoutOrder,
    ordersChargedMoreThanOnce: { count: twice.length, examples: twice.slice(0, EXAMPLES_MAX) },
  };
}

function order(ledger: Ledger, orderId: string): object {
  const intents = ledger.intentsOf(orderId);
  const charges = intents.flatMap(({ id }) => ledger.chargesOf(id));
  const refunds = intents.flatMap(({ id }) => ledger.refundsOf(id));
  const disputes = charges.flatMap(({ id }) => ledger.disputesOf(id));
  const sums = { ...NOTHING };
  for (const charge of charges) if (charge.status === 'succeeded') addCharge(sums, charge);
  for (const refund of refunds) addRefund(sums, refund);
  for (const dispute of disputes) addDispute(sums, dispute);
  return {
    orderId,
    ...sums,
    paymentIntents: intents.map((intent) => renderIntent(intent)),
    charges: charges.map((charge) => ({
      ...renderCharge(charge),
      held: charge.status === 'succeeded' ? charge.amount - charge.amountRefunded : 0,
      idempotency_key: charge.key ?? null,
    })),
    refunds: refunds.map((refund) => ({ ...renderRefund(refund), idempotency_key: refund.key ?? null })),
    disputes: disputes.map(renderDispute),
  };
}

/** Amounts in the minor unit, of charges that succeeded. */
interface Sums {
  captured: number;
  /** As the provider's `amount_refunded`: what succeeded and what is still under way, not what failed or was canceled. */
  refunded: number;
  /** captured − refunded: what the charges hold. */
  net: number;
  /** The part of `refunded` that may still fail because it is not final: pending or requires_action. */
  pending: number;
  failed: number;
  canceled: number;
  /** What banks have taken back, or still may: disputes that are open or lost. Not taken off `net`. */
  disputed: number;
}

const NOTHING: Sums = { captured: 0, refunded: 0, net: 0, pending: 0, failed: 0, canceled: 0, disputed: 0 };

const statusOf = ({ status = 'succeeded' }: Refund) => status;

function addCharge(sums: Sums, { amount }: Charge): void {
  sums.captured += amount;
  sums.net += amount;
}

function addRefund(sums: Sums, refund: Refund): void {
  const status = statusOf(refund);
  if (status === 'failed' || status === 'canceled') {
    sums[status] += refund.amount;
    return;
  }
  sums.refunded += refund.amount;
  sums.net -= refund.amount;
  if (status !== 'succeeded') sums.pending += refund.amount;
}

function addDispute(sums: Sums, dispute: Dispute): void {
  if (!isRefundable(dispute)) sums.disputed += dispute.amount;
}

function countBy<T>(items: readonly T[], nameOf: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[nameOf(item)] = (counts[nameOf(item)] ?? 0) + 1;
  return counts;
}
