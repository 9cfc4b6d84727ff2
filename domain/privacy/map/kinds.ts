/** The data map's own words: what a field is, and why and for how long it is kept. */

/**
 * personal: of a customer, by itself or with what stands beside it · pseudonymous: leads to a customer by way of another row only ·
 * staff: of whoever works for the shop · none: of no person.
 */
export const KINDS = ['personal', 'pseudonymous', 'staff', 'none'] as const;
export type Kind = (typeof KINDS)[number];

/** Why, on which legal basis, and for how long. Articles are the GDPR's. */
export type Legal = { purpose: string; basis: string; retention: string };

/** Some fields of a store that are alike. `erased`: how; undefined = there is nothing to erase, or it goes with its store's retention. */
export type Fields = { kind: Kind; fields: readonly string[]; what?: string; erased?: string };
export type Store = Legal & { store: string; parts: readonly Fields[] };

export const names = (text: string): readonly string[] => text.split(/\s+/).filter((name) => name !== '');

const CONTRACT = '6(1)(b), the contract';
const BOOKS = '6(1)(b), the contract; then 6(1)(c), accounting: 17(3)(b) excepts it from erasure, without the person';
const SECURITY = '6(1)(f), security';
const UNKEPT = 'of no person';

export const LEGAL = {
  order: {
    purpose: 'carry out the order',
    basis: BOOKS,
    retention: 'for ever; after `RETENTION_ORDERS_PERSONAL`, 1461 days, or an erasure without the person',
  },
  customer: {
    purpose: 'know which orders are one customer’s',
    basis: CONTRACT,
    retention:
      'until nothing personal of an order of theirs is left (`RETENTION_ORDERS_PERSONAL`, 1461 days), or an erasure; the row for ever, without the person',
  },
  events: {
    purpose: 'tell the shop’s programs what happened',
    basis: CONTRACT,
    retention: '`OUTBOX_RETENTION`, 30 days, and longer what a destination has not taken',
  },
  log: {
    purpose: 'say what was done with an order, and by whom, after Temporal has forgotten',
    basis: BOOKS,
    retention: 'for ever; after `RETENTION_ORDERS_PERSONAL`, 1461 days, or an erasure without the person',
  },
  deadLetters: {
    purpose: 'deliver what was rejected',
    basis: CONTRACT,
    retention:
      'for ever; after `RETENTION_DEAD_LETTERS`, 90 days from the decision, without the words and who decided; after an erasure without the words',
  },
  keys: {
    purpose: 'never carry out a repeated request twice',
    basis: CONTRACT,
    retention: '`IDEMPOTENCY_TTL`, 7 days',
  },
  findings: {
    purpose: 'keep the books equal to the payment provider’s',
    basis: BOOKS,
    retention: 'for ever; after `RETENTION_ORDERS_PERSONAL`, 1461 days, of their order without the words',
  },
  acts: { purpose: 'prove who did what with an operator’s rights', basis: SECURITY, retention: 'for ever' },
  operations: {
    purpose: 'carry out one decision on many orders, and say what has come of each',
    basis: CONTRACT,
    retention: '90 days after it has come to its end',
  },
  calls: {
    purpose: 'see who read whose data, and who was refused',
    basis: SECURITY,
    retention: '`AUDIT_CALLS_RETENTION`, 90 days',
  },
  erasures: {
    purpose: 'prove that a person was erased',
    basis: '6(1)(c) with 5(2), accountability',
    retention: 'for ever; after `RETENTION_ERASURE_REASONS`, 1096 days from its end, without who asked and why',
  },
  tombstones: {
    purpose: 'never carry out a repeated order twice',
    basis: '6(1)(f), and 17(3)(e): against claims from a second delivery',
    retention: 'for ever',
  },
  operation: { purpose: 'run the service', basis: UNKEPT, retention: 'as long as it is true' },
  temporal: {
    purpose: 'carry out the saga, whatever fails',
    basis: CONTRACT,
    retention: '`TEMPORAL_RETENTION` after the saga has ended: 7 days',
  },
  gateway: {
    purpose: 'charge and refund; find a charge again',
    basis: BOOKS,
    retention:
      'the provider’s, by its own duties as a controller; in the sandbox for ever, after `SANDBOX_RETENTION`, 365 days from its last change, without what was written on it',
  },
  logs: {
    purpose: 'find out what went wrong',
    basis: '6(1)(f), operation',
    retention: 'that of whatever collects them: [central logs](operations/logs-and-retention.md)',
  },
  metrics: { purpose: 'see how the service does', basis: UNKEPT, retention: '30 days, in Prometheus' },
} as const satisfies Record<string, Legal>;
