/**
 * What is kept for how long, and why: a row per kind of data. What has no row here has no person in it, and stays: it is the books'.
 * docs/operations/logs-and-retention.md shows this table, and a test holds the two against each other.
 */

export type Retention = {
  /** The table in Postgres. */
  store: string;
  columns: readonly string[];
  /** What it is kept for, and with that for how long. */
  purpose: string;
  /** The setting that says for how long; null = no setting: for ever. */
  setting: string | null;
  /** As .env.example has it. */
  default: string | null;
  /** `blanked`: the row stays, without these columns; `removed`: the row goes. */
  end: 'blanked' | 'removed' | 'kept';
};

const CLAIMS =
  'claims of either side: they lapse after three years from the end of the year (§§ 195, 199 BGB), so after four at most';

export const RETENTION: readonly Retention[] = [
  {
    store: 'orders',
    columns: [
      ...['payment_method', 'external_order_id', 'correlation_id', 'charge_correlation_id', 'traceparent'],
      'cancellation_message',
    ],
    purpose: CLAIMS,
    setting: 'RETENTION_ORDERS_PERSONAL',
    default: '1461d',
    end: 'blanked',
  },
  {
    store: 'customers',
    columns: ['client_id', 'lookup'],
    purpose: 'to know whose an order is: until the last of their orders has nothing personal in it any more',
    setting: 'RETENTION_ORDERS_PERSONAL',
    default: '1461d',
    end: 'blanked',
  },
  {
    store: 'saga_log',
    columns: ['actor', 'detail'],
    purpose: 'what operators and customers have decided on an order, as long as the order’s own parts',
    setting: 'RETENTION_ORDERS_PERSONAL',
    default: '1461d',
    end: 'blanked',
  },
  {
    store: 'reconciliation_closings',
    columns: ['reason'],
    purpose: 'why a difference in the books was closed, as long as the order’s own parts',
    setting: 'RETENTION_ORDERS_PERSONAL',
    default: '1461d',
    end: 'blanked',
  },
  {
    store: 'reconciliation_findings',
    columns: ['detail'],
    purpose: 'what the payment provider says of a difference, as long as the order’s own parts',
    setting: 'RETENTION_ORDERS_PERSONAL',
    default: '1461d',
    end: 'blanked',
  },
  {
    store: 'dead_letters',
    columns: ['error', 'decided_by', 'reason'],
    purpose: 'finding out why a destination did not take an event; from the decision on',
    setting: 'RETENTION_DEAD_LETTERS',
    default: '90d',
    end: 'blanked',
  },
  {
    store: 'erasures',
    columns: ['requested_by', 'reason'],
    purpose: 'showing that a request to erase was met: three years, in which its neglect could be fined',
    setting: 'RETENTION_ERASURE_REASONS',
    default: '1096d',
    end: 'blanked',
  },
  {
    store: 'outbox',
    columns: ['data', 'correlation_id', 'traceparent'],
    purpose: 'delivery; and longer what a destination has not taken',
    setting: 'OUTBOX_RETENTION',
    default: '30d',
    end: 'removed',
  },
  {
    store: 'idempotency_keys',
    columns: ['caller', 'key', 'fingerprint'],
    purpose: 'the same answer to a request that is repeated',
    setting: 'IDEMPOTENCY_TTL',
    default: '7d',
    end: 'removed',
  },
  {
    store: 'idempotency_answers',
    columns: ['response'],
    purpose: 'the same answer to a request that is repeated',
    setting: 'IDEMPOTENCY_TTL',
    default: '7d',
    end: 'removed',
  },
  {
    store: 'audit_calls',
    columns: ['subject', 'resource', 'source'],
    purpose: 'noticing misuse: refused calls and audited reads',
    setting: 'AUDIT_CALLS_RETENTION',
    default: '90d',
    end: 'removed',
  },
  {
    store: 'audit_acts',
    columns: ['subject', 'resource', 'reason', 'source'],
    purpose: 'proving who did what with an operator’s rights',
    setting: null,
    default: null,
    end: 'kept',
  },
];
