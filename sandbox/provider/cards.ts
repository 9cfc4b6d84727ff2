/**
 * Cards: the test payment methods and what each of them does. Those named `pm_card_…` behave as the provider's test cards
 * of that name do; those named `pm_sandbox_…` are ours and play the faults that the provider's test mode cannot.
 */
import type { Mode } from '../faults/modes.js';

interface Decline {
  code: string;
  decline_code?: string;
  message: string;
}

/** Why the cardholder disputes; `warning_needs_response` opens an inquiry. */
export interface DisputeTerms {
  reason: string;
  status: 'needs_response' | 'warning_needs_response';
}

export interface Card {
  does: 'succeed' | 'decline' | 'ask' | 'process';
  says: string;
  decline?: Decline;
  /** The fault that a charge of this card meets. */
  fault?: Mode;
  /** What becomes of the refunds of its charges; absent: they succeed at once. */
  refunds?: 'settle' | 'fail';
  /** Its charges are disputed some time after they succeeded. */
  dispute?: DisputeTerms;
}

const succeeds: Card = { does: 'succeed', says: 'succeeds' };
const asks: Card = {
  does: 'ask',
  says: 'requires_action; declined when off_session or error_on_requires_action is set',
};

const declines = (code: string, message: string, decline_code?: string): Card => ({
  does: 'decline',
  says: `402 ${code}${decline_code ? ` (${decline_code})` : ''}`,
  decline: { code, message, ...(decline_code ? { decline_code } : {}) },
});
const declined = (reason: string, message = 'Your card was declined.') => declines('card_declined', message, reason);

const disputed = (reason: string, status: DisputeTerms['status'] = 'needs_response'): Card => ({
  ...succeeds,
  says: `succeeds; ${status === 'needs_response' ? 'disputed' : 'an inquiry'} (${reason}) after SANDBOX_DISPUTE_AFTER`,
  dispute: { reason, status },
});

export const CARDS: Readonly<Record<string, Card>> = {
  pm_card_visa: succeeds,
  pm_card_mastercard: succeeds,
  pm_card_amex: succeeds,
  pm_card_chargeDeclined: declined('generic_decline'),
  pm_card_chargeDeclinedInsufficientFunds: declined('insufficient_funds', 'Your card has insufficient funds.'),
  pm_card_chargeDeclinedLostCard: declined('lost_card'),
  pm_card_chargeDeclinedStolenCard: declined('stolen_card'),
  pm_card_chargeDeclinedExpiredCard: declines('expired_card', 'Your card has expired.'),
  pm_card_chargeDeclinedIncorrectCvc: declines('incorrect_cvc', "Your card's security code is incorrect."),
  pm_card_chargeDeclinedProcessingError: declines('processing_error', 'An error occurred while processing your card.'),
  pm_card_authenticationRequired: asks,
  pm_card_threeDSecure2Required: asks,
  pm_card_pendingRefund: {
    ...succeeds,
    says: 'succeeds; its refunds are pending first, and succeed after SANDBOX_REFUND_SETTLES_AFTER',
    refunds: 'settle',
  },
  pm_card_refundFail: {
    ...succeeds,
    says: 'succeeds; its refunds succeed first, and fail after SANDBOX_REFUND_FAILS_AFTER',
    refunds: 'fail',
  },
  pm_card_createDispute: disputed('fraudulent'),
  pm_card_createDisputeProductNotReceived: disputed('product_not_received'),
  pm_card_createDisputeInquiry: disputed('fraudulent', 'warning_needs_response'),
  pm_sandbox_processing: { does: 'process', says: 'status processing, which turns into succeeded after 2 s' },
  pm_sandbox_timeout_after_charge: {
    ...succeeds,
    says: 'records the charge, then answers after 60 s; the same key again is answered at once',
    fault: 'hang_after',
  },
  pm_sandbox_error_after_charge: {
    ...succeeds,
    says: 'records the charge, then answers 500, and the same 500 to the same key for as long as keys live (24 h)',
    fault: 'error_after',
  },
  pm_sandbox_slow: { ...succeeds, says: 'takes 3 s; the same key meanwhile gets 409', fault: 'slow' },
  pm_sandbox_unavailable: {
    ...succeeds,
    says: '503 before anything is recorded, once per key; the same key again succeeds',
    fault: 'down',
  },
};

/** The provider's answer to an authentication that the caller has ruled out. */
export const AUTHENTICATION_REQUIRED: Decline = {
  code: 'authentication_required',
  decline_code: 'authentication_required',
  message: 'Your card was declined. This transaction requires authentication.',
};

/** How a charge fails that was under way. */
export const DECLINED: Decline = {
  code: 'card_declined',
  decline_code: 'generic_decline',
  message: 'Your card was declined.',
};

export function findCard(paymentMethod: string): Card | undefined {
  return Object.hasOwn(CARDS, paymentMethod) ? CARDS[paymentMethod] : undefined;
}
