/** What the payment gateway itself holds of an order: read from its ledger, beside what we have on record. It moves no money. */
import { money } from '../contracts/amounts.js';
import { amountFromGateway } from '../gateways/marks.js';
import type { LedgerCharge, LedgerRefund, PaymentLedger, RefundStatus } from '../gateways/payments.js';
import { sentenceOf } from '../runtime/errors/facts.js';

export type HeldCharge = Pick<LedgerCharge, 'reference' | 'state' | 'currency' | 'disputed'> & {
  /** In our minor unit. */
  amount: number;
  received: number;
  /** What the gateway counts as given back: what is under way included. */
  refunded: number;
  /** Refunds that are not final: the money has not left the gateway, and may come back. */
  refundsUnderWay: RefundUnderWay[];
  /** All that it lists, newest first; 100 at most. */
  refunds: { reference: string; amount: number; status: RefundStatus; at: string }[];
  /** When its newest dispute was opened. */
  disputedAt: string | null;
  /** How its newest dispute stands, in the gateway's word: `lost`, `won`, `needs_response` …; null = it has none. */
  dispute: string | null;
  /** Until when the bank takes an answer to it; null = not known, or it takes none. */
  answerBy: string | null;
  at: string;
};
export type RefundUnderWay = {
  reference: string;
  amount: number;
  status: 'pending' | 'requires_action';
  since: string;
};
export type GatewayView =
  /** `holds`: what was taken and not given back, of all its charges. */
  { asked: true; where: string; holds: number; charges: HeldCharge[] } | { asked: false; why: string };

type Reads = Pick<PaymentLedger, 'findCharges' | 'readCharge' | 'readRefunds' | 'readDisputes'>;

/** The gateway as this process reaches it, or why it does not. */
export type LedgerPlace = { where: string; ledger: Reads } | { where?: never; why: string };
export type AskedOrder = { orderId: string; installationId: string | null; gatewayReference: string | null };

/** @returns never throws: what is not known is said */
export async function readGateway(place: LedgerPlace, order: AskedOrder): Promise<GatewayView> {
  if (place.where === undefined) return { asked: false, why: place.why };
  const { where, ledger } = place;
  try {
    const charges = await Promise.all(
      (await readCharges(ledger, order)).map(async (charge) => {
        // Of most charges nothing went back: they cost no further question.
        const refunds = charge.refunded > 0 ? await ledger.readRefunds(charge.reference) : [];
        const [dispute] = charge.disputed ? await ledger.readDisputes(charge.reference) : [];
        return {
          ...toHeld(charge, refunds, order.installationId),
          ...{ dispute: dispute?.status ?? null, disputedAt: dispute?.createdAt.toISOString() ?? null },
          answerBy: dispute?.answerBy?.toISOString() ?? null,
        };
      }),
    );
    const holds = charges.reduce((sum, { received, refunded }) => sum + received - refunded, 0);
    return { asked: true, where, holds, charges };
  } catch (err) {
    return { asked: false, why: `${where}: ${sentenceOf(err)}` };
  }
}

/** The search is late by up to a minute; the charge on record is read as it is. */
async function readCharges(ledger: Reads, { orderId, gatewayReference }: AskedOrder): Promise<LedgerCharge[]> {
  const [found, recorded] = await Promise.all([
    ledger.findCharges(orderId),
    gatewayReference === null ? null : ledger.readCharge(gatewayReference),
  ]);
  return recorded === null ? found : [recorded, ...found.filter(({ reference }) => reference !== recorded.reference)];
}

function toHeld(
  charge: LedgerCharge,
  refunds: LedgerRefund[],
  installationId: string | null,
): Omit<HeldCharge, 'dispute' | 'disputedAt' | 'answerBy'> {
  const { reference, state, currency, disputed, createdAt } = charge;
  const ours = (amount: number) => amountFromGateway(installationId, { amount, currency });
  return {
    reference,
    state,
    currency,
    disputed,
    amount: ours(charge.amount),
    received: ours(charge.received),
    refunded: ours(charge.refunded),
    refundsUnderWay: refunds.flatMap(({ reference: refund, amount, status, createdAt: since }) =>
      status === 'pending' || status === 'requires_action'
        ? { reference: refund, amount: ours(amount), status, since: since.toISOString() }
        : [],
    ),
    refunds: refunds.map(({ reference: refund, amount, status, createdAt: at }) => ({
      ...{ reference: refund, amount: ours(amount), status, at: at.toISOString() },
    })),
    at: createdAt.toISOString(),
  };
}

/**
 * What "given back" is in truth: a refund that the gateway has accepted is not there yet, and may still fail.
 * @param toldAs what the order's event said of it, for when the gateway cannot be asked
 * @returns undefined if none is known to be under way
 */
export function refundUnderWay(gateway: GatewayView, toldAs: { pendingAt: string | null }): string | undefined {
  if (!gateway.asked)
    return toldAs.pendingAt === null
      ? undefined
      : `refund accepted by the provider at ${toldAs.pendingAt}, and pending then: only the provider knows whether it has arrived`;
  const [refund] = gateway.charges.flatMap(({ refundsUnderWay }) => refundsUnderWay);
  return refund && sentenceOfRefund(refund);
}

const sentenceOfRefund = ({ status, since }: RefundUnderWay): string =>
  `refund under way at the provider (${status === 'pending' ? 'pending' : 'waiting for the customer'} since ${since})`;

/** What was taken, what has gone back, and what is on its way there. */
export function movementsOf({ received, refunded, refundsUnderWay, currency }: HeldCharge): string {
  const of = (amount: number) => money({ amount, currency });
  const back = Math.max(0, refunded - refundsUnderWay.reduce((sum, { amount }) => sum + amount, 0));
  const underWay = refundsUnderWay.map((refund) => `${of(refund.amount)} ${sentenceOfRefund(refund)}`);
  const isBack = back > 0 || underWay.length === 0;
  return [`${of(received)} taken`, ...(isBack ? [`${of(back)} given back`] : []), ...underWay].join(', ');
}
