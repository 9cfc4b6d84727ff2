/** Our own processes, as programs to run on this machine: the service, in the roles asked for, and the payment sandbox. */
import { join } from 'node:path';
import { fileSecretsOf } from '../runtime/config.js';
import { settings as serviceSettings } from '../runtime/settings.js';
import { CHECKOUT } from './checkout.js';
import { AUDIT_ANCHOR, AUDIT_KEY } from './data-dir.js';
import { sandboxPort, servicePorts } from './port-uses.js';
import { environment, NODE_READS, PROXIES } from './processes/environment.js';
import { isListenedOn } from './processes/ports.js';
import type { Program } from './processes/program.js';
import { type Role, type Settings, servesHttp } from './settings.js';

/** Loading the code on a busy machine takes a while; Temporal's worker compiles the workflow bundle, too. */
const READY_LIMIT_MS = 60_000;
const LOOPBACK = '127.0.0.1';

export type ServiceEnv = {
  dataDir: string;
  stripeWebhookSecret: string;
  logFile: (name: string) => string;
  /** One per service process; none if there are to be no metrics. */
  metricsPorts: number[];
  /** Where the console's buttons reach this launcher; undefined = there are none. */
  launcherUrl?: string | undefined;
};

/** @returns one program per entry of LOCAL_PROCESSES, named by its role */
export function servicePrograms(
  settings: Settings,
  databaseUrl: string,
  { dataDir, stripeWebhookSecret, logFile, metricsPorts, launcherUrl }: ServiceEnv,
): Program[] {
  return settings.roles.map((role, index) => {
    const name = nameOf(settings.roles, index);
    const env = {
      ...environment(process.env, ...SERVICE_READS),
      ...postgresEnv(settings),
      ...temporalEnv(settings),
      ...signsOf(settings),
      ...auditEnv(dataDir, role),
      ROLE: role,
      DATABASE_URL: databaseUrl,
      PAYMENTS_URL: settings.PAYMENTS_URL ?? sandboxUrl(settings),
      STRIPE_API_KEY: settings.STRIPE_API_KEY,
      STRIPE_WEBHOOK_SECRET: stripeWebhookSecret,
      HOST: settings.HOST,
      PORT: `${settings.PORT}`,
      METRICS_PORT: `${metricsPorts[index] ?? 0}`,
      // Never the shell's: whoever has the buttons may freeze and kill what runs here.
      LAUNCHER_URL: servesHttp(role) ? (launcherUrl ?? '') : '',
    };
    const program = nodeProgram(name, 'service/main.js', env, logFile(name), () =>
      isReady(settings, role, metricsPorts[index]),
    );
    return { ...program, ports: servicePorts(settings, role, metricsPorts[index]) };
  });
}

export function sandboxProgram(settings: Settings, { dataDir, stripeWebhookSecret, logFile }: ServiceEnv): Program {
  const env = {
    SANDBOX_WEBHOOK_URL: `${apiUrl(settings)}/webhooks/payments`,
    ...environment(process.env, ...SANDBOX_READS),
    ...signsOf(settings),
    ROLE: 'sandbox',
    STRIPE_WEBHOOK_SECRET: stripeWebhookSecret,
    DATA_DIR: dataDir,
    HOST: LOOPBACK, // whatever HOST says of the API: the sandbox obeys any client that reaches it
    SANDBOX_PORT: `${settings.SANDBOX_PORT}`,
  };
  const program = nodeProgram('sandbox', 'sandbox/main.js', env, logFile('sandbox'), () =>
    isListenedOn(settings.SANDBOX_PORT, LOOPBACK),
  );
  return { ...program, ports: [sandboxPort(settings)] };
}

export const sandboxUrl = ({ SANDBOX_PORT }: Settings): string => `http://${LOOPBACK}:${SANDBOX_PORT}`;
/** What says nothing of a server, but what our worker is. */
const OURS = ['TEMPORAL_WORKER_BUILD_ID', 'TEMPORAL_DEPLOYMENT_NAME'];

export const temporalUiUrl = ({ TEMPORAL_UI_PORT }: Settings): string => `http://${LOOPBACK}:${TEMPORAL_UI_PORT}`;

/** Where a program on this machine reaches the API. */
export const apiUrl = ({ HOST, PORT }: Settings): string => urlOf(HOST, PORT);

function urlOf(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://${LOOPBACK}:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** api, worker, worker-2 … */
function nameOf(roles: Role[], index: number): string {
  const role = roles[index] ?? '';
  const nth = roles.slice(0, index).filter((earlier) => earlier === role).length;
  return nth === 0 ? role : `${role}-${nth + 1}`;
}

/** Read here, from their files too, and given to the service as values. */
const GIVEN = new Set(['DATABASE_URL', 'STRIPE_API_KEY', 'STRIPE_WEBHOOK_SECRET']);

/** All that the service's own table has, and what its libraries read by themselves. */
const SERVICE_READS = [
  ...Object.keys(serviceSettings),
  ...fileSecretsOf(serviceSettings).flatMap((name) => (GIVEN.has(name) ? [] : [`${name}_FILE`])),
  ...OURS,
  ...NODE_READS,
  ...PROXIES,
  /^OTEL_/,
  /^(TOKIO|RUST)_/, // of Temporal's core
];
/** It reaches nobody but the API on this machine. */
const SANDBOX_READS = [/^SANDBOX_/, 'LOG_LEVEL', 'LOG_FORMAT', 'ALLOWED_HOSTS', ...NODE_READS];

/** Of each process that the launcher starts: by these it is known as this installation's. */
export const signsOf = (settings: Settings): NodeJS.ProcessEnv => ({
  DATA_DIR: settings.DATA_DIR,
  PORT: `${settings.PORT}`,
  METRICS_PORT: `${settings.METRICS_PORT}`,
  SANDBOX_PORT: `${settings.SANDBOX_PORT}`,
  POSTGRES_PORT: `${settings.POSTGRES_PORT}`,
  TEMPORAL_PORT: `${settings.TEMPORAL_PORT}`,
  TEMPORAL_UI_PORT: `${settings.TEMPORAL_UI_PORT}`,
});

/** The embedded one is reached as its URL says, without TLS: what a shell's PG… says is meant for other servers. */
const postgresEnv = ({ DATABASE_URL }: Settings): NodeJS.ProcessEnv =>
  DATABASE_URL === undefined ? {} : startingWith('PG');

const startingWith = (prefix: string): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith(prefix)));

/** Made once; what the shell sets goes first. A worker signs the end of an erasure, and anchors nothing. */
function auditEnv(dataDir: string, role: Role): NodeJS.ProcessEnv {
  const { AUDIT_KEY: key, AUDIT_KEY_FILE: file, AUDIT_ANCHOR_FILE: anchor } = process.env;
  return {
    ...(!key && !file && { AUDIT_KEY_FILE: join(dataDir, AUDIT_KEY) }),
    ...(!anchor && role !== 'worker' && { AUDIT_ANCHOR_FILE: join(dataDir, AUDIT_ANCHOR) }),
  };
}

/** The embedded server knows one namespace and no keys: what a profile says of other servers must not reach it. */
function temporalEnv(settings: Settings): NodeJS.ProcessEnv {
  if (settings.TEMPORAL_ADDRESS !== undefined) return startingWith('TEMPORAL_');
  return {
    TEMPORAL_ADDRESS: `${LOOPBACK}:${settings.TEMPORAL_PORT}`,
    TEMPORAL_NAMESPACE: 'default',
    TEMPORAL_CONFIG_FILE: join(CHECKOUT, 'local', 'temporal', 'profile.toml'),
    TEMPORAL_UI_URL: process.env['TEMPORAL_UI_URL'] || temporalUiUrl(settings),
  };
}

/**
 * Room for what is short-lived, which is most of what an order leaves behind: with the default of 16 MB its garbage is collected three
 * times as often, at 3 % more CPU per order. No source maps, as in production: Node reads those of 1,400 modules at each start, a
 * quarter of what loading takes. `npm run dev` has them.
 */
const NODE_FLAGS = ['--max-semi-space-size=64'];

function nodeProgram(
  name: string,
  script: string,
  env: NodeJS.ProcessEnv,
  logFile: string,
  isReady: Program['isReady'],
): Program {
  return {
    name,
    command: process.execPath,
    args: [...NODE_FLAGS, join(CHECKOUT, 'dist', script)],
    env,
    cwd: CHECKOUT,
    logFile,
    stopSignal: 'SIGTERM',
    isReady,
    readyLimitMs: READY_LIMIT_MS,
  };
}

/** The metrics port answers for all roles; without one, only an API can be asked, and answers for itself. */
async function isReady(settings: Settings, role: Role, metricsPort: number | undefined): Promise<boolean> {
  const url = metricsPort === undefined ? apiUrl(settings) : urlOf(settings.METRICS_HOST, metricsPort);
  if (metricsPort === undefined && !servesHttp(role)) return true;
  try {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) });
    await answer.arrayBuffer();
    return answer.status === 200;
  } catch {
    return false; // not yet
  }
}
