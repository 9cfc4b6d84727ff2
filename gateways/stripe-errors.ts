/** What the client throws, told apart: a final "no", or an outcome that is not known. */
import Stripe from 'stripe';
import { GatewayUnknown } from './payments.js';

/** @returns the gateway's word for a final "no", or undefined if the error is anything else */
export function declineCode(err: unknown): string | undefined {
  if (err instanceof Stripe.errors.StripeCardError) return err.decline_code || err.code || 'card_declined'; // the client says '' for an absent one
  // What the client sent can never be charged: as final as a decline, and nothing an operator could mend.
  const clientsFault = err instanceof Stripe.errors.StripeInvalidRequestError && err.statusCode === 400;
  if (clientsFault && (err.param === 'payment_method' || err.param === 'amount'))
    return err.code ?? `invalid_${err.param}`;
  return undefined;
}

/** Everything that is not an answer about money. Messages carry kinds and codes only, never what was sent. */
export function toUnknown(err: unknown): Error {
  if (err instanceof GatewayUnknown || !(err instanceof Stripe.errors.StripeError)) return err as Error;
  const noAnswer = err instanceof Stripe.errors.StripeConnectionError ? connectionOf(err.detail) : undefined;
  const answered = err.statusCode === undefined ? 'did not answer' : `answered ${err.statusCode}`;
  const detail = [err.type, err.code].filter(Boolean).join(', ');
  const retryAfter = Number(err.headers?.['retry-after']);
  return new GatewayUnknown(`The payment gateway ${answered} (${detail})`, {
    cause: err.statusCode === undefined ? err : undefined,
    noAnswer,
    ...(retryAfter > 0 && { retryAfterMs: retryAfter * 1000 }),
  });
}

/** Node's codes for "nobody is there at all", which cannot be the fault of what was asked. */
const REFUSED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN']);

const connectionOf = (detail: unknown): 'refused' | 'broken' =>
  REFUSED.has((detail as NodeJS.ErrnoException | undefined)?.code ?? '') ? 'refused' : 'broken';
