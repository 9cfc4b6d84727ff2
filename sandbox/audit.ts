/**
 * Audit: what someone who checks the books wants to know without paging through them. `/sandbox/ledger` is the whole ledger
 * in sums, `?orderId=` everything about one order. Not the provider's API; no key needed.
 */
import type { FastifyInstance } from 'fastify';
import { CARDS } from './cards.js';
import { FAULTS_HELP } from './faults.js';
import type { Ledger } from './ledger.js';
import { readQuery } from './lists.js';
import { text } from './params.js';
import { renderCharge, renderIntent, renderRefund } from './render.js';

/** Enough to start looking; the count beside them says how many there are. */
const EXAMPLES_MAX = 100;

export function auditRoutes(app: FastifyInstance, ledger: Ledger): void {
  app.get('/sandbox/ledger', async (request) => {
    const orderId = text(readQuery(request, ['orderId']), 'orderId');
    await ledger.durable();
    return orderId === undefined ? totals(ledger) : order(ledger, orderId);
  });
}

function totals(ledger: Ledger): object {
  const { intents, charges, refunds } = ledger.facts;
  const count = { succeeded: 0, pending: 0, failed: 0 };
  const currencies: Record<string, { captured: number; refunded: number; net: number }> = {};
  const paidIntentsByOrder = new Map<string, number>();
  let withoutOrder = 0;
  for (const charge of charges.items) {
    count[charge.status] += 1;
    if (charge.status !== 'succeeded') continue;
    currencies[charge.currency] ??= { captured: 0, refunded: 0, net: 0 };
    const sum = currencies[charge.currency] as { captured: number; refunded: number; net: number };
    sum.captured += charge.amount;
    sum.refunded += charge.amountRefunded;
    sum.net = sum.captured - sum.refunded;
    const orderId = charge.metadata['orderId'];
    if (orderId === undefined) withoutOrder += 1;
    else paidIntentsByOrder.set(orderId, (paidIntentsByOrder.get(orderId) ?? 0) + 1);
  }
  const twice = [...paidIntentsByOrder].filter(([, paid]) => paid > 1).map(([orderId]) => orderId);
  return {
    paymentIntents: intents.items.length,
    charges: count,
    refunds: refunds.items.length,
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
  const captured = charges.filter(({ status }) => status === 'succeeded').reduce((sum, { amount }) => sum + amount, 0);
  const refunded = refunds.reduce((sum, { amount }) => sum + amount, 0);
  return {
    orderId,
    captured,
    refunded,
    net: captured - refunded,
    paymentIntents: intents.map((intent) => renderIntent(intent)),
    charges: charges.map((charge) => ({ ...renderCharge(charge), idempotency_key: charge.key ?? null })),
    refunds: refunds.map((refund) => ({ ...renderRefund(refund), idempotency_key: refund.key ?? null })),
  };
}

export function welcome(): object {
  return {
    what: 'The payment sandbox of order-saga: a stand-in for Stripe. No money moves.',
    how: 'Point the official Stripe client at this host and port with protocol http and any key sk_test_….',
    cards: Object.fromEntries(Object.entries(CARDS).map(([name, { says }]) => [name, says])),
    api: [
      'POST /v1/payment_intents · GET /v1/payment_intents · GET /v1/payment_intents/search',
      'GET /v1/payment_intents/:id · POST /v1/payment_intents/:id/confirm · POST /v1/payment_intents/:id/cancel',
      'POST /v1/refunds · GET /v1/refunds · GET /v1/refunds/:id · GET /v1/charges · GET /v1/charges/:id',
      'GET /v1/disputes · GET /v1/disputes/:id',
      'POST, GET /v1/customers · GET, POST, DELETE /v1/customers/:id',
    ],
    sandbox: 'GET /sandbox/ledger[?orderId=] · GET, POST, DELETE /sandbox/faults · GET /livez',
    faults: FAULTS_HELP,
  };
}
