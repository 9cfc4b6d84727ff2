/**
 * Temporal's server on Postgres: the four services in one process, set as Compose sets them, on a Postgres of its own, so that what
 * each costs can be told apart. Its programs are built beforehand: docs/scale.md says how.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import pg from 'pg';
import { CHECKOUT } from '../local/checkout.js';
import { throwawayPlace } from '../local/postgres/place.js';
import { adminUrl, type ClusterOptions, preparePostgres } from '../local/postgres/server.js';
import { runToEnd } from '../local/processes/command.js';
import { freePort } from '../local/processes/ports.js';
import { type Program, type Running, start } from '../local/processes/program.js';
import { unprivilegedUser } from '../local/processes/unprivileged.js';
import { sessionConfig } from '../prisma/session.mjs';

/** `roots`: its processes, by id. */
export type TemporalServer = { address: string; roots: Map<number, string>; stop: () => Promise<void> };

const HOST = '127.0.0.1';
const PLUGIN = 'postgres12_pgx';
const READY_LIMIT_MS = 60_000;
const SCHEMA_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 20_000;
const POLL_MS = 250;
const RETENTION_MS = 86_400_000;
/** Its databases, and which of the schemas that its tool contains is theirs. */
const DATABASES = { temporal: 'postgresql/v12/temporal', temporal_visibility: 'postgresql/v12/visibility' };
const SEARCH_ATTRIBUTES = ['SagaState', 'SagaStep', 'SagaFailure', 'CustomerId'];
/** temporal.api.enums.v1.IndexedValueType */
const KEYWORD = 2;

/** @param programs folder with `temporal-server` and `temporal-sql-tool` */
export async function startTemporalOnPostgres(programs: string): Promise<TemporalServer> {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-temporal-'));
  const user = unprivilegedUser();
  const place = throwawayPlace(user);
  const running: Running[] = [];
  const stop = async () => {
    for (const each of running.reverse()) await each.stop(STOP_LIMIT_MS);
    for (const left of [place, folder]) rmSync(left, { recursive: true, force: true });
  };
  try {
    const password = randomBytes(18).toString('base64url');
    const logFile = join(folder, 'postgres.log');
    const cluster = { place, user, port: await freePort(), logFile, password, durable: true };
    running.push(await start({ ...(await preparePostgres(cluster)), scratch: place }));
    await makeTemporalSchemas(programs, cluster);
    const port = await freePort();
    const server = await temporalProgramOn(programs, cluster, { port, folder });
    running.push(await start(server));
    const [postgres, temporal] = running.map(({ pid }) => pid as number) as [number, number];
    const roots = new Map([
      [temporal, 'Temporal'],
      [postgres, 'Temporal’s Postgres'],
    ]);
    return { address: `${HOST}:${port}`, roots, stop };
  } catch (err) {
    await stop();
    throw err;
  }
}

/** @param programs folder with `temporal-sql-tool` */
export async function makeTemporalSchemas(programs: string, cluster: ClusterOptions): Promise<void> {
  const tool = join(programs, 'temporal-sql-tool');
  const client = new pg.Client(sessionConfig(adminUrl(cluster)));
  await client.connect();
  try {
    for (const name of Object.keys(DATABASES)) await client.query(`CREATE DATABASE ${name}`);
  } finally {
    await client.end();
  }
  const env = { PATH: process.env['PATH'], SQL_PASSWORD: cluster.password };
  const target = ['--plugin', PLUGIN, '--ep', HOST, '--port', `${cluster.port}`, '--user', 'postgres'];
  for (const [database, schema] of Object.entries(DATABASES)) {
    for (const step of [
      ['setup-schema', '-v', '0.0'],
      ['update-schema', '--schema-name', schema],
    ]) {
      const args = [...target, '--db', database, ...step];
      const { failure, output } = await runToEnd(tool, args, { env, timeoutMs: SCHEMA_LIMIT_MS });
      if (failure !== undefined) throw new Error(`temporal-sql-tool ${step[0]} of ${database} (${failure}): ${output}`);
    }
  }
}

type Place = { port: number; folder: string };

/** The environment that docker-compose.yml gives it, on ports of this machine that are free. */
export async function temporalProgramOn(
  programs: string,
  cluster: ClusterOptions,
  { port, folder }: Place,
): Promise<Program> {
  const command = join(programs, 'temporal-server');
  const services = ['FRONTEND', 'HISTORY', 'MATCHING', 'WORKER'];
  const ports: Record<string, string> = { FRONTEND_HTTP_PORT: `${await freePort()}` };
  for (const service of services) {
    ports[`${service}_GRPC_PORT`] = service === 'FRONTEND' ? `${port}` : `${await freePort()}`;
    ports[`${service}_MEMBERSHIP_PORT`] = `${await freePort()}`;
  }
  return {
    name: 'Temporal',
    command,
    args: ['start'],
    env: {
      PATH: process.env['PATH'],
      DB: PLUGIN,
      POSTGRES_SEEDS: HOST,
      DB_PORT: `${cluster.port}`,
      POSTGRES_USER: 'postgres',
      POSTGRES_PWD: cluster.password,
      DBNAME: 'temporal',
      VISIBILITY_DBNAME: 'temporal_visibility',
      NUM_HISTORY_SHARDS: '4',
      BIND_ON_IP: HOST,
      TEMPORAL_BROADCAST_ADDRESS: HOST,
      LOG_LEVEL: 'warn',
      GOGC: '400',
      DYNAMIC_CONFIG_FILE_PATH: join(CHECKOUT, 'deploy', 'temporal', 'dynamic-config.yaml'),
      ...ports,
    },
    cwd: folder,
    logFile: join(folder, 'temporal.log'),
    stopSignal: 'SIGTERM',
    isReady: () => hasNamespace(`${HOST}:${port}`),
    readyLimitMs: READY_LIMIT_MS,
  };
}

/** Makes the namespace and the sagas' search attributes as soon as it can be asked. */
async function hasNamespace(address: string): Promise<boolean> {
  await sleep(POLL_MS);
  try {
    const connection = await Connection.connect({ address, connectTimeout: '1s' });
    try {
      await prepareNamespace(connection);
      return true;
    } finally {
      await connection.close();
    }
  } catch {
    return false; // not yet
  }
}

async function prepareNamespace({ workflowService, operatorService }: Connection): Promise<void> {
  const namespace = 'default';
  const { namespaces } = await workflowService.listNamespaces({});
  if (!namespaces?.some(({ namespaceInfo }) => namespaceInfo?.name === namespace)) {
    await workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs(RETENTION_MS) });
  }
  const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
  const missing = SEARCH_ATTRIBUTES.filter((name) => customAttributes?.[name] === undefined);
  if (missing.length === 0) return;
  const searchAttributes = Object.fromEntries(missing.map((name) => [name, KEYWORD]));
  await operatorService.addSearchAttributes({ namespace, searchAttributes });
  throw new Error('They are known to all services a moment later.');
}
