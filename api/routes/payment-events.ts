/**
 * What the payment gateway sends to the webhook. First whether the gateway has sent it: the signature is over bytes,
 * and says nothing of what they mean. Then its content, as far as it can be read: the gateway defines its shape.
 */
import Stripe from 'stripe';
import { Problem } from '../http/problems.js';

export type PaymentEvent = { id: string; type: string; data: unknown };

/** Seconds within which an event must arrive after it was signed, as in Stripe's own verifiers: a later replay is refused. */
const TOLERANCE_S = 300;
/** Ids and types of the gateway's; whatever else stands there is not kept, and never reaches a statement. */
const WORD = /^[\w.:-]{1,255}$/;

/**
 * @param secrets any of which may have signed it: during a rotation the gateway's old and its new one
 * @throws Problem invalid-signature
 */
export function verifySignature(
  body: unknown,
  signature: string | string[] | undefined,
  secrets: string[],
): asserts body is Buffer {
  try {
    const verifier = Stripe.webhooks.signature;
    if (!verifier || !Buffer.isBuffer(body)) throw new Error('there is nothing to verify');
    const isSignedBy = (secret: string) =>
      fits(() => verifier.verifyHeader(body, signature ?? '', secret, TOLERANCE_S));
    if (!secrets.some(isSignedBy)) throw new Error('none of them has signed it');
  } catch {
    // The reason is not answered: it would help only a forger.
    throw new Problem('invalid-signature', 'The Stripe-Signature does not fit the body, the secret or the time.');
  }
}

function fits(verify: () => unknown): boolean {
  try {
    verify();
    return true;
  } catch {
    return false;
  }
}

/**
 * @returns undefined for what the gateway may well send, but which says nothing about money: a thin event
 *   (`v2.core.event`), another object. It is answered 200, or it would come again for days, and the endpoint be switched off
 * @throws Problem if it is nothing that the gateway sends: a sender that has the secret and signs that should learn of it
 */
export function readEvent(body: Buffer): PaymentEvent | undefined {
  let event: unknown;
  try {
    event = JSON.parse(body.toString('utf8'));
  } catch {
    throw new Problem('malformed-json', 'The body is signed, but it cannot be parsed as JSON.');
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event))
    throw new Problem('invalid-request', 'The body is signed, but it is not an event.');
  const { object, id, type, data } = event as Record<string, unknown>;
  if (object !== 'event') return undefined;
  const errors = Object.entries({ id, type }).flatMap(([name, value]) =>
    typeof value === 'string' && WORD.test(value)
      ? []
      : [{ pointer: `/${name}`, detail: 'is not one of the gateway’s' }],
  );
  if (errors.length > 0)
    throw new Problem('invalid-request', 'The body is signed, but it is not an event.', { errors });
  return { id: String(id), type: String(type), data };
}
