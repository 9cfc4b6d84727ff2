/**
 * The marker on the account, through Stripe's official client: a customer that nobody buys as, whose metadata holds the word.
 * It is the one kind of object that an account keeps for us, lets us change, and never charges.
 */
import Stripe from 'stripe';
import { type AccountMarker, GatewayUnknown, MarkerUnavailable } from './payments.js';
import { isMissing, toUnknown } from './stripe-errors.js';

const WORD = 'word';
const WHAT = 'order-saga: marks which database speaks for this installation. Do not delete.';

export function createMarker(stripe: Stripe, timeoutMs: number): AccountMarker {
  const limits = { timeout: timeoutMs };
  return {
    createMarker: (installationId, word) =>
      permitted(async () => {
        const metadata = { installationId, purpose: 'installation', [WORD]: word };
        return (await stripe.customers.create({ description: WHAT, metadata }, limits)).id;
      }),
    readMarker: (reference) =>
      permitted(async () => {
        try {
          const marker = await stripe.customers.retrieve(reference, undefined, limits);
          if (marker.id !== reference) throw new GatewayUnknown('The payment gateway’s answer makes no sense');
          return marker.deleted ? null : (marker.metadata[WORD] ?? null);
        } catch (err) {
          if (isMissing(err)) return null;
          throw err;
        }
      }),
    writeMarker: (reference, word) =>
      permitted(async () => {
        await stripe.customers.update(reference, { metadata: { [WORD]: word } }, limits);
      }),
  };
}

/** A restricted key may lack the right to customers: then there is no marker, which is said, and nothing else suffers. */
async function permitted<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (err) {
    if (err instanceof Stripe.errors.StripePermissionError)
      throw new MarkerUnavailable('The key of the payment gateway has no right to customers', { cause: err });
    throw toUnknown(err);
  }
}
