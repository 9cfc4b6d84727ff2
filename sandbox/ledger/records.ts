/**
 * Records: what the ledger keeps. An Entry is one line of the ledger, and so one atomic fact: everything that one request
 * changed, together with the answer it was given. Records are never modified in place, only replaced by a newer one, so
 * that an old entry can repeat its answer word for word.
 */
import { randomBytes } from 'node:crypto';
import type { ErrorBody } from '../protocol/errors.js';

export type Metadata = Record<string, string>;

export type IntentStatus =
  | 'requires_payment_method'
  | 'requires_confirmation'
  | 'requires_action'
  | 'processing'
  | 'succeeded'
  | 'canceled';

/** Amounts are integers in the currency's minor unit; `at` is milliseconds since 1970. */
export interface Intent {
  id: string;
  at: number;
  amount: number;
  currency: string;
  status: IntentStatus;
  amountReceived: number;
  metadata: Metadata;
  paymentMethod?: string;
  description?: string;
  latestCharge?: string;
  lastPaymentError?: ErrorBody;
  canceled?: { at: number; reason: string | null };
}

/** One attempt to take the money of an intent. */
export interface Charge {
  id: string;
  at: number;
  intent: string;
  amount: number;
  currency: string;
  status: 'succeeded' | 'pending' | 'failed';
  amountRefunded: number;
  metadata: Metadata;
  paymentMethod: string;
  failure?: ErrorBody;
  /** For good: a dispute that was won stays on the charge's file. */
  disputed?: true;
  upcoming?: Upcoming<'disputed'>;
  /** The Idempotency-Key of the request that made it, for `/sandbox/ledger`; the API never shows it. */
  key?: string;
}

/** What becomes of a record by itself: what it turns into, and when by the ledger's clock. */
export interface Upcoming<To extends string> {
  to: To;
  at: number;
}

export type RefundStatus = 'pending' | 'requires_action' | 'succeeded' | 'failed' | 'canceled';

export interface Refund {
  id: string;
  at: number;
  intent: string;
  charge: string;
  amount: number;
  currency: string;
  metadata: Metadata;
  reason?: string;
  key?: string;
  /** Absent in the journals of earlier builds, in which every refund succeeded at once. */
  status?: RefundStatus;
  failure?: { reason: string; balanceTransaction: string };
  upcoming?: Upcoming<'succeeded' | 'failed'>;
}

/** `warning_…` is an inquiry: no money has been taken back yet, and a refund can still end it. */
export type DisputeStatus = 'needs_response' | 'warning_needs_response' | 'warning_closed' | 'won' | 'lost';

/** A cardholder's bank takes the money of a charge back, at least until the dispute is decided. */
export interface Dispute {
  id: string;
  at: number;
  intent: string;
  charge: string;
  amount: number;
  currency: string;
  reason: string;
  status: DisputeStatus;
  metadata: Metadata;
}

export interface Customer {
  id: string;
  at: number;
  metadata: Metadata;
  name?: string;
  email?: string;
  phone?: string;
  description?: string;
  deleted?: true;
}

/** The answer that belongs to an Idempotency-Key. `print` identifies the parameters it was given for. */
export interface Outcome {
  key: string;
  route: string;
  print: string;
  status: number;
  error?: ErrorBody;
  /** The answer was wrong in this, and so is its repetition. */
  echo?: { amount?: number | undefined; currency?: string | undefined };
  requestId: string;
}

export type EventType =
  | 'payment_intent.succeeded'
  | 'payment_intent.payment_failed'
  | 'charge.refunded'
  | 'charge.refund.updated'
  | 'charge.dispute.created'
  | 'charge.dispute.funds_withdrawn'
  | 'charge.dispute.funds_reinstated'
  | 'charge.dispute.closed'
  | 'refund.created'
  | 'refund.updated'
  | 'refund.failed';

export interface Entry {
  at: number;
  intent?: Intent;
  charge?: Charge;
  refund?: Refund;
  dispute?: Dispute;
  customer?: Customer;
  outcome?: Outcome;
  /** What its refund or dispute was before, as far as it changed, for the events that announce the change. */
  previous?: Record<string, unknown>;
  /** Webhook events that announce this entry; each stays open until a later entry closes it. */
  events?: { id: string; type: EventType }[];
  closedEvent?: string;
  /** What retention has left of older entries: one record, without what is personal of it. */
  blanked?: true;
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Provider-like ids, e.g. `pi_3f…`: 24 characters of base 62, as unguessable as the provider's own. */
export function newId(prefix: 'pi' | 'ch' | 're' | 'dp' | 'cus' | 'txn' | 'evt' | 'req' | 'flt'): string {
  let id = `${prefix}_`;
  // The slight bias of `% 62` does not matter: ids need to be unique, not uniform.
  for (const byte of randomBytes(24)) id += ALPHABET[byte % 62];
  return id;
}

export const seconds = (ms: number): number => Math.floor(ms / 1000);
