/**
 * The gateway through Stripe's official client (in tests and on laptops it talks to sandbox/, which speaks the same API):
 * the requests that move money.
 */
import Stripe from 'stripe';
import {
  type ChargeOutcome,
  type ChargeRequest,
  GatewayUnknown,
  type HeldCharge,
  type PaymentGateway,
  type PaymentLedger,
} from './payments.js';
import { declineCode, toUnknown } from './stripe-errors.js';
import { createLedger } from './stripe-ledger.js';

/**
 * The gateway forgets an idempotency key after 24 h, and then the same key charges again. So for an older order its search
 * is asked first: it knows what is older than a minute, and what is younger the key still protects.
 */
const KEY_TRUSTED_MS = 20 * 3_600_000;
/** Clocks differ; what lies this long before an order's creation can still be its charge. */
const CLOCK_SKEW_S = 300;

/**
 * @param url       base of the API, e.g. http://127.0.0.1:12111 for the sandbox; undefined = Stripe itself
 * @param timeoutMs of one request; below the step's own timeout, so that a hanging gateway ends as GatewayUnknown and
 *                  never as an attempt that goes on behind the next one's back
 */
export function createPaymentGateway(options: {
  url?: string;
  apiKey: string;
  timeoutMs: number;
}): PaymentGateway & PaymentLedger {
  const stripe = connect(options);
  return {
    charge: (request) => charge(stripe, request),
    settleOpenCharges: (orderId, since) => settleOpenCharges(stripe, orderId, since),
    refund: (orderId, reference, key) => refund(stripe, orderId, reference, key),
    ...createLedger(stripe),
  };
}

function connect({ url, apiKey, timeoutMs }: { url?: string; apiKey: string; timeoutMs: number }): Stripe {
  const at = url === undefined ? undefined : new URL(url);
  return new Stripe(apiKey, {
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

async function charge(stripe: Stripe, request: ChargeRequest): Promise<ChargeOutcome> {
  let intent: Stripe.PaymentIntent;
  try {
    if (Date.now() - request.since.getTime() > KEY_TRUSTED_MS) {
      const paid = (await searchIntents(stripe, request.orderId)).find(({ status }) => status === 'succeeded');
      if (paid) return judge(stripe, paid, request);
    }
    intent = await stripe.paymentIntents.create(
      {
        amount: request.amount,
        currency: request.currency.toLowerCase(),
        payment_method: request.paymentMethod,
        automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
        confirm: true,
        metadata: { orderId: request.orderId },
      },
      { idempotencyKey: request.idempotencyKey },
    );
    // A replayed "processing" says how it stood at the first attempt; only the intent itself knows how it stands now.
    if (intent.status === 'processing') intent = await stripe.paymentIntents.retrieve(intent.id);
  } catch (err) {
    const code = declineCode(err);
    if (code !== undefined) return { outcome: 'declined', code };
    // The gateway replays a stored 5xx for ever under this key: "500" is not "not charged". Its list knows.
    if (err instanceof Stripe.errors.StripeAPIError) {
      const [held] = await settleOpenCharges(stripe, request.orderId, request.since, { leaveOpen: true });
      if (held) return { outcome: 'charged', reference: held.reference };
    }
    throw toUnknown(err);
  }
  return judge(stripe, intent, request);
}

async function judge(stripe: Stripe, intent: Stripe.PaymentIntent, request: ChargeRequest): Promise<ChargeOutcome> {
  if (intent.amount !== request.amount || intent.currency !== request.currency.toLowerCase()) {
    throw new Error(`Bug! The gateway echoed ${intent.amount} ${intent.currency} for order ${request.orderId}`);
  }
  switch (intent.status) {
    case 'succeeded':
      return { outcome: 'charged', reference: intent.id };
    case 'requires_action':
      // Nobody is there to act; called off, so that it cannot be completed behind our back.
      await stripe.paymentIntents.cancel(intent.id).catch((err: unknown) => {
        throw toUnknown(err);
      });
      return { outcome: 'declined', code: 'authentication_required' };
    case 'requires_payment_method':
    case 'canceled':
      return { outcome: 'declined', code: intent.last_payment_error?.decline_code || intent.status };
    default:
      throw new GatewayUnknown(`The gateway says "${intent.status}" of order ${request.orderId}`);
  }
}

async function settleOpenCharges(
  stripe: Stripe,
  orderId: string,
  since: Date,
  { leaveOpen = false } = {},
): Promise<HeldCharge[]> {
  try {
    const held: HeldCharge[] = [];
    for (const intent of await findIntents(stripe, orderId, since)) {
      if (intent.status === 'succeeded') held.push({ reference: intent.id });
      else if (intent.status === 'processing')
        throw new GatewayUnknown(`A charge of order ${orderId} is being processed`);
      else if (intent.status !== 'canceled' && !leaveOpen) await stripe.paymentIntents.cancel(intent.id);
    }
    return held;
  } catch (err) {
    throw toUnknown(err);
  }
}

async function searchIntents(stripe: Stripe, orderId: string): Promise<Stripe.PaymentIntent[]> {
  return (await stripe.paymentIntents.search({ query: `metadata['orderId']:'${orderId}'`, limit: 100 })).data;
}

/** Search answers fast but late: what it finds is there, what it does not find proves nothing. The list is the truth. */
async function findIntents(stripe: Stripe, orderId: string, since: Date): Promise<Stripe.PaymentIntent[]> {
  const found = await searchIntents(stripe, orderId);
  if (found.some((intent) => intent.status === 'succeeded')) return found;
  const listed: Stripe.PaymentIntent[] = [];
  const created = { gte: Math.floor(since.getTime() / 1000) - CLOCK_SKEW_S };
  for await (const intent of stripe.paymentIntents.list({ created, limit: 100 })) {
    if (intent.metadata['orderId'] === orderId) listed.push(intent);
  }
  return listed;
}

async function refund(stripe: Stripe, orderId: string, reference: string, idempotencyKey: string): Promise<string> {
  try {
    const made = await stripe.refunds.create({ payment_intent: reference, metadata: { orderId } }, { idempotencyKey });
    if (made.status === 'succeeded' || made.status === 'pending') return made.id;
    throw new GatewayUnknown(`The refund of order ${orderId} is "${made.status}"`);
  } catch (err) {
    if (err instanceof GatewayUnknown) throw err;
    // An earlier attempt may have got through without our hearing of it; the list knows.
    const earlier = await stripe.refunds.list({ payment_intent: reference, limit: 100 }).catch((listErr: unknown) => {
      throw toUnknown(listErr);
    });
    const made = earlier.data.find((r) => r.status === 'succeeded' || r.status === 'pending');
    if (made) return made.id;
    throw toUnknown(err);
  }
}
