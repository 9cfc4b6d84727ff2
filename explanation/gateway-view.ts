/** What the payment gateway itself holds of an order: read from its ledger, beside what we have on record. It moves no money. */
import { amountFromGateway } from '../gateways/marks.js';
import type { LedgerCharge, PaymentLedger } from '../gateways/payments.js';
import { sentenceOf } from '../runtime/errors/facts.js';

export type HeldCharge = Pick<LedgerCharge, 'reference' | 'state' | 'currency' | 'disputed'> & {
  /** In our minor unit. */
  amount: number;
  received: number;
  refunded: number;
  at: string;
};
export type GatewayView =
  /** `holds`: what was taken and not given back, of all its charges. */
  { asked: true; where: string; holds: number; charges: HeldCharge[] } | { asked: false; why: string };

/** The gateway as this process reaches it, or why it does not. */
export type LedgerPlace =
  | { where: string; ledger: Pick<PaymentLedger, 'findCharges' | 'readCharge'> }
  | { where?: never; why: string };
export type AskedOrder = { orderId: string; installationId: string | null; gatewayReference: string | null };

/** @returns never throws: what is not known is said */
export async function readGateway(place: LedgerPlace, order: AskedOrder): Promise<GatewayView> {
  if (place.where === undefined) return { asked: false, why: place.why };
  const { where, ledger } = place;
  try {
    const charges = (await readCharges(ledger, order)).map((charge) => toHeld(charge, order.installationId));
    const holds = charges.reduce((sum, { received, refunded }) => sum + received - refunded, 0);
    return { asked: true, where, holds, charges };
  } catch (err) {
    return { asked: false, why: `${where}: ${sentenceOf(err)}` };
  }
}

/** The search is late by up to a minute; the charge on record is read as it is. */
async function readCharges(
  ledger: Pick<PaymentLedger, 'findCharges' | 'readCharge'>,
  { orderId, gatewayReference }: AskedOrder,
): Promise<LedgerCharge[]> {
  const [found, recorded] = await Promise.all([
    ledger.findCharges(orderId),
    gatewayReference === null ? null : ledger.readCharge(gatewayReference),
  ]);
  return recorded === null ? found : [recorded, ...found.filter(({ reference }) => reference !== recorded.reference)];
}

function toHeld(charge: LedgerCharge, installationId: string | null): HeldCharge {
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
    at: createdAt.toISOString(),
  };
}
