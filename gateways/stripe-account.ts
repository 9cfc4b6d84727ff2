/**
 * The marker on the account, through Stripe's official client: a customer who never buys, whose metadata holds the word.
 * It is the one kind of object that an account keeps for us, lets us change, and never charges.
 */
import { createHash } from 'node:crypto';
import Stripe from 'stripe';
import { type AccountMarker, GatewayUnknown, type MarkerText, MarkerUnavailable } from './payments.js';
import { isMissing, toUnknown } from './stripe-errors.js';

const WORD = 'word';
const PURPOSE = 'installation';
/** More than an installation has; a page holds no more. */
const MARKERS_MAX = 100;
const WHAT = 'order-saga: marks which database speaks for this installation. Do not delete.';

export function createMarker(stripe: Stripe, timeoutMs: number): AccountMarker {
  const limits = { timeout: timeoutMs };
  return {
    createMarker: (says) =>
      permitted(async () => (await stripe.customers.create({ description: WHAT, ...fieldsOf(says) }, limits)).id),
    findMarker: (installationId) =>
      permitted(async () => {
        const email = emailOf(installationId);
        const { data } = await stripe.customers.list({ email, limit: MARKERS_MAX }, limits);
        // A list of other customers than asked for proves nothing.
        if (data.some((customer) => customer.email !== email))
          throw new GatewayUnknown('The payment gateway’s answer makes no sense');
        const isMarker = ({ metadata }: Stripe.Customer) =>
          metadata['purpose'] === PURPOSE && metadata['installationId'] === installationId;
        return data.findLast(isMarker)?.id ?? null; // the list begins with the newest
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
    writeMarker: (reference, says) =>
      permitted(async () => {
        await stripe.customers.update(reference, fieldsOf(says), limits);
      }),
  };
}

/** All of it every time: a marker of a build that gave it no address, or of another INSTALLATION_ID, is found from then on. */
const fieldsOf = ({ installationId, word }: MarkerText) => ({
  email: emailOf(installationId),
  metadata: { installationId, purpose: PURPOSE, [WORD]: word },
});

/**
 * By its e-mail address a marker is found without knowing its reference: the list of customers is exact about it, where search is
 * up to an hour late (https://docs.stripe.com/api/customers/list, /search). Hashed, as an id has capitals and signs that an
 * address has not; at a domain that is reserved for ever (RFC 2606).
 */
const emailOf = (installationId: string): string =>
  `${createHash('sha256').update(installationId).digest('hex').slice(0, 32)}@order-saga.example.com`;

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
