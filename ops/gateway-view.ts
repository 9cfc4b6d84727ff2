/** What the payment gateway itself holds of an order: read from its ledger, beside what we have on record. It moves no money. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { amountFromGateway } from '../gateways/marks.js';
import type { LedgerCharge, PaymentLedger } from '../gateways/payments.js';
import { createPaymentGateway } from '../gateways/stripe.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import type { OpsConfig } from './connections.js';

/** A person is waiting, and all else that is known of the order waits with them. */
const TIMEOUT_MS = 4_000;
const SANDBOX_KEY = 'sk_test_sandbox';

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

type Asked = { orderId: string; installationId: string | null; gatewayReference: string | null };

/** @returns never throws: what is not known is said */
export async function readGateway(config: OpsConfig, order: Asked): Promise<GatewayView> {
  const place = gatewayPlace(config);
  if (place === undefined)
    return { asked: false, why: 'STRIPE_API_KEY is not set here (and PAYMENTS_URL, if it is not Stripe itself)' };
  const where = place.url ?? 'Stripe';
  try {
    const charges = await readCharges(createPaymentGateway({ ...place, timeoutMs: TIMEOUT_MS }), order);
    const held = charges.map((charge) => toHeld(charge, order.installationId));
    const holds = held.reduce((sum, { received, refunded }) => sum + received - refunded, 0);
    return { asked: true, where, holds, charges: held };
  } catch (err) {
    return { asked: false, why: `${where}: ${sentenceOf(err)}` };
  }
}

/** As a worker of this installation reaches it; undefined where nothing says so. */
export function gatewayPlace(config: OpsConfig): { url?: string; apiKey: string } | undefined {
  const { STRIPE_API_KEY: apiKey, PAYMENTS_URL: url, SANDBOX_PORT, DATABASE_URL, DATA_DIR } = config;
  if (apiKey !== '') return { apiKey, ...(url !== undefined && { url }) };
  if (url !== undefined) return { apiKey: SANDBOX_KEY, url };
  const isLaptop = DATABASE_URL === undefined && existsSync(join(resolve(DATA_DIR), 'sandbox'));
  return isLaptop ? { apiKey: SANDBOX_KEY, url: `http://127.0.0.1:${SANDBOX_PORT}` } : undefined;
}

/** The search is late by up to a minute; the charge on record is read as it is. */
async function readCharges(
  ledger: Pick<PaymentLedger, 'findCharges' | 'readCharge'>,
  { orderId, gatewayReference }: Asked,
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
