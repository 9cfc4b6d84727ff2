/**
 * What the payment gateway is told of an order's correlation id, so that its charge is found by it there as well. A client may have
 * put anything into the id: what might be a person's or a secret leaves only as a keyed hash. It is chosen once, when the order is
 * accepted, and kept with it: all attempts at a charge must send the same, whatever key there is by then.
 */
import { createHmac } from 'node:crypto';
import { scrub } from '../../runtime/errors/scrub.js';

/** Also keeps out addresses: there is no @. What is shown as it is can never be taken for the hash of another id. */
const HARMLESS = /^(?!hmac-sha256:)[A-Za-z0-9._:-]{1,128}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** @param secret of this installation (AUDIT_KEY); '' = the hash can be made by anybody who guesses the id */
export function chargeCorrelationOf(correlationId: string, secret: string): string {
  const isShown =
    HARMLESS.test(correlationId) && !holdsCardNumber(correlationId) && scrub(correlationId) === correlationId;
  if (isShown) return correlationId;
  const hash = createHmac('sha256', secret).update(JSON.stringify(['charge-correlation', correlationId]));
  return `hmac-sha256:${hash.digest('hex')}`;
}

const CARD_DIGITS = { min: 13, max: 19 };

/** Groups of digits, together or apart, that pass the check of card numbers. */
function holdsCardNumber(text: string): boolean {
  if (UUID.test(text)) return false;
  return [...text.matchAll(/\d+(?:[._:-]\d+)*/g)].some(([run]) => {
    const groups = run.split(/[._:-]/);
    return groups.some((_, from) =>
      groups.some((_, to) => to >= from && isCardNumber(groups.slice(from, to + 1).join(''))),
    );
  });
}

/** By Luhn's sum. */
function isCardNumber(digits: string): boolean {
  if (digits.length < CARD_DIGITS.min || digits.length > CARD_DIGITS.max) return false;
  const sum = [...digits].reverse().reduce((total, digit, place) => {
    const value = place % 2 === 0 ? Number(digit) : Number(digit) * 2;
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}
