/** Every environment variable of the service: one table, from which each role takes what it needs. `.env.example` follows it. */
import { kinds } from './config.js';

const { bool, count, durationMs, httpUrl, port, postgresUrl, str } = kinds;
const minutes = (n: number) => n * 60_000;

export const settings = {
  ROLE: str({ choices: ['all', 'api', 'worker', 'relay'] as const, default: 'all', desc: 'What this process runs' }),
  LOG_LEVEL: str({ choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const, default: 'info' }),
  DATABASE_URL: postgresUrl({ desc: 'postgresql://user:password@host:5432/database' }),
  DATABASE_POOL: count({ default: 16, desc: 'Connections of this process to Postgres, at most' }),

  HOST: str({ default: '127.0.0.1', desc: 'Address the API listens on' }),
  PORT: port({ default: 3000, desc: 'Port the API listens on' }),
  TEMPORAL_UI_URL: httpUrl({ default: undefined, desc: 'Temporal Web UI, for links to sagas' }),
  IDEMPOTENCY_TTL: durationMs({ default: 7 * 24 * 60 * minutes(1), desc: 'How long an Idempotency-Key is remembered' }),

  AUTH_ISSUER: str({
    default: undefined,
    desc: 'OIDC issuer whose tokens are taken; unset = no authentication, loopback only',
  }),
  AUTH_AUDIENCE: str({ default: '', desc: 'The `aud` that tokens must have' }),
  AUTH_JWKS_URL: httpUrl({
    default: undefined,
    desc: 'Where the issuer publishes its keys; unset = found by discovery',
  }),
  AUTH_ROLES_CLAIM: str({ default: 'roles', desc: 'The claim that lists customer, service, operator, auditor' }),

  STEP_RETRY_BUDGET: durationMs({
    default: minutes(2),
    desc: 'How long a step is retried before its saga asks for an operator',
  }),
  SAGA_DEADLINE: durationMs({ default: minutes(60), desc: 'When a saga that is still stuck unwinds by itself' }),
  COMPENSATION_ATTENTION_AFTER: durationMs({
    default: minutes(1),
    desc: 'How long an undo may fail before its saga is marked',
  }),

  PAYMENTS_URL: httpUrl({ default: undefined, desc: 'Base URL of the payment API; unset = Stripe itself' }),
  STRIPE_API_KEY: str({ default: '', desc: 'Secret key of the payment API' }),
  STRIPE_WEBHOOK_SECRET: str({
    default: '',
    desc: 'whsec_… of the payment API’s webhooks; unset = they are not taken',
  }),
  RECONCILE_EVERY: durationMs({
    default: 20_000,
    desc: 'How often the payment API’s ledger is compared with ours',
  }),
  TEMPORAL_WORKER_BUILD_ID: str({
    default: '',
    desc: 'Build of the saga’s code; pins each saga to the build it began on. Empty = sagas move to whatever build runs',
  }),
  TEMPORAL_DEPLOYMENT_NAME: str({ default: 'order-saga', desc: 'Whose builds those are, for Worker Versioning' }),
  WORKFLOW_BUNDLE: str({ default: undefined, desc: 'Path of the prebuilt workflow bundle; unset = the one in dist/' }),

  DELIVERY_BACKOFF_MAX: durationMs({
    default: 10_000,
    desc: 'Longest pause between tries of a destination that fails',
  }),
  WEBHOOK_URL: httpUrl({ default: undefined, desc: 'Destination of events: a webhook receiver' }),
  WEBHOOK_SECRET: str({ default: '', desc: 'whsec_… (base64), shared with the receiver' }),
  WEBHOOK_ALLOW_PRIVATE: bool({ default: false, desc: 'Permit http:// and private or loopback receivers' }),

  FAILPOINTS: str({
    default: undefined,
    desc: 'Folder of planned failures, for this product’s own tests; refused on any database but theirs',
  }),
};
