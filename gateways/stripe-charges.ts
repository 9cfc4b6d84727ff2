/** Charging an order through Stripe's official client. What an attempt without an answer came to is looked up (stripe-look-up). */
import Stripe from 'stripe';
import { STILL_PROCESSED } from '../contracts/refusals.js';
import { timeFor } from './deadline.js';
import { amountAtGateway, chargeMetadata, ownershipOf } from './marks.js';
import {
  type ChargeOutcome,
  type ChargeRequest,
  GatewayMismatch,
  GatewayUnknown,
  type LedgerCharge,
} from './payments.js';
import { declineCode, isKeyUsedOtherwise, toUnknown } from './stripe-errors.js';
import { readCharge, type StripeParts, toCharge } from './stripe-ledger.js';
import { callOff, lookUpCharges, requireSameMoney, UNAUTHENTICATED } from './stripe-look-up.js';

/**
 * The gateway forgets an idempotency key after 24 h, and then the same key charges again. So for an older order it is first
 * asked what it has: what it does not find then, no attempt has sent for hours.
 */
const KEY_TRUSTED_MS = 20 * 3_600_000;

/** @throws GatewayUnknown, GatewayMismatch */
export async function charge(parts: StripeParts, request: ChargeRequest): Promise<ChargeOutcome> {
  try {
    if (Date.now() - request.since.getTime() > KEY_TRUSTED_MS) {
      const paid = await findOutcome(parts, request, { isKeyUsed: false });
      if (paid) return paid;
    }
    return await toOutcome(parts, await create(parts, request), request);
  } catch (err) {
    const code = declineCode(err);
    if (code !== undefined) return { outcome: 'declined', code };
    // The gateway replays a stored 5xx for ever under this key: "500" is not "not charged". Nor is it known what another
    // build of ours has done under the same key with other parameters. Its list knows.
    const wasUsedOtherwise = isKeyUsedOtherwise(err);
    if (wasUsedOtherwise || err instanceof Stripe.errors.StripeAPIError) {
      const outcome = await findOutcome(parts, request, { isKeyUsed: wasUsedOtherwise });
      if (outcome) return outcome;
    }
    throw toUnknown(err);
  }
}

/**
 * The look-up of a charge that is wanted, not undone: what could still be completed is left alone.
 * @param isKeyUsed the order's key has been used by another build: the one charge that this has made is its outcome, a decline as well
 */
async function findOutcome(
  parts: StripeParts,
  { due, lookUp, deadline }: ChargeRequest,
  { isKeyUsed }: { isKeyUsed: boolean },
): Promise<ChargeOutcome | undefined> {
  const known = { ...(await lookUp()), due, ...(deadline && { deadline }) };
  const { held: marked, declined, unmarked } = await lookUpCharges(parts, known, { leaveOpen: !isKeyUsed, isKeyUsed });
  const held = marked[0] ?? (declined === undefined ? unmarked : undefined);
  if (held && held.refunded > 0)
    throw new GatewayMismatch(`The gateway has given back ${held.refunded} of the charge of order ${due.orderId}`);
  if (held) return { outcome: 'charged', reference: held.reference };
  return isKeyUsed && declined !== undefined ? { outcome: 'declined', code: declined } : undefined;
}

async function create(parts: StripeParts, request: ChargeRequest): Promise<LedgerCharge> {
  const { stripe, timeoutMs } = parts;
  const { due, paymentMethod, idempotencyKey, deadline } = request;
  // Made only of what was fixed when the order was accepted: under one key, nothing else may ever be sent.
  const intent: Stripe.PaymentIntent = await stripe.paymentIntents.create(
    {
      amount: amountAtGateway(due),
      currency: due.currency.toLowerCase(),
      payment_method: paymentMethod,
      automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
      confirm: true,
      metadata: chargeMetadata(due),
    },
    { idempotencyKey, timeout: timeFor(timeoutMs, deadline) },
  );
  const made = toCharge(intent);
  if (made.state === 'succeeded' || made.state === 'over') return made;
  // A replay says how it stood at the first attempt; only the intent itself knows how it stands now: an attempt whose decline
  // was not recorded has called it off.
  const now = await readCharge(stripe, made.reference, { timeout: timeFor(timeoutMs, deadline) });
  if (now === null) throw new GatewayUnknown(`The charge of order ${due.orderId} was answered for, and is not found`);
  return made.state === 'open' && now.state === 'over' ? { ...now, declined: UNAUTHENTICATED } : now;
}

async function toOutcome(parts: StripeParts, made: LedgerCharge, request: ChargeRequest): Promise<ChargeOutcome> {
  const { due, deadline } = request;
  requireSameMoney(made, due);
  // What does not carry the order's marks is not the order's money, even if it came back under its key.
  if (ownershipOf(made, due) !== 'ours')
    throw new GatewayMismatch(`The gateway answered for order ${due.orderId} with a charge that is not marked as ours`);
  switch (made.state) {
    case 'succeeded':
      return { outcome: 'charged', reference: made.reference };
    case 'open': {
      // The customer is not there to authenticate; called off, so that the charge cannot be completed later.
      const now = await callOff(parts, made.reference, deadline);
      if (now.state !== 'over') return toOutcome(parts, now, request);
      return { outcome: 'declined', code: UNAUTHENTICATED };
    }
    case 'over':
      return { outcome: 'declined', code: made.declined ?? 'requires_payment_method' };
    case 'processing':
      throw new GatewayUnknown(`The charge of order ${due.orderId} ${STILL_PROCESSED}`);
    default:
      throw new Error(`Bug! Unhandled state "${made.state satisfies never}"`);
  }
}
