/** What decides how everything runs on this machine. The services read their own variables themselves. */
import { resolve } from 'node:path';
import { ConfigError, kinds, readConfig } from '../runtime/config.js';
import { settings } from '../runtime/settings.js';
import { temporalRefusals } from '../runtime/temporal-config.js';

const { bool, httpUrl, port, portOrNone, postgresUrl, secret, secrets, str } = kinds;

export const ISSUER_PORT_DEFAULT = 12112;
export const TEMPORAL_PORT_DEFAULT = 7233;

const SPEC = {
  DATA_DIR: str({ default: '.data', desc: 'Folder of everything that is kept' }),
  HOST: str({ default: '127.0.0.1', desc: 'Address the API listens on' }),
  PORT: port({ default: 3000, desc: 'Port the API listens on' }),
  SANDBOX_PORT: port({ default: 12111, desc: 'Port of the payment sandbox' }),
  POSTGRES_PORT: port({ default: 5433, desc: 'Port of the embedded Postgres' }),
  TEMPORAL_PORT: port({ default: TEMPORAL_PORT_DEFAULT, desc: 'Port of the embedded Temporal' }),
  TEMPORAL_UI_PORT: port({ default: 8233, desc: 'Port of its Web UI' }),
  METRICS_PORT: portOrNone({ default: 9464, desc: 'First port that may be one of metrics; 0 = no metrics' }),
  METRICS_HOST: str({ default: '127.0.0.1', desc: 'Address that metrics are served on' }),
  DATABASE_URL: postgresUrl({ default: undefined, desc: 'A Postgres of yours; unset = the embedded one' }),
  TEMPORAL_ADDRESS: str({ default: undefined, desc: 'A Temporal of yours, host:port; unset = the embedded one' }),
  PAYMENTS_URL: httpUrl('payments')({ default: undefined, desc: 'The payment API; unset = the sandbox' }),
  STRIPE_API_KEY: secret({ default: 'sk_test_sandbox', desc: 'Its secret key' }),
  STRIPE_WEBHOOK_SECRET: secrets({ default: undefined, desc: 'whsec_…; unset = made once, kept in DATA_DIR' }),
  AUTH_ISSUER: str({ default: undefined, desc: 'Whose tokens the API takes; unset = no authentication' }),
  ISSUER_PORT: port({ default: ISSUER_PORT_DEFAULT, desc: 'Port of the token issuer, which `npm run token` starts' }),
  LOCAL_DEMO: bool({ default: true, desc: 'Whether the console has buttons for trying faults out' }),
  LOCAL_PROCESSES: str({
    default: 'all',
    desc: 'Service processes to run, by role, e.g. api,worker,relay or all,worker',
  }),
};

const ROLES = ['all', 'api', 'worker', 'relay'] as const;
export type Role = (typeof ROLES)[number];

export type Settings = Omit<ReturnType<typeof readSpec>, 'LOCAL_PROCESSES'> & { roles: Role[] };

/** @throws ConfigError naming every wrong variable, of the service's own processes too: before anything is started */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const [ours, service] = [refusalsOf(() => readSpec(env)), refusalsOf(() => readServiceSettings(env))];
  const refusals = [...new Set([...ours, ...service])];
  if (refusals.length > 0) throw new ConfigError(refusals.join('\n'));
  const { LOCAL_PROCESSES, ...config } = readSpec(env);
  if (config.PAYMENTS_URL === undefined && /^[sr]k_live_/.test(config.STRIPE_API_KEY)) {
    throw new ConfigError(
      'STRIPE_API_KEY is a live key, but PAYMENTS_URL is not set: set PAYMENTS_URL=https://api.stripe.com to use Stripe, or unset the key to use the sandbox.',
    );
  }
  return { ...config, DATA_DIR: resolve(config.DATA_DIR), roles: parseRoles(LOCAL_PROCESSES) };
}

const readSpec = (env: NodeJS.ProcessEnv) => readConfig(SPEC, env);

/** What a process of ours will be given that is not in the environment is right, and leads to this machine. */
const EMBEDDED = { DATABASE_URL: 'postgresql://embedded@127.0.0.1/order_saga', STRIPE_API_KEY: 'sk_test_sandbox' };

function readServiceSettings(env: NodeJS.ProcessEnv): void {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const embedded = Object.entries(EMBEDDED).filter(([name]) => set[`${name}_FILE`] === undefined);
  const given = { ...Object.fromEntries(embedded), ...set, ROLE: 'all' };
  readConfig(settings, given, set['TEMPORAL_ADDRESS'] === undefined ? undefined : temporalRefusals);
}

function refusalsOf(read: () => void): string[] {
  try {
    read();
    return [];
  } catch (err) {
    if (err instanceof ConfigError) return err.message.split('\n');
    throw err;
  }
}

function parseRoles(text: string): Role[] {
  const names = text.split(',').map((name) => name.trim());
  const roles = names.map((name) => ROLES.find((role) => role === name));
  if (roles.some((role) => role === undefined)) {
    throw new ConfigError(`LOCAL_PROCESSES is wrong: "${text}" is not a list of ${ROLES.join(', ')}.`);
  }
  if (names.filter(servesHttp).length > 1) {
    throw new ConfigError(`LOCAL_PROCESSES is wrong: in "${text}" two processes would listen on PORT.`);
  }
  return roles as Role[];
}

export const servesHttp = (role: string): boolean => role === 'all' || role === 'api';
export const runsSagas = (role: string): boolean => role === 'all' || role === 'worker';
