/** What a person is told of their data besides the data itself: who receives it, how long it is kept, which rights there are. */

/** By destination; `feed` is whoever may read the event feed. */
export const RECIPIENTS: { readonly [recipient: string]: string } = {
  gateway: 'the payment provider: amount, currency, payment method, the order’s id, a correlation id',
  feed: 'the shop’s own programs that read the event feed: every event',
  webhook: 'the shop’s receiver of webhooks: every event',
  kafka: 'consumers of the shop’s Kafka topic: every event',
  nats: 'consumers of the shop’s NATS stream: every event',
  rabbitmq: 'consumers of the shop’s RabbitMQ exchange: every event',
  other: 'a destination of the shop’s: every event',
};

export const RETENTION_TOLD: readonly { what: string; kept: string }[] = [
  {
    what: 'order, lines, payment, steps',
    kept: 'as long as accounting law asks; after RETENTION_ORDERS_PERSONAL, 1461 days unless set, or an erasure without the person',
  },
  { what: 'events', kept: 'OUTBOX_RETENTION, 30 days unless set; by their recipients as long as those say' },
  { what: 'request keys and the answers behind them', kept: 'IDEMPOTENCY_TTL, 7 days unless set' },
  { what: 'who read the data', kept: 'AUDIT_CALLS_RETENTION, 90 days unless set' },
  { what: 'a saga’s history in Temporal', kept: 'the namespace’s retention after the saga has ended' },
];

export const RIGHTS_TOLD: readonly string[] = [
  'to have wrong data corrected, and data erased or restricted (GDPR articles 16 to 18): ask the shop',
  'to have this document sent elsewhere (article 20): it is JSON, with a published schema',
  'to object (article 21), and to complain to a supervisory authority (article 77)',
];
