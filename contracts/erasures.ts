/** Erasures: a person's data is destroyed on request, and what is left of the orders is nobody's. */

/** `waiting` for what is still in hand of the customer's orders; `erasing`: in batches; `done`. */
export const ERASURE_STATES = ['waiting', 'erasing', 'done'] as const;
export type ErasureState = (typeof ERASURE_STATES)[number];

/** Why an order holds an erasure: what is in hand of it needs what would be erased, or people who are still to decide on it. */
export const HOLDS = [
  'pending',
  'unwinding',
  'cancellation-due',
  'steps-due',
  'parked',
  'refund-in-hand',
  'finding-open',
  'dead-letter-open',
  'operation-open',
] as const;
export type Hold = (typeof HOLDS)[number];
/** `operationId`: the operation that is open, if that is why. */
export type HeldOrder = { orderId: string; why: Hold; operationId?: string };

/** Without what an erasure cannot go on, besides; it is kept, and goes on when that is back. */
export const STALLS = ['erasure-journal', 'payment-gateway', 'key-store', 'audit-key', 'other'] as const;
export type Stall = (typeof STALLS)[number];
/** What is wrong, after "cannot go on:". */
export const STALL_SENTENCES: Record<Stall, string> = {
  'erasure-journal': 'the erasure journal cannot be written (ERASURE_JOURNAL of the workers)',
  'payment-gateway': 'the payment gateway does not say whether refunds are carried out',
  'key-store': 'the key store is away',
  'audit-key': 'the workers’ AUDIT_KEY is not the one that signs the audit trail',
  other: 'the workers’ log says why',
};

/** Of the orders that hold an erasure so many are named. */
export const HELD_ORDERS_MAX = 20;

/** What stands where a text of a person was. */
export const ERASED = '[erased]';

/** What an erasure counts: what it has erased, where. */
export const ERASED_PARTS = [
  'orders',
  'events',
  'sagaLogEntries',
  'deadLetters',
  'findings',
  'closings',
  'idempotencyKeys',
  'auditedActs',
  'auditedCalls',
  'keys',
  'customers',
] as const;
export type ErasedPart = (typeof ERASED_PARTS)[number];
export type ErasedCounts = Partial<Record<ErasedPart, number>>;

export type Kept = { where: string; what: string; why: string };

/** What an erasure leaves where it is, and why: for the report. */
export const KEPT: Kept[] = [
  {
    where: 'Postgres: orders, lines, reservations, payments, refunds, findings, saga log, events',
    what: 'what was sold, when and for how much, what was paid and given back, by which reference at the payment provider, and how it came to that; the customer as a random reference that leads to nobody',
    why: 'accounting records, which the law has kept (GDPR, article 17(3)(b))',
  },
  {
    where: 'Postgres: audit trail',
    what: 'who did what with an operator’s rights, and when; keyed hashes of what was erased, which its signatures cover',
    why: 'proof that nothing was changed in secret',
  },
  {
    where: 'Postgres: erased_keys, erased_order_numbers',
    what: 'keyed hashes of Idempotency-Keys, until they expire, and of order numbers',
    why: 'a repeated request must not order a second time',
  },
  {
    where: 'Temporal: histories and visibility of closed sagas',
    what: 'ids of orders, the reference, correlation ids, operators’ reasons; nothing that Postgres has erased is written anew',
    why: 'they end with the namespace’s retention',
  },
  {
    where: 'the payment provider',
    what: 'its own records of the payments, with the order’s id and correlation id in their metadata',
    why: 'it keeps them by its own duties',
  },
  {
    where: 'destinations of events, logs, backups',
    what: 'what was delivered, logged or copied before the erasure',
    why: '`customer.erased` tells consumers to erase theirs; logs and backups end with their retention',
  },
];
