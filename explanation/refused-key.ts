/** A gateway that answers 401 or 403 is there, and does not take our key: no waiting mends that. */

export const KEY_REFUSED =
  'The key is refused: correct STRIPE_API_KEY of the workers, and restart them. No waiting mends it.';

/** @param error what an attempt was answered, as `gateways/stripe-errors` spells it */
export const isKeyRefused = (error: string | null | undefined): boolean => /\banswered 40[13]\b/.test(error ?? '');
