/** Charging an order through Stripe's official client, and finding what an attempt that nobody has heard of came to. */
import Stripe from 'stripe';
import { STILL_PROCESSED } from '../contracts/refusals.js';
import { timeFor } from './deadline.js';
import { amountAtGateway, CHARGE_PURPOSE, kinshipOf, metadataFor } from './marks.js';
import {
  type ChargeOutcome,
  type ChargeRequest,
  type Deadline,
  type Due,
  GatewayMismatch,
  GatewayUnknown,
  type HeldCharge,
  type LedgerCharge,
  type LookUp,
  type PaymentLedger,
} from './payments.js';
import { declineCode, isKeyUsedOtherwise, toUnknown } from './stripe-errors.js';
import type { GatewayClock } from './stripe-http.js';
import { sameIntent, searchIntents, toCharge } from './stripe-ledger.js';

export type StripeParts = { stripe: Stripe; ledger: PaymentLedger; clock: GatewayClock; timeoutMs: number };

/**
 * The gateway forgets an idempotency key after 24 h, and then the same key charges again. So for an older order it is first
 * asked what it has: what it does not find then, nobody has sent for hours.
 */
const KEY_TRUSTED_MS = 20 * 3_600_000;

/** @throws GatewayUnknown, GatewayMismatch */
export async function charge(parts: StripeParts, request: ChargeRequest): Promise<ChargeOutcome> {
  try {
    if (Date.now() - request.since.getTime() > KEY_TRUSTED_MS) {
      const paid = await findPaid(parts, request, {});
      if (paid) return paid;
    }
    return await judge(parts, await create(parts, request), request);
  } catch (err) {
    const code = declineCode(err);
    if (code !== undefined) return { outcome: 'declined', code };
    // The gateway replays a stored 5xx for ever under this key: "500" is not "not charged". Nor is it known what another
    // build of ours has done under the same key with other parameters. Its list knows.
    const wasUsedOtherwise = isKeyUsedOtherwise(err);
    if (wasUsedOtherwise || err instanceof Stripe.errors.StripeAPIError) {
      const paid = await findPaid(parts, request, { takeUnmarked: wasUsedOtherwise });
      if (paid) return paid;
    }
    throw toUnknown(err);
  }
}

/** The look-up of a charge that is wanted, not undone: what could still be completed is left alone. */
async function findPaid(
  parts: StripeParts,
  { due, lookUp, deadline }: ChargeRequest,
  options: LookUpOptions,
): Promise<ChargeOutcome | undefined> {
  const known = { ...(await lookUp()), due, ...(deadline && { deadline }) };
  const [held] = await settleOpenCharges(parts, known, { ...options, leaveOpen: true });
  if (held && held.refunded > 0)
    throw new GatewayMismatch(`The gateway has given back ${held.refunded} of the charge of order ${due.orderId}`);
  return held && { outcome: 'charged', reference: held.reference };
}

async function create(parts: StripeParts, request: ChargeRequest): Promise<LedgerCharge & { declined?: string }> {
  const { stripe, timeoutMs } = parts;
  const { due, paymentMethod, idempotencyKey, deadline } = request;
  // Made only of what was fixed when the order was accepted: under one key, nothing else may ever be sent.
  let intent: Stripe.PaymentIntent = await stripe.paymentIntents.create(
    {
      amount: amountAtGateway(due),
      currency: due.currency.toLowerCase(),
      payment_method: paymentMethod,
      automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
      confirm: true,
      metadata: metadataFor(due, CHARGE_PURPOSE),
    },
    { idempotencyKey, timeout: timeFor(timeoutMs, deadline) },
  );
  // A replayed "processing" says how it stood at the first attempt; only the intent itself knows how it stands now.
  if (intent.status === 'processing')
    intent = sameIntent(
      intent.id,
      await stripe.paymentIntents.retrieve(intent.id, undefined, { timeout: timeFor(timeoutMs, deadline) }),
    );
  const declined = intent.last_payment_error?.decline_code;
  return { ...toCharge(intent), ...(declined && { declined }) };
}

async function judge(
  parts: StripeParts,
  made: LedgerCharge & { declined?: string },
  { due, deadline }: ChargeRequest,
): Promise<ChargeOutcome> {
  requireSameMoney(made, due);
  // Whatever came back under our key: what does not carry the order's marks is somebody else's money.
  if (kinshipOf(made, due) !== 'ours')
    throw new GatewayMismatch(`The gateway answered for order ${due.orderId} with a charge that is not marked as ours`);
  switch (made.state) {
    case 'succeeded':
      return { outcome: 'charged', reference: made.reference };
    case 'open':
      // Nobody is there to act; called off, so that it cannot be completed behind our back.
      await callOff(parts, made.reference, deadline);
      return { outcome: 'declined', code: 'authentication_required' };
    case 'over':
      return { outcome: 'declined', code: made.declined ?? 'requires_payment_method' };
    case 'processing':
      throw new GatewayUnknown(`The charge of order ${due.orderId} ${STILL_PROCESSED}`);
    default:
      throw new Error(`Bug! Unhandled state "${made.state satisfies never}"`);
  }
}

/** An order is called paid only for the money that it costs, whichever way a charge was learnt of. */
function requireSameMoney({ amount, received, currency, state }: LedgerCharge, due: Due): void {
  const wanted = amountAtGateway(due);
  const isRight = amount === wanted && currency === due.currency && (state !== 'succeeded' || received === wanted);
  if (!isRight)
    throw new GatewayMismatch(
      `The gateway has ${received} of ${amount} ${currency} for order ${due.orderId}, where ${wanted} ${due.currency} is asked for`,
    );
}

const callOff = ({ stripe, timeoutMs }: StripeParts, reference: string, deadline: Deadline | undefined) =>
  stripe.paymentIntents.cancel(reference, undefined, { timeout: timeFor(timeoutMs, deadline) });

type LookUpOptions = {
  /** A charge that may still be completed is left alone: the caller goes on to complete it. */
  leaveOpen?: boolean;
  /** What names the order and would fit it was made by another build of ours: its use of the order's key proves that. */
  takeUnmarked?: boolean;
};

/** What a look-up has found so far. */
type Finds = { held: HeldCharge[]; isProcessing: boolean };

/**
 * Finds the order's charges: by search, which is quick and late, else page by page through the times at which an attempt may
 * have run, newest first. It ends with its attempt, and the next one goes on where this one was.
 */
export async function settleOpenCharges(
  parts: StripeParts,
  lookUp: LookUp,
  options: LookUpOptions = {},
): Promise<HeldCharge[]> {
  const { due, deadline } = lookUp;
  try {
    const found = await searchIfThereIs(parts, due.orderId, deadline);
    let finds = await take(parts, found.map(toCharge), lookUp, options);
    if (finds.held.length === 0) finds = merge(finds, await readSpans(parts, lookUp, options));
    if (finds.isProcessing && finds.held.length === 0)
      throw new GatewayUnknown(`A charge of order ${due.orderId} ${STILL_PROCESSED}`);
    return finds.held;
  } catch (err) {
    throw toUnknown(err);
  }
}

/** Some accounts have no search, and it may be ill by itself: the list, which is the truth, is asked in any case. */
async function searchIfThereIs(
  { stripe, timeoutMs }: StripeParts,
  orderId: string,
  deadline: Deadline | undefined,
): Promise<Stripe.PaymentIntent[]> {
  try {
    return await searchIntents(stripe, orderId, { timeout: timeFor(timeoutMs, deadline) });
  } catch (err) {
    if (err instanceof Stripe.errors.StripeError && err.statusCode !== undefined) return [];
    throw err;
  }
}

/** Times are converted by one clock against the other, both read just now; this is for what they may have drifted since. */
const CLOCK_MARGIN_MS = 60_000;
/** Where the gateway's clock was never heard: clocks differ by less, or it is somebody's task to mend them. */
const UNHEARD_MARGIN_MS = 5 * 60_000;

async function readSpans(parts: StripeParts, lookUp: LookUp, options: LookUpOptions): Promise<Finds> {
  const { spans, dbNow, from, onProgress, deadline } = lookUp;
  const heard = parts.clock.rangeMs();
  const marginMs = heard === undefined ? UNHEARD_MARGIN_MS : CLOCK_MARGIN_MS;
  // Should it have told two times, both are taken for true.
  const there = (time: Date, nowMs: number | undefined, ms: number) =>
    new Date(time.getTime() + (nowMs === undefined ? 0 : nowMs - dbNow.getTime()) + ms);
  let finds: Finds = { held: [], isProcessing: false };
  for (const span of spans) {
    if (from && span.from > from.since) continue; // an earlier attempt has read it
    let after = from && span.from.getTime() === from.since.getTime() ? (from.after ?? undefined) : undefined;
    const since = there(span.from, heard?.earliest, -marginMs);
    const until = there(span.until, heard?.latest, marginMs);
    do {
      const request = { since, until, ...(after !== undefined && { after }), ...(deadline && { deadline }) };
      const page = await parts.ledger.listCharges(request).catch(async (err: unknown) => {
        // A look-up that can never go on would be worse than one more from this span's start.
        if (err instanceof GatewayUnknown && err.isPlaceGone) await onProgress?.({ since: span.from, after: null });
        throw err;
      });
      finds = merge(finds, await take(parts, page.items, lookUp, options));
      if (finds.held.length > 0) return finds;
      after = page.after;
      if (after !== undefined) await onProgress?.({ since: span.from, after });
    } while (after !== undefined);
  }
  return finds;
}

const merge = (a: Finds, b: Finds): Finds => ({
  held: [...a.held, ...b.held],
  isProcessing: a.isProcessing || b.isProcessing,
});

async function take(
  parts: StripeParts,
  charges: LedgerCharge[],
  { due, deadline, vouchedFor = [], disowned = [] }: LookUp,
  { leaveOpen = false, takeUnmarked = false }: LookUpOptions,
): Promise<Finds> {
  const finds: Finds = { held: [], isProcessing: false };
  for (const found of charges) {
    const kinship = kinshipOf(found, due);
    if (kinship === 'foreign' || found.state === 'over') continue;
    if (kinship === 'unmarked' && !takeUnmarked && !vouchedFor.includes(found.reference)) {
      // Somebody has given it back: whose it was is no question any more.
      const holdsNothing = found.state === 'succeeded' && found.refunded >= found.received;
      if (holdsNothing || disowned.includes(found.reference)) continue;
      throw new GatewayMismatch(
        `The charge ${found.reference} would fit order ${due.orderId}, but is not marked as ours: see \`ops reconcile\``,
      );
    }
    if (found.state === 'succeeded' || kinship === 'unlike') {
      requireSameMoney(found, due);
      finds.held.push({ reference: found.reference, refunded: found.refunded });
    } else if (found.state === 'processing') finds.isProcessing = true;
    else if (!leaveOpen) await callOff(parts, found.reference, deadline);
  }
  return finds;
}
