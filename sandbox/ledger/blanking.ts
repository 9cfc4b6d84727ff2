/**
 * Blanking: what retention leaves of a record: ids, amounts, states and times, which are the books. What whoever made it has
 * written on it goes: descriptions, keys, a customer's name and addresses, and of the metadata all but what says whose it is:
 * without that nothing could be found or refunded any more.
 */
import type { Charge, Customer, Dispute, Intent, Metadata, Refund } from './records.js';

/** Which order, whose, and what for. */
const IDS: readonly string[] = ['orderId', 'installationId', 'purpose'];
/** Whoever opens a dispute on request may say any other. */
const DISPUTE_REASONS: readonly string[] = [
  'bank_cannot_process',
  'credit_not_processed',
  'customer_initiated',
  'debit_not_authorized',
  'duplicate',
  'fraudulent',
  'general',
  'insufficient_funds',
  'product_not_received',
  'product_unacceptable',
  'subscription_canceled',
  'unrecognized',
];

/** Each returns the record itself if there is nothing to take out of it. */
export const BLANKED = {
  intent: (intent: Intent): Intent => without(intent, 'description'),
  charge: (charge: Charge): Charge => without(charge, 'key'),
  refund: (refund: Refund): Refund => without(refund, 'key'),
  dispute: (dispute: Dispute): Dispute =>
    without(DISPUTE_REASONS.includes(dispute.reason) ? dispute : { ...dispute, reason: 'general' }),
  customer: (customer: Customer): Customer =>
    isMarker(customer) ? customer : without(customer, 'name', 'email', 'phone', 'description'),
};

/** No person, but what a program has written on the account to know it again: it is found by its address. */
const isMarker = ({ metadata, deleted }: Customer) =>
  !deleted && metadata['installationId'] !== undefined && metadata['word'] !== undefined;

function without<T extends { metadata: Metadata }>(record: T, ...fields: (keyof T)[]): T {
  const isWritten = Object.keys(record.metadata).some((key) => !IDS.includes(key));
  if (!isWritten && !fields.some((field) => field in record)) return record;
  const blanked = { ...record, metadata: Object.fromEntries(Object.entries(record.metadata).filter(isId)) };
  for (const field of fields) delete blanked[field];
  return blanked;
}

const isId = ([key]: [string, string]) => IDS.includes(key);
