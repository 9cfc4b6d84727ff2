/** Every environment variable of the service: one table, from which each role takes what it needs. `.env.example` follows it. */
import { kinds } from './config.js';
import { consoleSettings } from './console-settings.js';
import { keySettings, payloadSettings } from './key-settings.js';

const {
  addresses,
  amqpUrl,
  bool,
  confidential,
  count,
  countWithin,
  durationMs,
  durationMsOrNone,
  durationWithin,
  hosts,
  httpUrl,
  installationId,
  issuer,
  journalPlace,
  kafkaBrokers,
  natsUrls,
  origins,
  plaintextWords,
  port,
  portOrNone,
  postgresUrl,
  redisUrl,
  retentionMs,
  secret,
  secrets,
  str,
  webhookSecrets,
} = kinds;
/** Within the relay's lease, with what connecting takes; and long enough for a broker that writes to several disks. */
const publishTimeout = durationWithin('500ms', '8s');
const minutes = (n: number) => n * 60_000;

export const settings = {
  ROLE: str({ choices: ['all', 'api', 'worker', 'relay'] as const, default: 'all', desc: 'What this process runs' }),
  LOG_LEVEL: str({ choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const, default: 'info' }),
  LOG_FORMAT: str({
    choices: ['auto', 'json'] as const,
    default: 'auto',
    desc: 'auto = lines for people on a terminal; json = JSON there, too',
  }),
  DATABASE_URL: postgresUrl({ desc: 'postgresql://user:password@host:5432/database' }),
  DATABASE_POOL: count({ default: 16, desc: 'Connections of this process to Postgres, at most' }),
  ALLOW_PLAINTEXT: plaintextWords({
    default: undefined,
    desc: 'Neighbours beyond this machine that may be spoken to without TLS, e.g. postgres,temporal; unset = none',
  }),
  METRICS_PORT: portOrNone({ default: 9464, desc: 'Port of GET /metrics, /livez and /readyz; 0 = none' }),
  METRICS_HOST: str({ default: '127.0.0.1', desc: 'Address it listens on; callers are not authenticated' }),
  METRICS_CONNECTIONS_MAX: count({ default: 100, desc: 'Open connections to it, at most' }),
  ALLOWED_HOSTS: hosts({
    default: undefined,
    desc: 'Names besides localhost that API and metrics answer to while AUTH_ISSUER is unset, separated by commas',
  }),

  LAUNCHER_URL: str({
    default: undefined,
    desc: 'Of `npm start` alone, which sets it itself: where the console’s buttons for trying faults out reach it',
  }),
  HOST: str({ default: '127.0.0.1', desc: 'Address the API listens on' }),
  PORT: port({ default: 3000, desc: 'Port the API listens on' }),
  TEMPORAL_UI_URL: httpUrl('link')({ default: undefined, desc: 'Temporal Web UI, for links to sagas' }),
  TRACES_UI_URL: httpUrl('link')({
    default: undefined,
    desc: 'Where the console’s links to traces lead, such as https://jaeger.example/trace; the id stands at the end, or in place of {traceId}',
  }),
  IDEMPOTENCY_TTL: durationMs({ default: 7 * 24 * 60 * minutes(1), desc: 'How long an Idempotency-Key is remembered' }),

  RATE_LIMIT_ORDERS_PER_MINUTE: count({
    default: 1_000,
    desc: 'POST /orders per authenticated caller; no limit without AUTH_ISSUER',
  }),
  REDIS_URL: redisUrl({
    default: undefined,
    desc: 'Where several API processes share those limits; unset = each has its own',
  }),
  RATE_LIMIT_CUSTOMER: count({
    default: 100,
    desc: 'Cheap requests a second that a customer is served over all routes, fewer of dearer ones; no limit without AUTH_ISSUER',
  }),
  RATE_LIMIT_SERVICE: count({
    default: 500,
    desc: 'The same for any other caller: five customers’ worth, since a shop asks for all its customers',
  }),
  RATE_LIMIT_STRANGER: count({
    default: 100,
    desc: 'The same for one address at one route that needs no token; health is not limited',
  }),
  REQUESTS_MAX_CUSTOMER: count({
    default: 4,
    desc: 'Requests of a customer that are worked on at a time; its others wait for their turn',
  }),
  REQUESTS_MAX_SERVICE: count({ default: 32, desc: 'The same for any other caller' }),
  REQUEST_TURN_WAIT_MAX: durationMs({ default: 5_000, desc: 'How long a request waits for its turn' }),
  REFUSALS_MAX: count({
    default: 20,
    desc: 'Refusals a second that a caller, or an address without one, is sent at once; the others a second later',
  }),
  PIPELINED_MAX: count({ default: 1_000, desc: 'Requests that may wait on one connection; then it is closed' }),
  REQUESTS_MAX: count({ default: 1_000, desc: 'Requests in work at a time; beyond that 503 at once' }),
  EVENT_LOOP_DELAY_MAX: durationMs({
    default: 1_000,
    desc: 'How late the process may be before it answers 503 at once',
  }),
  EVENT_LOOP_STALL_MAX: durationMsOrNone({
    default: minutes(1),
    desc: 'How long the event loop may stand still before the process ends itself, to be started again; 0 = for ever',
  }),
  CONNECTIONS_MAX: count({ default: 10_000, desc: 'Open connections of clients, at most' }),
  CONNECTIONS_PER_ADDRESS_MAX: count({
    default: undefined,
    desc: 'Of those with requests in work, of one address, once they are nearly all taken; unset = a tenth of them',
  }),
  PAGE_BYTES_MAX: count({
    default: 512 * 1024,
    desc: 'Bytes of a list’s page, beside its `limit` of rows; a single row is given however large',
  }),
  STREAMS_MAX: count({ default: 2_000, desc: 'Event streams that are open at a time; beyond that 503' }),
  STREAMS_MAX_CUSTOMER: count({
    default: 32,
    desc: 'Those of a customer; beyond that 429. No limit without AUTH_ISSUER',
  }),
  STREAMS_MAX_SERVICE: count({
    default: 512,
    desc: 'Those of any other caller; of its last half, each of its customers has at most a customer’s',
  }),
  WAITS_MAX: count({
    default: 2_000,
    desc: 'Answers that `Prefer: wait` holds back at a time; beyond that an order is answered at once',
  }),
  WAITS_MAX_CUSTOMER: count({
    default: 32,
    desc: 'Those of a customer. No limit without AUTH_ISSUER',
  }),
  WAITS_MAX_SERVICE: count({
    default: 512,
    desc: 'Those of any other caller; of its last half, each of its customers has at most a customer’s',
  }),
  SAGAS_AT_WORK_MAX: count({
    default: 8,
    desc: 'Sagas that a process with ROLE=all has at work at a time; the others wait for their start',
  }),
  CORS_ORIGINS: origins({ default: undefined, desc: 'Origins whose web pages may use the API, separated by commas' }),
  TRUST_PROXY: addresses({
    default: undefined,
    desc: 'Addresses and ranges of the proxies whose X-Forwarded-* is believed; unset = none',
  }),

  AUTH_ISSUER: issuer({
    default: undefined,
    desc: 'OIDC issuer whose tokens are taken; unset = no authentication, loopback only',
  }),
  AUTH_AUDIENCE: str({ default: '', desc: 'The `aud` that tokens must have' }),
  AUTH_JWKS_URL: httpUrl('issuer')({
    default: undefined,
    desc: 'Where the issuer publishes its keys; unset = found by discovery',
  }),
  AUTH_ROLES_CLAIM: str({ default: 'roles', desc: 'The claim that lists customer, service, operator, auditor' }),
  AUTH_TOKEN_AGE_MAX: durationMs({
    default: 10 * 24 * 60 * minutes(1),
    desc: 'How long after it was issued (`iat`) a token is taken at most, whatever its `exp` says',
  }),
  AUTH_REQUIRE_AT_JWT: bool({
    default: false,
    desc: 'Take only tokens that say of themselves that they are access tokens (`typ` at+jwt, RFC 9068)',
  }),
  ...consoleSettings,

  AUDIT_KEY: secret({
    default: '',
    desc: 'Signs the audit trail; several with commas during a rotation, of which the first signs. Needed with AUTH_ISSUER',
  }),
  AUDIT_KEY_FILE: str({ default: undefined, desc: 'The same from a file' }),
  AUDIT_ANCHOR_FILE: str({
    default: undefined,
    desc: 'Where the relay notes the newest entry of the audit trail; unset = in its log only',
  }),
  AUDIT_ANCHOR_URL: confidential(
    httpUrl('anchor')({
      default: undefined,
      desc: 'Where the relay sends it, too, by POST: somewhere that the database’s owner cannot write',
    }),
  ),
  AUDIT_CALLS_RETENTION: durationMs({
    default: 90 * 24 * 60 * minutes(1),
    desc: 'How long refused calls and audited reads are kept; acts are kept for ever',
  }),

  ERASURE_JOURNAL: journalPlace({
    default: undefined,
    desc: 'Where erasures are noted outside the database and its backups: a file, or postgresql://… of another cluster; unset = a restore undoes erasures',
  }),
  ERASURE_DEADLINE: durationMs({
    default: 30 * 24 * 60 * minutes(1),
    desc: 'By when a customer must be erased who asks for it; the law says a month',
  }),
  ERASURE_ALERT_BEFORE: durationMs({
    default: 7 * 24 * 60 * minutes(1),
    desc: 'How long before that an erasure that is still held raises an alarm',
  }),
  ERASURE_EVERY: durationMs({
    default: 5_000,
    desc: 'How often it is looked whether what holds an erasure is gone',
  }),
  ERASURE_SIGNING_KEY: secret({
    default: '',
    desc: 'Signs certificates of erasure: an Ed25519 private key, base64 of PKCS #8 (DER); unset = the key of the audit trail does',
  }),

  RETENTION_ORDERS_PERSONAL: retentionMs({
    default: 1461 * 24 * 60 * minutes(1),
    desc: 'How long what is personal of an order is kept after its last change, and its customer’s id with the last of them; 0 = for ever',
  }),
  RETENTION_DEAD_LETTERS: retentionMs({
    default: 90 * 24 * 60 * minutes(1),
    desc: 'How long what was said of an event that was not taken is kept after the decision on it; 0 = for ever',
  }),
  RETENTION_ERASURE_REASONS: retentionMs({
    default: 1096 * 24 * 60 * minutes(1),
    desc: 'How long it is kept who asked for an erasure, and why, after its end; 0 = for ever',
  }),
  ...keySettings,
  ...payloadSettings,

  STEP_RETRY_BUDGET: durationMs({
    default: minutes(2),
    desc: 'How long a step is retried before its saga asks for an operator',
  }),
  SAGA_DEADLINE: durationMs({ default: minutes(60), desc: 'When a saga that is still stuck unwinds by itself' }),
  COMPENSATION_ATTENTION_AFTER: durationMs({
    default: minutes(1),
    desc: 'How long an undo may fail before its saga is marked',
  }),

  PAYMENTS_URL: httpUrl('payments')({ default: undefined, desc: 'Base URL of the payment API; unset = Stripe itself' }),
  STRIPE_API_KEY: secret({ default: '', desc: 'Secret key of the payment API' }),
  STRIPE_WEBHOOK_SECRET: secrets({
    default: '',
    desc: 'whsec_… of the payment API’s webhooks, several during a rotation; unset = they are not taken',
  }),
  INSTALLATION_ID: installationId({
    default: undefined,
    desc: 'Distinguishes our charges from others’ on the payment account; unset = made once, kept in Postgres',
  }),
  CHARGE_CORRELATION_ID: bool({
    default: true,
    desc: 'Charges carry the correlation id of their order; false while workers of a release run that cannot send it',
  }),
  RECONCILE_EVERY: durationMs({
    default: 20_000,
    desc: 'How often the payment API’s ledger is compared with ours',
  }),
  RECONCILE_ACTIONS_PER_HOUR: count({
    default: 100,
    desc: 'Differences of one kind that are resolved per hour without a human; the rest is reported',
  }),
  REFUND_CHECK_EVERY: durationMs({
    default: minutes(4),
    desc: 'How often young refunds and disputes are looked at, with or without an event',
  }),
  REFUND_YOUNG_FOR: durationMs({ default: 24 * 60 * minutes(1), desc: 'How long a refund is young' }),
  REFUND_RECHECK_EVERY: durationMs({ default: minutes(45), desc: 'How often older ones are' }),
  REFUND_FOLLOW_FOR: durationMs({
    default: 60 * 24 * 60 * minutes(1),
    desc: 'How long a refund is followed, since it may fail after weeks',
  }),
  PROBE_EVERY: durationMs({
    default: 5_000,
    desc: 'How often it is looked whether the neighbour of parked sagas is back; then they are tried again',
  }),
  VERIFY_EVERY: durationMsOrNone({
    default: minutes(1),
    desc: 'How often what is new is verified against the invariants (docs/verification.md); 0 = never',
  }),
  VERIFY_ALL_EVERY: durationMs({
    default: 12 * 60 * minutes(1),
    desc: 'How often all of VERIFY_SPAN is, and all stock; at once again while something is violated',
  }),
  VERIFY_SPAN: durationMs({
    default: 26 * 60 * minutes(1),
    desc: 'How far back that goes; `ops verify` goes back to the first order',
  }),
  VERIFY_PAGE: count({
    default: 100,
    desc: 'Orders that are verified together; after each page it rests for four times as long as that took',
  }),
  TEMPORAL_WORKER_BUILD_ID: str({
    default: '',
    desc: 'Build of the saga’s code; pins each saga to the build it began on. Empty = sagas move to whatever build runs',
  }),
  TEMPORAL_DEPLOYMENT_NAME: str({ default: 'order-saga', desc: 'Whose builds those are, for Worker Versioning' }),
  WORKFLOW_BUNDLE: str({ default: undefined, desc: 'Path of the prebuilt workflow bundle; unset = the one in dist/' }),

  OUTBOX_RETENTION: durationMs({
    default: 30 * 24 * 60 * minutes(1),
    desc: 'How long events stay readable; those that a destination still owes stay longer',
  }),
  DELIVERY_BACKOFF_MAX: durationMs({
    default: 10_000,
    desc: 'Longest pause between tries of a destination that fails',
  }),
  DESTINATIONS_BEGIN: str({
    choices: ['oldest', 'now'] as const,
    default: 'oldest',
    desc: 'Where a destination begins that is new: with the oldest event that is kept, or with what comes from now on',
  }),
  EVENTS_CUSTOMER: str({
    choices: ['id', 'reference'] as const,
    default: 'id',
    desc: 'What customerId of an event is: the id that the order was placed with, or the customer’s reference',
  }),
  WEBHOOK_URL: confidential(
    httpUrl('webhook')({ default: undefined, desc: 'Destination of events: a webhook receiver' }),
  ),
  WEBHOOK_SECRET: confidential(
    webhookSecrets({
      default: '',
      desc: 'whsec_… (base64 of 24 bytes or more), shared with the receiver; several during a rotation',
    }),
  ),
  WEBHOOK_ALLOW_PRIVATE: bool({ default: false, desc: 'Permit http:// and private or loopback receivers' }),
  WEBHOOK_PUBLISH_TIMEOUT: durationWithin(
    '500ms',
    '30s',
  )({
    default: 10_000,
    desc: 'How long the receiver may take to answer one event',
  }),
  WEBHOOK_PARALLEL_MAX: countWithin(1, 128)({ default: 16, desc: 'Requests to the receiver at a time, one per order' }),
  KAFKA_BROKERS: kafkaBrokers({
    default: undefined,
    desc: 'Destination of events: Kafka, host:port, several with commas',
  }),
  KAFKA_TLS: bool({ default: false, desc: 'Speak TLS with Kafka' }),
  KAFKA_SASL_MECHANISM: str({
    choices: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const,
    default: 'PLAIN',
    desc: 'How KAFKA_USERNAME is authenticated',
  }),
  KAFKA_USERNAME: str({ default: '', desc: 'Unset = no authentication' }),
  KAFKA_PASSWORD: confidential(str({ default: '', desc: 'Its password' })),
  KAFKA_PUBLISH_TIMEOUT: publishTimeout({ default: 5_000, desc: 'How long Kafka may take to acknowledge a batch' }),
  KAFKA_BATCH_BYTES_MAX: countWithin(
    16_384,
    900_000,
  )({
    default: 256 * 1024,
    desc: 'Bytes of a batch; below the topic’s max.message.bytes (1 MB by default)',
  }),
  KAFKA_COMPRESSION: str({
    choices: ['none', 'gzip', 'snappy', 'lz4'] as const,
    default: 'none',
    desc: 'How batches are compressed',
  }),
  KAFKA_ACKS: str({
    choices: ['all', 'leader'] as const,
    default: 'all',
    desc: 'Who must have a batch before it counts as taken; `leader` alone may lose it when it dies',
  }),
  NATS_URL: natsUrls({ default: undefined, desc: 'Destination of events: NATS JetStream, nats:// or tls://' }),
  NATS_CREDENTIALS_FILE: str({ default: undefined, desc: 'A .creds file for NATS' }),
  NATS_PUBLISH_TIMEOUT: publishTimeout({
    default: 5_000,
    desc: 'How long the stream may take to acknowledge an event',
  }),
  NATS_PARALLEL_MAX: countWithin(1, 512)({ default: 64, desc: 'Events on their way to NATS at a time, one per order' }),
  NATS_COMPRESSION: str({
    choices: ['none', 's2'] as const,
    default: 'none',
    desc: 'How the stream is kept on the server’s disk, where it is made by BROKER_CREATE',
  }),
  RABBITMQ_URL: amqpUrl({ default: undefined, desc: 'Destination of events: RabbitMQ, amqp:// or amqps://' }),
  RABBITMQ_PUBLISH_TIMEOUT: publishTimeout({ default: 5_000, desc: 'How long RabbitMQ may take to confirm an event' }),
  RABBITMQ_PARALLEL_MAX: countWithin(
    1,
    512,
  )({
    default: 64,
    desc: 'Events on their way to RabbitMQ at a time, one per order',
  }),
  BROKER_CREATE: bool({ default: true, desc: 'Make topic, stream, exchange and queue where there are none' }),

  OTEL_EXPORTER_OTLP_ENDPOINT: httpUrl('traces')({
    default: undefined,
    desc: 'Collector that traces are sent to, OTLP http/protobuf, e.g. http://127.0.0.1:4318; unset = no traces',
  }),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: httpUrl('traces')({
    default: undefined,
    desc: 'The same with its whole path, as …/v1/traces',
  }),
  OTEL_EXPORTER_OTLP_HEADERS: confidential(str({ default: undefined, desc: 'Headers for it, such as its key' })),
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: confidential(str({ default: undefined, desc: 'The same, for traces alone' })),
  OTEL_EXPORTER_OTLP_PROTOCOL: str({ default: undefined, desc: 'http/protobuf is spoken, nothing else' }),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: str({ default: undefined, desc: 'The same, for traces alone' }),
  OTEL_TRACES_EXPORTER: str({ default: undefined, desc: 'otlp, or none; unset = otlp if there is an endpoint' }),
  OTEL_SDK_DISABLED: bool({ default: false, desc: 'true = no traces, whatever else is set' }),
  OTEL_TRACES_SAMPLER: str({
    default: 'parentbased_always_on',
    desc: 'Which traces are recorded: always_on, always_off, traceidratio, each also with parentbased_ before it',
  }),
  OTEL_TRACES_SAMPLER_ARG: str({ default: undefined, desc: 'The share of them, from 0 to 1, of traceidratio' }),
  OTEL_SERVICE_NAME: str({ default: undefined, desc: 'The name of this process in traces; unset = by ROLE' }),
  OTEL_RESOURCE_ATTRIBUTES: str({ default: undefined, desc: 'What else each span says of its process, as a=b,c=d' }),

  FAILPOINTS: str({
    default: undefined,
    desc: 'Folder of planned failures, for this product’s own tests; refused on any database but theirs',
  }),
};
