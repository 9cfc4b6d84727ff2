/** Attempt: what happens to an intent when a card is charged. Pure: it describes the effect, the ledger records it. */

import type { Change } from '../ledger/ledger.js';
import { type Charge, type Intent, newId } from '../ledger/records.js';
import type { ErrorBody } from '../protocol/errors.js';
import type { Effect } from '../protocol/posts.js';
import { AUTHENTICATION_REQUIRED, type Card, DECLINED } from './cards.js';

export interface AttemptOptions {
  at: number;
  card: Card;
  paymentMethod: string;
  /** The customer is not there to authenticate, or the caller wants an error instead of `requires_action`. */
  refuseAuthentication: boolean;
  key: string | undefined;
  /** How long after its charge a card that disputes does so. */
  disputeAfterMs: number;
}

export function attempt(before: Intent, options: AttemptOptions): Effect {
  const { card, paymentMethod } = options;
  const { lastPaymentError: _, ...rest } = before;
  const intent: Intent = { ...rest, paymentMethod };
  switch (card.does) {
    case 'succeed':
      return { status: 200, ...settled(intent, newCharge(intent, options)) };
    case 'process':
      return processing(intent, options);
    case 'ask':
      if (options.refuseAuthentication) return declined(intent, options, AUTHENTICATION_REQUIRED);
      return { status: 200, intent: { ...intent, status: 'requires_action' } };
    case 'decline':
      if (!card.decline) throw new Error(`Bug! ${paymentMethod} declines without saying why.`);
      return declined(intent, options, card.decline);
    default:
      throw new Error(`Bug! Unhandled card '${card.does satisfies never}'.`);
  }
}

/** The money has arrived. */
export function settled(intent: Intent, charge: Charge): Change {
  return {
    intent: { ...intent, status: 'succeeded', amountReceived: intent.amount, latestCharge: charge.id },
    charge: { ...charge, status: 'succeeded' },
    events: ['payment_intent.succeeded'],
  };
}

function processing(intent: Intent, options: AttemptOptions): Effect {
  const charge = newCharge(intent, options);
  return { status: 200, intent: { ...intent, status: 'processing', latestCharge: charge.id }, charge };
}

/** What becomes of an intent whose charge is under way, or whose customer was to authenticate. */
export function finished(
  intent: Intent,
  pending: Charge | undefined,
  { at, isPaid }: { at: number; isPaid: boolean },
): Change {
  const { paymentMethod = '' } = intent;
  const charge = pending ?? newCharge(intent, { at, paymentMethod });
  if (isPaid) return settled(intent, charge);
  const { error: _, ...change } = failed(intent, charge, DECLINED); // no request waits for an answer
  return change;
}

function declined(intent: Intent, options: AttemptOptions, why: Omit<ErrorBody, 'type'>): Effect {
  const { error, ...change } = failed(intent, newCharge(intent, options), why);
  return { status: 402, error, ...change };
}

/** A declined intent lets go of its payment method and may be confirmed again with another one. */
function failed(intent: Intent, charge: Charge, why: Omit<ErrorBody, 'type'>): Change & { error: ErrorBody } {
  const { paymentMethod: _, ...rest } = intent;
  const error: ErrorBody = { type: 'card_error', ...why, charge: charge.id };
  return {
    error,
    intent: { ...rest, status: 'requires_payment_method', latestCharge: charge.id, lastPaymentError: error },
    charge: { ...charge, status: 'failed', failure: error },
    events: ['payment_intent.payment_failed'],
  };
}

type ChargeOptions = Pick<AttemptOptions, 'at' | 'paymentMethod'> & Partial<AttemptOptions>;

function newCharge(intent: Intent, { at, card, paymentMethod, key, disputeAfterMs = 0 }: ChargeOptions): Charge {
  return {
    id: newId('ch'),
    at,
    intent: intent.id,
    amount: intent.amount,
    currency: intent.currency,
    status: 'pending',
    amountRefunded: 0,
    metadata: intent.metadata,
    paymentMethod,
    ...(key === undefined ? {} : { key }),
    ...(card?.dispute ? { upcoming: { to: 'disputed' as const, at: at + disputeAfterMs } } : {}),
  };
}
