/**
 * The installation that the CLI acts on: its Postgres and its Temporal, reached directly, since the API may be what is
 * down. Each is opened when it is first needed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Client } from '@temporalio/client';
import type { ClientConnectConfig } from '@temporalio/envconfig';
import type { SagaPolicy } from '../contracts/saga.js';
import { isOnThisMachine } from '../prisma/plain-text.mjs';
import { refusePlainPostgres } from '../prisma/session.mjs';
import { kinds, readConfig } from '../runtime/config.js';
import { openDatabase } from '../runtime/database.js';
import { checkDatabase } from '../runtime/database-check.js';
import { keySettings, payloadSettings } from '../runtime/key-settings.js';
import { settings } from '../runtime/settings.js';
import { readTemporalConfig, temporalRefusals } from '../runtime/temporal-config.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import { OpsError, unavailable, usage } from './exit.js';
import { codecOptions } from './payloads.js';
import { TRACING } from './tracing.js';

const { httpUrl, port, postgresUrl, str } = kinds;

const SPEC = {
  DATABASE_URL: postgresUrl({ default: undefined }),
  ALLOW_PLAINTEXT: settings.ALLOW_PLAINTEXT,
  TEMPORAL_ADDRESS: str({ default: undefined }),
  TEMPORAL_PROFILE: str({ default: undefined }),
  DATA_DIR: str({ default: '.data' }),
  TEMPORAL_PORT: port({ default: 7233 }),
  TEMPORAL_UI_PORT: port({ default: undefined }),
  TEMPORAL_UI_URL: settings.TEMPORAL_UI_URL,
  PAYMENTS_URL: settings.PAYMENTS_URL,
  STRIPE_API_KEY: settings.STRIPE_API_KEY,
  SANDBOX_PORT: port({ default: 12111 }),
  PROBE_EVERY: settings.PROBE_EVERY,
  RECONCILE_EVERY: settings.RECONCILE_EVERY,
  RECONCILE_ACTIONS_PER_HOUR: settings.RECONCILE_ACTIONS_PER_HOUR,
  REFUND_CHECK_EVERY: settings.REFUND_CHECK_EVERY,
  REFUND_YOUNG_FOR: settings.REFUND_YOUNG_FOR,
  REFUND_RECHECK_EVERY: settings.REFUND_RECHECK_EVERY,
  HOST: settings.HOST,
  PORT: settings.PORT,
  PROMETHEUS_URL: httpUrl('link')({ default: undefined, desc: 'Prometheus, for the alarms that `ops doctor` lists' }),
  OPS_OPERATOR: str({ default: undefined }),
  AUDIT_KEY: settings.AUDIT_KEY,
  AUDIT_KEY_FILE: settings.AUDIT_KEY_FILE,
  AUDIT_ANCHOR_FILE: settings.AUDIT_ANCHOR_FILE,
  ERASURE_JOURNAL: settings.ERASURE_JOURNAL,
  ERASURE_DEADLINE: settings.ERASURE_DEADLINE,
  ERASURE_ALERT_BEFORE: settings.ERASURE_ALERT_BEFORE,
  ERASURE_SIGNING_KEY: settings.ERASURE_SIGNING_KEY,
  STEP_RETRY_BUDGET: settings.STEP_RETRY_BUDGET,
  SAGA_DEADLINE: settings.SAGA_DEADLINE,
  COMPENSATION_ATTENTION_AFTER: settings.COMPENSATION_ATTENTION_AFTER,
  ...keySettings,
  ...payloadSettings,
  ...TRACING,
};
export type OpsConfig = ReturnType<typeof readOpsConfig>;

/** @throws ConfigError naming every wrong variable */
export const readOpsConfig = (env: NodeJS.ProcessEnv) => readConfig(SPEC, env, refusedTemporal);

/** A Temporal that is named is judged at once, whatever the command asks first; a laptop's own, or a profile's that is not named, once it is needed. */
const refusedTemporal = (env: NodeJS.ProcessEnv): string[] =>
  env['TEMPORAL_ADDRESS'] || env['TEMPORAL_PROFILE'] ? temporalRefusals(env) : [];

/** What a saga that is started from here is given, as the service's processes would. */
export const policyOf = (config: OpsConfig): SagaPolicy => ({
  stepRetryBudgetMs: config.STEP_RETRY_BUDGET,
  sagaDeadlineMs: config.SAGA_DEADLINE,
  compensationAttentionAfterMs: config.COMPENSATION_ATTENTION_AFTER,
});

type Postgres = ReturnType<typeof openDatabase>;

export type Temporal = {
  client: Client;
  /** For sentences: `host:port/namespace`. */
  where: string;
  /** @returns the saga in the Web UI, or null if no setting says where that is */
  link(workflowId: string, runId?: string | null): string | null;
};

export type Connections = {
  /** @throws OpsError unavailable */
  database(): Promise<Postgres>;
  /** @throws OpsError unavailable */
  temporal(): Promise<Temporal>;
  /** Whether anything says where Temporal is. */
  knowsTemporal(): boolean;
  close(): Promise<void>;
};

/** A healthy server answers in milliseconds; a person is waiting. */
const CONNECT_LIMIT_MS = 4_000;
/** Postgres has answered by then: on a machine that is overloaded the next connection is slow, and that is not to be told as a Postgres that has gone away. */
const POOL_LIMIT_MS = 15_000;
/** Bulk commands read an order per item, some of them at a time. */
const POOL = 4;

export function openConnections(config: OpsConfig, env: NodeJS.ProcessEnv): Connections {
  refuseStrangePair(config);
  const closers: (() => Promise<void>)[] = [];
  let database: Promise<Postgres> | undefined;
  let temporal: Promise<Temporal> | undefined;
  const connections: Connections = {
    database: () => {
      database ??= connectDatabase(databaseUrlOf(config), env, closers);
      return database;
    },
    temporal: () => {
      temporal ??= connectTemporal(config, env, closers, connections.database);
      return temporal;
    },
    knowsTemporal: () => knowsTemporal(config, env),
    close: async () => {
      await Promise.allSettled(closers.map((close) => close()));
    },
  };
  return connections;
}

async function connectDatabase(
  url: string,
  env: NodeJS.ProcessEnv,
  closers: (() => Promise<void>)[],
): Promise<Postgres> {
  // The URL may be from a file, which no one has judged.
  const plain = refusePlainPostgres(url, env);
  if (plain !== undefined) throw usage(plain);
  const refusal = await checkDatabase(url);
  if (refusal?.isFinal) throw usage(refusal.sentence);
  if (refusal) throw unavailable(`${refusal.sentence} Does it run?`);
  const db = openDatabase(url, POOL, { connectLimitMs: POOL_LIMIT_MS });
  closers.push(() => db.$disconnect());
  return db;
}

async function connectTemporal(
  config: OpsConfig,
  env: NodeJS.ProcessEnv,
  closers: (() => Promise<void>)[],
  database: Connections['database'],
): Promise<Temporal> {
  const { connectionOptions, namespace = 'default', uiUrl } = temporalOf(config, env);
  const where = `${connectionOptions.address ?? '127.0.0.1:7233'}/${namespace}`;
  const converting = await codecOptions(config, database);
  const { Client, Connection } = await import('@temporalio/client'); // as long as the rest of the CLI's start: some commands do without
  try {
    const connection = await Connection.connect({ ...connectionOptions, connectTimeout: CONNECT_LIMIT_MS });
    closers.push(() => connection.close());
    return {
      client: new Client({ connection, namespace, ...converting }),
      where,
      link: (workflowId, runId) => {
        if (uiUrl === undefined) return null;
        const run = runId ? `/${runId}/history` : '';
        return `${uiUrl}/namespaces/${namespace}/workflows/${workflowId}${run}`;
      },
    };
  } catch (err) {
    throw unavailable(`Temporal does not answer at ${where}: ${sentenceOf(err)}. Does it run?`, err);
  }
}

function databaseUrlOf({ DATABASE_URL, DATA_DIR }: OpsConfig): string {
  if (DATABASE_URL !== undefined) return DATABASE_URL;
  const file = join(resolve(DATA_DIR), 'database-url');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (err) {
    throw unavailable(
      `No database: DATABASE_URL is not set, and ${file}, which \`npm start\` writes, cannot be read (${(err as NodeJS.ErrnoException).code}). Set DATABASE_URL, or DATA_DIR to the folder of the running installation.`,
      err,
    );
  }
}

type TemporalPlace = Pick<ClientConnectConfig, 'connectionOptions' | 'namespace'> & {
  uiUrl: string | undefined;
};

/** The environment, then the laptop's own server (which knows no profile, no keys), then a profile. */
function temporalOf(config: OpsConfig, env: NodeJS.ProcessEnv): TemporalPlace {
  const dataDir = resolve(config.DATA_DIR);
  const isNamed = config.TEMPORAL_ADDRESS !== undefined || config.TEMPORAL_PROFILE !== undefined;
  const isLaptop = !isNamed && existsSync(join(dataDir, 'temporal'));
  const uiPort = config.TEMPORAL_UI_PORT ?? (isLaptop ? 8233 : undefined);
  const uiUrl = config.TEMPORAL_UI_URL ?? (uiPort === undefined ? undefined : `http://127.0.0.1:${uiPort}`);
  if (isLaptop) return { connectionOptions: { address: `127.0.0.1:${config.TEMPORAL_PORT}` }, uiUrl };
  const place = readTemporalConfig(env);
  if (place.connectionOptions.address === undefined) {
    throw unavailable(
      `No Temporal: TEMPORAL_ADDRESS is not set, and ${dataDir} is not the folder of an installation. Set TEMPORAL_ADDRESS (host:port), or DATA_DIR and TEMPORAL_PORT as for \`npm start\`.`,
    );
  }
  return { ...place, uiUrl };
}

function knowsTemporal(config: OpsConfig, env: NodeJS.ProcessEnv): boolean {
  try {
    return temporalOf(config, env).connectionOptions !== undefined;
  } catch (err) {
    if (err instanceof OpsError) return false;
    throw err;
  }
}

/** A server's database with a laptop's Temporal, or the other way round, would start sagas where they do not belong. */
function refuseStrangePair({ DATABASE_URL, TEMPORAL_ADDRESS, TEMPORAL_PROFILE }: OpsConfig): void {
  const hasTemporal = TEMPORAL_ADDRESS !== undefined || TEMPORAL_PROFILE !== undefined;
  if (DATABASE_URL !== undefined && !hasTemporal && !isLoopback(new URL(DATABASE_URL).hostname)) {
    throw usage('DATABASE_URL names another machine, but TEMPORAL_ADDRESS is not set: set both.');
  }
  const temporalHost = TEMPORAL_ADDRESS?.replace(/:\d+$/, '');
  if (DATABASE_URL === undefined && hasTemporal && !isLoopback(temporalHost ?? TEMPORAL_PROFILE ?? '')) {
    throw usage('TEMPORAL_ADDRESS or TEMPORAL_PROFILE is set, but DATABASE_URL is not: set both.');
  }
}

const isLoopback = (host: string): boolean => host === '' || isOnThisMachine(host);
