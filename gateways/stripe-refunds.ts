/**
 * Giving a charge back through Stripe's official client. Whether it is done is a fact about the charge, read after the act:
 * refunds of others may have gone before, ours may fail days later, and the answer to a known key is as old as the key.
 */
import type Stripe from 'stripe';
import { timeFor } from './deadline.js';
import { amountFromGateway, metadataFor, REFUND_PURPOSE } from './marks.js';
import {
  GatewayUnknown,
  type LedgerCharge,
  type LedgerRefund,
  type RefundOutcome,
  type RefundRequest,
} from './payments.js';
import { isKeyUsedOtherwise, isRefused, isStored500, toUnknown, wordOf } from './stripe-errors.js';
import { readCharge, readRefunds, type StripeParts } from './stripe-ledger.js';

/** @throws GatewayUnknown if it is not known what the charge holds now, or a refund waits for its customer */
export async function refund(parts: StripeParts, request: RefundRequest): Promise<RefundOutcome> {
  const { idempotencyKey } = request;
  const asked = idempotencyKey === null ? { refused: NOT_ASKED } : await create(parts, { ...request, idempotencyKey });
  try {
    const limits = () => ({ timeout: timeFor(parts.timeoutMs, request.deadline) });
    const charge = await readCharge(parts.stripe, request.chargeReference, limits());
    if (!charge) throw new GatewayUnknown(`The gateway does not have the charge ${request.chargeReference}`);
    const refunds = await readRefunds(parts.stripe, request.chargeReference, limits());
    const ours = refunds.filter(({ orderId }) => orderId?.toLowerCase() === request.due.orderId.toLowerCase());
    return toOutcome(charge, ours, asked, request);
  } catch (err) {
    throw toUnknown(err);
  }
}

const NOT_ASKED = 'no refund may be made any more';

/** What asking for the refund came to; it is only believed where it says that the same key will never do. */
type Asked = { made?: Stripe.Refund; refused?: string; unknown?: Error; keyIsSpent?: boolean };

async function create(
  { stripe, timeoutMs }: StripeParts,
  { due, chargeReference, idempotencyKey, deadline }: RefundRequest & { idempotencyKey: string },
): Promise<Asked> {
  const timeout = timeFor(timeoutMs, deadline);
  try {
    // No amount: all that is left, whatever others have given back before.
    const made = await stripe.refunds.create(
      { payment_intent: chargeReference, metadata: metadataFor(due, REFUND_PURPOSE) },
      { idempotencyKey, timeout },
    );
    return { made };
  } catch (err) {
    if (isRefused(err)) return { refused: wordOf(err.code) ?? 'invalid_request' };
    // A stored 500 is replayed for ever, and what another build of ours has sent under this key cannot be sent again.
    return { unknown: toUnknown(err), keyIsSpent: isStored500(err) || isKeyUsedOtherwise(err) };
  }
}

const isAlive = ({ status }: LedgerRefund): boolean => status === 'succeeded' || status === 'pending';

function toOutcome(
  charge: LedgerCharge,
  ours: LedgerRefund[],
  { made, refused, unknown, keyIsSpent }: Asked,
  { due }: RefundRequest,
): RefundOutcome {
  const holds = charge.received - charge.refunded;
  const waiting = ours.find(({ status }) => status === 'requires_action');
  if (waiting)
    throw new GatewayUnknown(`The refund ${waiting.reference} of order ${due.orderId} waits for its customer`);
  const now = made && ours.find(({ reference }) => reference === made.id);
  // The list is older than what was just made: how much of it is ours cannot be told.
  if (made && !now) throw new GatewayUnknown(`The refund of order ${due.orderId} is not to be seen yet`);
  if (holds <= 0) {
    const alive = ours.filter(isAlive);
    const amount = alive.reduce((sum, made) => sum + made.amount, 0);
    return {
      outcome: 'done',
      gaveBack: amountFromGateway(due.installationId, { amount, currency: charge.currency }),
      reference: alive[0]?.reference ?? null,
      pending: alive.some(({ status }) => status === 'pending'),
    };
  }
  const hasEnded = now !== undefined && !isAlive(now);
  if (refused !== undefined || hasEnded) {
    const why = refused ?? `the refund ${now?.reference} is "${wordOf(now?.status)}"`;
    return { outcome: 'failed', isListed: hasEnded, disputed: charge.disputed, why };
  }
  // Ours went through, and the charge holds money again: what others gave back before it has come back.
  if (now !== undefined) return { outcome: 'key-spent', why: `others' refunds beside ${now.reference} have failed` };
  if (unknown && keyIsSpent) return { outcome: 'key-spent', why: unknown.message };
  throw unknown ?? new GatewayUnknown(`The refund of order ${due.orderId} is not to be seen yet`);
}
