/** The look-up through Stripe's official client: what the attempts at an order's charge came to whose answer was lost. */
import Stripe from 'stripe';
import { STILL_PROCESSED } from '../contracts/refusals.js';
import { timeFor } from './deadline.js';
import { type Window, windowsOf, withLastMinutes } from './look-up-windows.js';
import { amountAtGateway, ownershipOf } from './marks.js';
import {
  type AttemptSpan,
  type Deadline,
  type Due,
  GatewayMismatch,
  GatewayUnknown,
  type HeldCharge,
  type LedgerCharge,
  type LookUp,
} from './payments.js';
import { isInAnotherState, toUnknown } from './stripe-errors.js';
import { readCharge, type StripeParts, sameIntent, searchIntents, toCharge } from './stripe-ledger.js';

type Asking = Pick<StripeParts, 'stripe' | 'timeoutMs'>;

export type LookUpOptions = {
  /** A charge that may still be completed is left alone: the caller goes on to complete it. */
  leaveOpen?: boolean;
  /** What names the order and would fit it was made by another build of ours: its use of the order's key proves that. */
  isKeyUsed?: boolean;
};

/**
 * What a look-up has found so far. `declined`: a charge of the order that took no money and never will, in the gateway's word.
 * `unmarked`: what holds money for the order if nothing of it carries the marks; a stranger's may be among these.
 */
type Finds = {
  held: HeldCharge[];
  isProcessing: boolean;
  declined?: string | undefined;
  unmarked?: HeldCharge | undefined;
};

/** The decline of a charge that is called off, since its customer is not there to authenticate. */
export const UNAUTHENTICATED = 'authentication_required';

/**
 * Finds the order's charges: by search, which is quick and late, else page by page through the last minutes and the times at which
 * what an attempt has asked for may have arrived, newest first. It ends with its attempt, and the next one goes on where this one was.
 */
export const settleOpenCharges = async (parts: StripeParts, lookUp: LookUp): Promise<HeldCharge[]> =>
  (await lookUpCharges(parts, lookUp, {})).held;

/** @throws GatewayUnknown while one is still being processed */
export async function lookUpCharges(parts: StripeParts, lookUp: LookUp, options: LookUpOptions): Promise<Finds> {
  const { due, deadline } = lookUp;
  try {
    const found = await searchIfThereIs(parts, due.orderId, deadline);
    let finds = await take(parts, found.map(toCharge), lookUp, options);
    if (finds.held.length === 0) finds = merge(finds, await readSpans(parts, lookUp, options));
    if (finds.isProcessing && finds.held.length === 0)
      throw new GatewayUnknown(`A charge of order ${due.orderId} ${STILL_PROCESSED}`);
    return finds;
  } catch (err) {
    throw toUnknown(err);
  }
}

/** Some accounts have no search, and it may fail by itself: the list, which is the truth, is asked in any case. */
async function searchIfThereIs(
  { stripe, timeoutMs }: Asking,
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

async function readSpans(parts: StripeParts, lookUp: LookUp, options: LookUpOptions): Promise<Finds> {
  const { spans, dbNow, from } = lookUp;
  const heard = parts.clock.timesMs();
  let finds: Finds = { held: [], isProcessing: false };
  for (const span of withLastMinutes(spans, dbNow, from)) {
    if (from && span.from > from.since) continue; // an earlier attempt has read it
    const place = from && span.from.getTime() === from.since.getTime() ? (from.after ?? undefined) : undefined;
    // The place is the same in every window of its span: nothing newer than it is listed any more.
    for (const window of windowsOf(span, dbNow, heard)) {
      finds = merge(finds, await readWindow(parts, { ...window, place, span }, lookUp, options));
      if (finds.held.length > 0) return finds;
    }
  }
  return finds;
}

async function readWindow(
  { ledger, ...parts }: StripeParts,
  { since, until, place, span }: Window & { place: string | undefined; span: AttemptSpan },
  lookUp: LookUp,
  options: LookUpOptions,
): Promise<Finds> {
  const { onProgress, deadline } = lookUp;
  let finds: Finds = { held: [], isProcessing: false };
  let after = place;
  do {
    const request = { since, until, ...(after !== undefined && { after }), ...(deadline && { deadline }) };
    const page = await ledger.listCharges(request).catch(async (err: unknown) => {
      // A look-up that can never go on would be worse than one more from this span's start.
      if (err instanceof GatewayUnknown && err.isPlaceGone) await onProgress?.({ since: span.from, after: null });
      throw err;
    });
    finds = merge(finds, await take(parts, page.items, lookUp, options));
    if (finds.held.length > 0) return finds;
    after = page.after;
    if (after !== undefined) await onProgress?.({ since: span.from, after });
  } while (after !== undefined);
  return finds;
}

const merge = (a: Finds, b: Finds): Finds => ({
  held: [...a.held, ...b.held],
  isProcessing: a.isProcessing || b.isProcessing,
  declined: a.declined ?? b.declined,
  unmarked: a.unmarked ?? b.unmarked,
});

async function take(parts: Asking, charges: LedgerCharge[], lookUp: LookUp, options: LookUpOptions): Promise<Finds> {
  const { due, deadline, vouchedFor = [], disowned = [] } = lookUp;
  const { leaveOpen = false, isKeyUsed = false } = options;
  let finds: Finds = { held: [], isProcessing: false };
  for (const found of charges) {
    const ownership = ownershipOf(found, due);
    // A stranger's that names the order, and would fit it, is no answer to us; nor is one that does not say that it was declined.
    if (ownership === 'ours' && found.state === 'over') finds.declined ??= found.declined;
    if (ownership === 'foreign' || found.state === 'over') continue;
    if (ownership === 'unmarked' && !isKeyUsed && !vouchedFor.includes(found.reference)) {
      // It was given back in full: whose it was matters no more.
      const holdsNothing = found.state === 'succeeded' && found.refunded >= found.received;
      if (holdsNothing || disowned.includes(found.reference)) continue;
      throw new GatewayMismatch(
        `The charge ${found.reference} would fit order ${due.orderId}, but is not marked as ours: see \`ops reconcile\``,
      );
    }
    if (found.state === 'succeeded' || ownership === 'unlike') {
      requireSameMoney(found, due);
      const held = { reference: found.reference, refunded: found.refunded };
      // With a correlation id it is the release before, too, that has used the key, and that marks its charges.
      if (isKeyUsed && ownership === 'unmarked' && due.correlationId) finds.unmarked ??= held;
      else finds.held.push(held);
    } else if (found.state === 'processing') finds.isProcessing = true;
    else if (!leaveOpen && !(isKeyUsed && ownership === 'unmarked')) {
      const now = await callOff(parts, found.reference, deadline);
      if (now.state === 'over') finds.declined ??= UNAUTHENTICATED;
      else finds = merge(finds, await take(parts, [now], lookUp, options));
    }
  }
  return finds;
}

/** An order is called paid only for the money that it costs, whichever way a charge was learnt of. */
export function requireSameMoney({ amount, received, currency, state }: LedgerCharge, due: Due): void {
  const wanted = amountAtGateway(due);
  const isRight = amount === wanted && currency === due.currency && (state !== 'succeeded' || received === wanted);
  if (!isRight)
    throw new GatewayMismatch(
      `The gateway has ${received} of ${amount} ${currency} for order ${due.orderId}, where ${wanted} ${due.currency} is asked for`,
    );
}

/**
 * Calls off a charge that waits for its customer. The gateway refuses to if it waits no more: an attempt that nobody heard of has called
 * it off, the customer was quicker, or the search showed it as it was a minute ago.
 * @returns how it stands now; never `open`
 */
export async function callOff(
  { stripe, timeoutMs }: Asking,
  reference: string,
  deadline: Deadline | undefined,
): Promise<LedgerCharge> {
  const within = () => ({ timeout: timeFor(timeoutMs, deadline) });
  try {
    const intent = await stripe.paymentIntents.cancel(reference, undefined, within());
    return requireSettled(toCharge(sameIntent(reference, intent)));
  } catch (err) {
    if (!isInAnotherState(err)) throw err;
    return requireSettled(await readCharge(stripe, reference, within()));
  }
}

function requireSettled(charge: LedgerCharge | null): LedgerCharge {
  if (charge === null || charge.state === 'open')
    throw new GatewayUnknown('The payment gateway neither calls a charge off nor says what has become of it');
  return charge;
}
