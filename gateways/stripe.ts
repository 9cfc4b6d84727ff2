/**
 * The gateway through Stripe's official client (in tests and on laptops it talks to sandbox/, which speaks the same API).
 * This file puts it together: charges, refunds, the ledger, the marker.
 */
import Stripe from 'stripe';
import type { AccountMarker, Gateway } from './payments.js';
import { createMarker } from './stripe-account.js';
import { charge } from './stripe-charges.js';
import { createHttpClient, type HttpClient } from './stripe-http.js';
import { createLedger } from './stripe-ledger.js';
import { settleOpenCharges } from './stripe-look-up.js';
import { refund } from './stripe-refunds.js';

/** A function where the key comes from a file, which may change: each request has the present one. */
type Options = { url?: string; apiKey: string | (() => string); timeoutMs: number };

/**
 * @param options.url       base of the API, e.g. http://127.0.0.1:12111 for the sandbox; undefined = Stripe itself
 * @param options.timeoutMs of one request, its answer included; less if the attempt's deadline comes first
 */
export function createPaymentGateway(options: Options): Gateway & AccountMarker {
  const { httpClient, clock } = createHttpClient();
  const { timeoutMs } = options;
  const stripe = connect(options, httpClient);
  const ledger = createLedger(stripe, timeoutMs, clock);
  const parts = { stripe, ledger, clock, timeoutMs };
  return {
    charge: (request) => charge(parts, request),
    settleOpenCharges: (lookUp) => settleOpenCharges(parts, lookUp),
    refund: (request) => refund(parts, request),
    ...ledger,
    ...createMarker(stripe, timeoutMs),
  };
}

function connect({ url, apiKey, timeoutMs }: Options, httpClient: HttpClient): Stripe {
  const at = url === undefined ? undefined : new URL(url);
  const keyOf = typeof apiKey === 'string' ? () => apiKey : apiKey;
  return new Stripe('', {
    authenticator: async ({ headers }) => {
      headers['Authorization'] = `Bearer ${keyOf()}`;
    },
    httpClient,
    // Temporal retries; a second retry loop inside would hide attempts and stretch timeouts.
    maxNetworkRetries: 0,
    timeout: timeoutMs,
    telemetry: false,
    ...(at && {
      host: at.hostname,
      port: Number(at.port || (at.protocol === 'https:' ? 443 : 80)),
      protocol: at.protocol === 'https:' ? ('https' as const) : ('http' as const),
    }),
  });
}
