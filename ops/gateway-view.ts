/** The payment gateway as the CLI reaches it: to read its ledger, and nothing else. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type AskedOrder, type GatewayView, type LedgerPlace, readGateway } from '../explanation/gateway-view.js';
import { createPaymentGateway } from '../gateways/stripe.js';
import type { OpsConfig } from './connections.js';

/** A person is waiting, and all else that is known of the order waits with them. */
const TIMEOUT_MS = 4_000;
const SANDBOX_KEY = 'sk_test_sandbox';

/** @returns never throws: what is not known is said */
export const readGatewayOf = (config: OpsConfig, order: AskedOrder): Promise<GatewayView> =>
  readGateway(ledgerPlace(config), order);

export function ledgerPlace(config: OpsConfig): LedgerPlace {
  const place = gatewayPlace(config);
  if (place === undefined)
    return { why: 'STRIPE_API_KEY is not set here (and PAYMENTS_URL, if it is not Stripe itself)' };
  return { where: place.url ?? 'Stripe', ledger: createPaymentGateway({ ...place, timeoutMs: TIMEOUT_MS }) };
}

/** As a worker of this installation reaches it; undefined where nothing says so. */
export function gatewayPlace(config: OpsConfig): { url?: string; apiKey: string } | undefined {
  const { STRIPE_API_KEY: apiKey, PAYMENTS_URL, SANDBOX_PORT, DATABASE_URL, DATA_DIR } = config;
  // A key without a place is the sandbox's there, as `npm start` has it, and Stripe's elsewhere.
  const isLaptop = DATABASE_URL === undefined && existsSync(join(resolve(DATA_DIR), 'sandbox'));
  const url = PAYMENTS_URL ?? (isLaptop ? `http://127.0.0.1:${SANDBOX_PORT}` : undefined);
  if (url !== undefined) return { apiKey: apiKey || SANDBOX_KEY, url };
  return apiKey === '' ? undefined : { apiKey };
}
