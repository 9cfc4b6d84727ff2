/** The gateway's ledger for explaining orders: read only, by whichever process of the service holds the account's key. */
import type { LedgerPlace } from '../explanation/gateway-view.js';
import { createPaymentGateway } from '../gateways/stripe.js';

/** A person is waiting, and all else that is known of the order waits with them. */
const TIMEOUT_MS = 4_000;

type Config = { STRIPE_API_KEY: string; PAYMENTS_URL: string | undefined };

export function ledgerPlace(config: Config): LedgerPlace {
  const { PAYMENTS_URL: url } = config;
  if (config.STRIPE_API_KEY === '')
    return { why: 'this process has no STRIPE_API_KEY: `ops explain` asks the gateway' };
  const place = { apiKey: () => config.STRIPE_API_KEY, timeoutMs: TIMEOUT_MS, ...(url !== undefined && { url }) };
  return { where: url ?? 'Stripe', ledger: createPaymentGateway(place) };
}
