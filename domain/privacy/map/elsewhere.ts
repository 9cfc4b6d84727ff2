/** The data map's part about everything but Postgres: events and where they go, Temporal, the payment provider, logs, metrics. */
import { type Fields, LEGAL, names, type Store } from './kinds.js';
import { LOG_FIELDS, METRIC_LABELS } from './labels.js';

const of = (kind: Fields['kind'], fields: string, what?: string, erased?: string): Fields => ({
  kind,
  fields: names(fields),
  ...(what !== undefined && { what }),
  ...(erased !== undefined && { erased }),
});

const AT_RECIPIENTS = 'the recipient’s to do, on `customer.erased`; in `outbox` as said there';

/** Properties of the envelope and, as `data.…`, of any event's data. */
export const EVENTS: Store = {
  store: 'events, in `outbox` and at every destination: feed, webhook, Kafka, NATS, RabbitMQ',
  ...LEGAL.events,
  parts: [
    of('personal', 'data.customerId data.externalOrderId', 'the client’s own', AT_RECIPIENTS),
    of('personal', 'correlationid traceparent', 'chosen by the client’s program', AT_RECIPIENTS),
    of('staff', 'data.skippedBy', 'the operator who vouched for a step'),
    of(
      'pseudonymous',
      'id subject data.orderId data.customerReference data.gatewayReference data.refundReference',
      'lead to the order, or to the customer until an erasure',
    ),
    of(
      'none',
      `specversion source type time datacontenttype dataschema sequence data data.items data.items.sku data.items.quantity
      data.items.unitPrice data.skus data.total data.total.amount data.total.currency data.amount data.amount.amount
      data.amount.currency data.reason data.declineCode data.refundStatus data.erasedAt`,
    ),
  ],
};

export const TEMPORAL: Store = {
  store: 'Temporal: histories and visibility',
  ...LEGAL.temporal,
  parts: [
    of('pseudonymous', 'workflowId input result', 'the order’s id, durations, codes'),
    of(
      'pseudonymous',
      'searchAttribute.CustomerId',
      'the customer’s reference; of sagas begun before references the client’s id',
    ),
    of(
      'personal',
      'memo.correlationId header activity.correlationId',
      'chosen by the client’s program',
      'goes with the retention',
    ),
    of('staff', 'update.operator update.requestedBy activity.skippedBy', 'who decided'),
    of(
      'personal',
      'update.reason',
      'an operator’s, without personal data as it was accepted',
      'goes with the retention',
    ),
    of('none', 'searchAttribute.SagaState searchAttribute.SagaStep searchAttribute.SagaFailure failure'),
  ],
};

export const GATEWAY: Store = {
  store: 'the payment provider, and the sandbox in its place',
  ...LEGAL.gateway,
  parts: [
    of(
      'personal',
      'payment_method',
      'the provider’s id of it; in the sandbox the name of a test card',
      'at the provider',
    ),
    of(
      'personal',
      'metadata.correlationId',
      'chosen by the client’s program, or a keyed hash of it',
      'at the provider; in the sandbox goes with `SANDBOX_RETENTION`',
    ),
    of('pseudonymous', 'metadata.orderId description', 'leads to the order'),
    of('none', 'metadata.installationId metadata.purpose amount currency'),
  ],
};

/** By the names that log lines give them. What an error says is withheld unless it is in an allow-list. */
export const LOGS: Store = {
  store: 'logs of all processes',
  ...LEGAL.logs,
  parts: [
    of('personal', 'correlationId callId', 'chosen by the client’s program', 'goes with the retention'),
    of('personal', 'error', 'names of codes and fields in a destination’s answer', 'goes with the retention'),
    of('staff', 'actor', 'an operator’s id; a customer is `customer`'),
    of(
      'pseudonymous',
      'orderId subject workflowId runId eventId id traceId reference auditId auditHash',
      'lead to the order',
    ),
    of('none', LOG_FIELDS),
  ],
};

/** Labels of each metric have values of ours only. */
export const METRICS: Store = {
  store: 'metrics',
  ...LEGAL.metrics,
  parts: [{ kind: 'none', fields: METRIC_LABELS }],
};

export const OTHERS: readonly Store[] = [
  {
    store: 'Redis, where `REDIS_URL` is set',
    purpose: 'share the buckets of rate limits between processes',
    basis: '6(1)(f), security',
    retention: 'a minute or two',
    parts: [of('personal', 'key', 'the caller’s subject, as the name of a bucket', 'goes by itself')],
  },
  {
    store: 'the audit trail’s anchor: a file, and `AUDIT_ANCHOR_URL`',
    ...LEGAL.acts,
    parts: [of('none', 'id hash at')],
  },
  {
    store: 'the erasure journal: a file, or a Postgres of another cluster (`ERASURE_JOURNAL`)',
    purpose: 'have erasures outlive a restore',
    basis: '6(1)(c) with 17: who was erased stays erased',
    retention: 'for ever',
    parts: [
      of('pseudonymous', 'customer', 'a reference, which leads to nobody once the customer is erased'),
      of('none', 'position at kind erasureId hash'),
    ],
  },
  {
    store: 'traces, where `OTEL_…` asks for them',
    purpose: 'find out what was slow or went wrong',
    basis: '6(1)(f), operation',
    retention: 'that of the collector',
    parts: [
      of('personal', 'order_saga.correlation_id', 'chosen by the client’s program', 'goes with the retention'),
      of('pseudonymous', 'order_saga.order_id', 'leads to the order'),
    ],
  },
  {
    store: 'backups of Postgres',
    purpose: 'come back after a loss',
    basis: '6(1)(f), operation; 32(1)(c)',
    retention: 'yours; shorter than what an erasure is promised within',
    parts: [
      of(
        'personal',
        'everything above',
        'as in Postgres',
        'goes with the retention; what was erased is erased again after a restore',
      ),
    ],
  },
];
