/** What the client throws, classified: a final "no", or an outcome that is not known. Nothing here throws. */
import Stripe from 'stripe';
import { retryAfterMs, UNDO_PAUSE_MAX_MS } from '../contracts/retry-after.js';
import { GatewayMismatch, GatewayUnknown } from './payments.js';

/**
 * Codes go into events, failures and logs: a word in small letters is one, whatever else the answer's body has there.
 */
export const wordOf = (code: unknown): string | undefined =>
  typeof code === 'string' && /^[a-z][a-z_]{1,63}$/.test(code) ? code : undefined;

/** @returns the gateway's word for a final "no", or undefined if the error is anything else */
export function declineCode(err: unknown): string | undefined {
  if (err instanceof Stripe.errors.StripeCardError)
    return wordOf(err.decline_code) ?? wordOf(err.code) ?? 'card_declined';
  // What the client sent can never be charged: as final as a decline, and nothing an operator could mend.
  const clientsFault = err instanceof Stripe.errors.StripeInvalidRequestError && err.statusCode === 400;
  if (clientsFault && (err.param === 'payment_method' || err.param === 'amount'))
    return wordOf(err.code) ?? `invalid_${err.param}`;
  return undefined;
}

/**
 * The key was used with other parameters: another build of ours has used it. What came of that, the gateway's list says.
 * The client calls it by a class of its own; a 400 of that type without one is the same.
 */
export const isKeyUsedOtherwise = (err: unknown): boolean =>
  err instanceof Stripe.errors.StripeIdempotencyError ||
  (err instanceof Stripe.errors.StripeError && err.rawType === 'idempotency_error');

/** Of a refund: the gateway has understood and will not, now or under this key. */
export const isRefused = (err: unknown): err is InstanceType<typeof Stripe.errors.StripeInvalidRequestError> =>
  err instanceof Stripe.errors.StripeInvalidRequestError &&
  err.statusCode === 400 &&
  !isKeyUsedOtherwise(err) &&
  !NOT_NOW.has(err.code ?? '');
/** Refused because of what else goes on at this moment. https://docs.stripe.com/error-codes */
const NOT_NOW = new Set(['idempotency_key_in_use', 'lock_timeout', 'rate_limit']);

/** What was asked for does not fit the state that the charge is in by now. */
export const isInAnotherState = (err: unknown): boolean =>
  err instanceof Stripe.errors.StripeInvalidRequestError &&
  err.statusCode === 400 &&
  err.code === 'payment_intent_unexpected_state';

/** The gateway knows no such object; a 404 without that code comes from a proxy on the way. */
export const isMissing = (err: unknown): boolean =>
  err instanceof Stripe.errors.StripeInvalidRequestError && err.statusCode === 404 && err.code === 'resource_missing';

/** What the gateway keeps under the key, and answers to it for ever. A 503 of its load balancer is not. */
export const isStored500 = (err: unknown): boolean =>
  err instanceof Stripe.errors.StripeAPIError && err.statusCode === 500;

/** The client of Stripe says how long it has waited in its message alone. */
function silenceOf({ message }: Error, noAnswer: 'refused' | 'broken' | undefined): string {
  if (noAnswer === 'refused') return 'refused the connection, or is not to be found';
  const waitedMs = Number(/timeout being reached \((\d{1,7})ms\)/.exec(message)?.[1] ?? Number.NaN);
  if (Number.isNaN(waitedMs)) return 'did not answer';
  return `did not answer within ${waitedMs < 1_000 ? `${waitedMs} ms` : `${Math.round(waitedMs / 1_000)} s`}`;
}

/** Everything that is not an answer about money. Messages carry kinds and codes only, never what was sent. */
export function toUnknown(err: unknown): Error {
  if (err instanceof GatewayUnknown || err instanceof GatewayMismatch) return err;
  if (!(err instanceof Stripe.errors.StripeError))
    return new GatewayUnknown('The payment gateway’s answer makes no sense', { cause: err });
  const noAnswer = err instanceof Stripe.errors.StripeConnectionError ? connectionOf(err.detail) : undefined;
  const answered = err.statusCode === undefined ? silenceOf(err, noAnswer) : `answered ${err.statusCode}`;
  const detail = [err.type, wordOf(err.code)].filter(Boolean).join(', ');
  return new GatewayUnknown(`The payment gateway ${answered} (${detail})`, {
    cause: err.statusCode === undefined ? err : undefined,
    noAnswer,
    isPlaceGone: err.code === 'resource_missing' && err.param === 'starting_after',
    retryAfterMs: retryAfterMs(err.headers?.['retry-after'], UNDO_PAUSE_MAX_MS),
  });
}

/** @returns what `ask` answers; whatever it throws leaves as an outcome that is not known */
export async function answered<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (err) {
    throw toUnknown(err);
  }
}

/** Node's codes for a host that cannot be reached at all, which cannot be the fault of what was asked. */
const REFUSED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN']);

const connectionOf = (detail: unknown): 'refused' | 'broken' =>
  REFUSED.has((detail as NodeJS.ErrnoException | undefined)?.code ?? '') ? 'refused' : 'broken';
