/** Welcome: what the sandbox says of itself at `GET /`: what it can do, and what of the provider it does not do. */

import { FAULTS_HELP } from '../faults/routes.js';
import { CARDS } from '../provider/cards.js';
import { INTERVENTIONS_HELP } from './interventions.js';

export function welcome(): object {
  return {
    what: 'The payment sandbox of order-saga: a stand-in for Stripe. No money moves.',
    how: 'Point the official Stripe client at this host and port with protocol http and any key sk_test_….',
    cards: Object.fromEntries(Object.entries(CARDS).map(([name, { says }]) => [name, says])),
    api: [
      'POST /v1/payment_intents · GET /v1/payment_intents · GET /v1/payment_intents/search',
      'GET /v1/payment_intents/:id · POST /v1/payment_intents/:id/confirm · POST /v1/payment_intents/:id/cancel',
      'POST /v1/refunds · GET /v1/refunds · GET /v1/refunds/:id · POST /v1/refunds/:id/cancel',
      "POST /v1/payment_intents/:id, /v1/charges/:id and /v1/refunds/:id: metadata, and an intent's description",
      'GET /v1/charges · GET /v1/charges/:id · GET /v1/disputes · GET /v1/disputes/:id',
      'POST, GET /v1/customers · GET, POST, DELETE /v1/customers/:id',
    ],
    sandbox: [
      'GET /sandbox/ledger[?orderId=] · GET, POST, DELETE /sandbox/faults · GET /livez',
      'GET, POST /sandbox/clock {"aheadMs"} · GET, DELETE /sandbox/requests: how often each route was asked',
      'POST /sandbox/retention: what is older than SANDBOX_RETENTION goes now, as it does every hour',
    ],
    onRequest: INTERVENTIONS_HELP,
    faults: FAULTS_HELP,
    doesNot: DOES_NOT,
  };
}

const DOES_NOT = [
  'capture by hand, partial captures, incremental authorisations: an intent that succeeded has been paid in full',
  "payment methods other than the test cards above; saved cards; an intent's customer is taken and ignored",
  "updates of an intent's amount; evidence for disputes",
  "balance, fees, payouts, currency conversion: minimum amounts are those of the charge's own currency, and currencies of " +
    'which no account can settle have none',
  'limits of card networks and card brands; the larger amounts that some currencies have, but for IDR and INR',
  'events other than those of payments, refunds and disputes (none of intents made, canceled or waiting); /v1/events; thin events',
  'API versions: the header is echoed, the objects are always those of the newest; expansion of anything but latest_charge',
  'rate limits, permissions of keys and several accounts: any key sk_test_… opens the one ledger',
  'search beyond metadata, status and currency joined by AND',
];
