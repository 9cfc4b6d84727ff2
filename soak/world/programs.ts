/** The product's own processes, with limits that are short: an hour's trouble passes in a minute. */
import { join } from 'node:path';
import type { SagaPolicy } from '../../contracts/saga.js';
import { CHECKOUT } from '../../local/checkout.js';
import { environment, NODE_READS } from '../../local/processes/environment.js';
import type { Program } from '../../local/processes/program.js';
import type { Link } from '../../testbed/link.js';
import type { LinkName, SERVICES } from '../plan/faults.js';
import type { Consumer } from './consumer.js';

type Service = (typeof SERVICES)[number];

const HOST = '127.0.0.1';
const WEBHOOK_SECRET = `whsec_${Buffer.from('what the gateway signs with, long').toString('base64')}`;
const READY_LIMIT_MS = 60_000;
export const AUDIT_KEY = 'a'.repeat(64);

/** What sagas are begun with. */
export const POLICY: SagaPolicy = {
  stepRetryBudgetMs: 8_000,
  sagaDeadlineMs: 45_000,
  compensationAttentionAfterMs: 8_000,
};
/** As an operator would set them who has a minute instead of an hour. */
const IMPATIENT = {
  STEP_RETRY_BUDGET: `${POLICY.stepRetryBudgetMs / 1_000}s`,
  SAGA_DEADLINE: `${POLICY.sagaDeadlineMs / 1_000}s`,
  COMPENSATION_ATTENTION_AFTER: `${POLICY.compensationAttentionAfterMs / 1_000}s`,
  RECONCILE_EVERY: '2s',
  RECONCILE_ACTIONS_PER_HOUR: '1000000',
  REFUND_CHECK_EVERY: '3s',
  REFUND_RECHECK_EVERY: '10s',
  PROBE_EVERY: '2s',
  DELIVERY_BACKOFF_MAX: '2s',
};
const GATEWAY = {
  SANDBOX_REFUND_SETTLES_AFTER: '2s',
  SANDBOX_REFUND_FAILS_AFTER: '3s',
  SANDBOX_DISPUTE_AFTER: '2s',
};
/** Connections that the API has at most: so few that they can be used up. */
export const CONNECTIONS_MAX = 200;

export type ServicePlace = {
  port: number | undefined;
  metricsPort: number;
  database: string;
  links: ReadonlyMap<LinkName, Link>;
  consumer: Consumer;
  logFile: string;
  /** Besides those of every soak, or in their place. */
  settings?: NodeJS.ProcessEnv;
};

/** @param name of the role, which is that of the process */
export function serviceProgramOf(name: Service, place: ServicePlace): Program {
  const { port, metricsPort, database, links, consumer, logFile, settings } = place;
  const through = (target: string) => links.get(`${name}-${target}` as LinkName)?.address;
  const url = new URL(database);
  url.host = through('postgres') ?? url.host;
  const [gateway, events, nats] = [through('gateway'), through('consumer'), through('nats')];
  const env = {
    ROLE: name,
    METRICS_PORT: `${metricsPort}`,
    DATABASE_URL: url.href,
    TEMPORAL_ADDRESS: through('temporal') ?? '',
    TEMPORAL_NAMESPACE: 'default',
    TEMPORAL_CONFIG_FILE: join(CHECKOUT, 'local', 'temporal', 'profile.toml'),
    STRIPE_API_KEY: 'sk_test_soak',
    STRIPE_WEBHOOK_SECRET: WEBHOOK_SECRET,
    AUDIT_KEY,
    CONNECTIONS_MAX: `${CONNECTIONS_MAX}`,
    ...(port !== undefined && { PORT: `${port}` }),
    ...(gateway !== undefined && { PAYMENTS_URL: `http://${gateway}` }),
    ...(events !== undefined && {
      WEBHOOK_URL: `http://${events}/events`,
      WEBHOOK_SECRET: consumer.secret,
      WEBHOOK_ALLOW_PRIVATE: 'true',
    }),
    ...(nats !== undefined && { NATS_URL: `nats://${nats}` }),
    ...IMPATIENT,
    ...settings,
  };
  return nodeProgram(name, 'service/main.js', env, logFile, `http://${HOST}:${metricsPort}/readyz`);
}

/** @param api host:port, where its events go */
export function gatewayProgram(folder: string, port: number, api: string, logFile: string): Program {
  const env = {
    ROLE: 'sandbox',
    DATA_DIR: join(folder, 'gateway'),
    SANDBOX_PORT: `${port}`,
    SANDBOX_WEBHOOK_URL: `http://${api}/webhooks/payments`,
    STRIPE_WEBHOOK_SECRET: WEBHOOK_SECRET,
    ...GATEWAY,
  };
  return nodeProgram('gateway', 'sandbox/main.js', env, logFile, `http://${HOST}:${port}/`);
}

const nodeProgram = (name: string, script: string, env: NodeJS.ProcessEnv, logFile: string, ask: string): Program => ({
  name,
  command: process.execPath,
  args: ['--max-semi-space-size=64', join(CHECKOUT, 'dist', script)],
  env: { ...environment(process.env, ...NODE_READS), ...env },
  cwd: CHECKOUT,
  logFile,
  stopSignal: 'SIGTERM',
  isReady: async () => {
    const answer = await fetch(ask, { signal: AbortSignal.timeout(3_000) }).catch(() => undefined);
    await answer?.arrayBuffer().catch(() => undefined);
    return answer?.ok === true;
  },
  readyLimitMs: READY_LIMIT_MS,
});
