/** The gateway's own ledger, read through Stripe's official client. */
import Stripe from 'stripe';
import type { LedgerCharge, PageRequest, PaymentLedger } from './payments.js';
import { toUnknown } from './stripe-errors.js';

const PAGE_MAX = 100;
/** The charge says what of it was refunded; the intent alone does not. */
const WITH_CHARGE = 'latest_charge';

export function createLedger(stripe: Stripe): PaymentLedger {
  return {
    listCharges: (request) =>
      answered(async () => {
        const page = await stripe.paymentIntents.list({ ...pageOf(request), expand: [`data.${WITH_CHARGE}`] });
        return { items: page.data.map(toCharge), ...afterOf(page) };
      }),
    listRefunds: (request) =>
      answered(async () => {
        const page = await stripe.refunds.list(pageOf(request));
        const items = page.data.flatMap(({ payment_intent: of, created }) =>
          of === null ? [] : [{ chargeReference: typeof of === 'string' ? of : of.id, createdAt: toDate(created) }],
        );
        return { items, ...afterOf(page) };
      }),
    findCharges: (orderId) =>
      answered(async () => {
        // A quote would end the query's own: what is not a plain word is nobody's order.
        if (!/^[\w.:-]{1,100}$/.test(orderId)) return [];
        const query = `metadata['orderId']:'${orderId}'`;
        const page = await stripe.paymentIntents.search({ query, limit: PAGE_MAX, expand: [`data.${WITH_CHARGE}`] });
        return page.data.map(toCharge);
      }),
    readCharge: (reference) =>
      answered(async () => {
        try {
          return toCharge(await stripe.paymentIntents.retrieve(reference, { expand: [WITH_CHARGE] }));
        } catch (err) {
          if (err instanceof Stripe.errors.StripeInvalidRequestError && err.statusCode === 404) return null;
          throw err;
        }
      }),
    callOff: (reference) =>
      answered(async () => {
        await stripe.paymentIntents.cancel(reference);
      }),
  };
}

async function answered<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (err) {
    throw toUnknown(err);
  }
}

const pageOf = ({ since, after }: PageRequest) => ({
  created: { gte: Math.floor(since.getTime() / 1000) },
  limit: PAGE_MAX,
  ...(after !== undefined && { starting_after: after }),
});

function afterOf({ has_more, data }: { has_more: boolean; data: { id: string }[] }): { after?: string } {
  const last = data.at(-1);
  return has_more && last ? { after: last.id } : {};
}

const toDate = (seconds: number): Date => new Date(seconds * 1000);

function toCharge(intent: Stripe.PaymentIntent): LedgerCharge {
  const charge = typeof intent.latest_charge === 'object' ? intent.latest_charge : null;
  return {
    reference: intent.id,
    orderId: intent.metadata['orderId'] ?? null,
    state: stateOf(intent.status),
    received: intent.amount_received,
    refunded: intent.status === 'succeeded' ? (charge?.amount_refunded ?? 0) : 0,
    currency: intent.currency.toUpperCase(),
    createdAt: toDate(intent.created),
  };
}

function stateOf(status: Stripe.PaymentIntent.Status): LedgerCharge['state'] {
  switch (status) {
    case 'succeeded':
      return 'succeeded';
    // Whoever completes it, takes money: the customer in a tab left open, or a capture.
    case 'requires_action':
    case 'requires_confirmation':
    case 'requires_capture':
      return 'open';
    // Declined: it takes money only if our own key gives it another card, which nothing of ours does.
    case 'requires_payment_method':
    case 'canceled':
      return 'over';
    // A status that the client does not know yet: nobody acts on it, and it is looked at again.
    default:
      return 'processing';
  }
}
