/**
 * What an event of the payment gateway claims, if it could concern an order of ours. The gateway defines its shape: what
 * is not as expected claims nothing. https://docs.stripe.com/api/events/types
 */
import type { PaymentClaim } from '../../domain/reconciliation-findings.js';
import { UUID } from '../http/schemas.js';

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
/** Ids, types and words of the gateway's; any other value must not reach a statement. */
const WORD = /^[\w.:-]{1,255}$/;
const textOf = (value: unknown): string | null => (typeof value === 'string' && WORD.test(value) ? value : null);

/** @param event as it was signed, parsed @returns undefined if it claims nothing about money of ours */
export function readClaim(event: unknown): PaymentClaim | undefined {
  const type = textOf(recordOf(event)['type']);
  const subject = recordOf(recordOf(recordOf(event)['data'])['object']);
  if (type === null) return undefined;
  const named = textOf(recordOf(subject['metadata'])['orderId']);
  const orderId = named !== null && UUID.test(named) ? named.toLowerCase() : null;
  const charge = type.startsWith('payment_intent.') ? subject['id'] : subject['payment_intent'];
  const reference = textOf(charge) ?? textOf(recordOf(charge)['id']);
  if (orderId === null && reference === null) return undefined;
  return { orderId, reference, says: claimOf(type, textOf(subject['status'])) };
}

/** A refund that the gateway has carried out, or is about to. */
const GOES_BACK = new Set<string | null>(['succeeded', 'pending', null]);

function claimOf(type: string, status: string | null): PaymentClaim['says'] {
  if (type === 'payment_intent.payment_failed' || type === 'payment_intent.canceled') return 'not taken';
  if (type.startsWith('charge.dispute.')) return 'disputed';
  if (type === 'refund.failed') return 'sent back';
  if (/^(refund\.|charge\.refund\.)/.test(type)) return GOES_BACK.has(status) ? 'given back' : 'sent back';
  return type === 'charge.refunded' ? 'given back' : 'taken';
}
