/** An installation that can be lost and restored: one Postgres with an archive, Temporal on it where its programs are there, the gateway, the service. */
import { execFile } from 'node:child_process';
import { chownSync, existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { CHECKOUT } from '../../local/checkout.js';
import { chownAll } from '../../local/postgres/binaries.js';
import { throwawayPlace } from '../../local/postgres/place.js';
import { ensureDatabase } from '../../local/postgres/server.js';
import { freePort } from '../../local/processes/ports.js';
import { environment, NODE_READS } from '../../local/processes/environment.js';
import { type Program, type Running, start } from '../../local/processes/program.js';
import { unprivilegedUser } from '../../local/processes/unprivileged.js';
import { migrate } from '../../local/setup/migrate.js';
import { copyCluster } from '../../testbed/postgres/base-copy.js';
import { ask, type Cluster, newCluster } from '../../testbed/postgres/cluster.js';
import { makeTemporalSchemas, temporalProgramOn } from '../../testbed/temporal-on-postgres.js';
import { temporalServer } from '../world/servers.js';

const run = promisify(execFile);
const HOST = '127.0.0.1';
const DATABASE = 'order_saga';
const SCRIPTS = join(CHECKOUT, 'deploy', 'postgres');
const AUDIT_KEY = 'a'.repeat(64);
const API_KEY = 'sk_test_drill';

export type Settings = {
  folder: string;
  /** With `temporal-server` and `temporal-sql-tool`; undefined = the development server, which keeps its own file and is not restored. */
  programs: string | undefined;
  archiveTimeoutS: number;
};

export type World = {
  settings: Settings;
  archive: string;
  base: string;
  cluster: Cluster;
  databaseUrl: string;
  temporalAddress: string;
  gateway: string;
  api: string;
  /** What runs, by name. */
  running: Map<'postgres' | 'temporal' | 'gateway' | 'service', Running>;
  /** What is to be removed in the end. */
  places: (() => void)[];
};

export async function startWorld(settings: Settings): Promise<World> {
  const { folder, programs, archiveTimeoutS } = settings;
  mkdirSync(folder, { recursive: true });
  const user = unprivilegedUser();
  const archive = throwawayPlace(user); // Postgres' own user writes to it
  const cluster = await newCluster(join(folder, 'postgres.log'), {
    archive_mode: 'on',
    archive_timeout: `${archiveTimeoutS}`,
    archive_command: `/bin/sh "${SCRIPTS}/archive-wal.sh" "%p" "%f" "${archive}"`,
  });
  const running: World['running'] = new Map([['postgres', await start(await cluster.program())]]);
  const password = cluster.password;
  const databaseUrl = await ensureDatabase(cluster.admin, DATABASE, password);
  await migrate(databaseUrl);
  const gatewayPort = await freePort();
  const gateway = `http://${HOST}:${gatewayPort}`;
  const env = { ROLE: 'sandbox', DATA_DIR: join(folder, 'gateway'), SANDBOX_PORT: `${gatewayPort}` };
  running.set('gateway', await start(nodeProgram('gateway', 'sandbox/main.js', env, folder, gateway)));
  if (programs !== undefined) await makeTemporalSchemas(programs, cluster);
  const world: World = {
    ...{ settings, archive, base: join(archive, 'base.tar.gz'), cluster, databaseUrl, gateway, running },
    temporalAddress: '',
    api: `http://${HOST}:${await freePort()}`,
    places: [cluster.remove],
  };
  await startTemporal(world);
  await startService(world);
  return world;
}

export async function startTemporal(world: World): Promise<void> {
  const { settings, cluster, running } = world;
  if (settings.programs !== undefined) {
    const port = await freePort();
    const place = { port, folder: settings.folder };
    running.set('temporal', await start(await temporalProgramOn(settings.programs, cluster, place)));
    world.temporalAddress = `${HOST}:${port}`;
  } else if (!running.has('temporal')) {
    const server = await temporalServer(settings.folder, join(settings.folder, 'temporal.log'));
    running.set('temporal', await start(await server.program()));
    world.temporalAddress = server.address;
  }
}

export async function startService(world: World): Promise<void> {
  const { api, settings, running } = world;
  const metricsPort = await freePort();
  const env = {
    ...{ ROLE: 'all', PORT: new URL(api).port, METRICS_PORT: `${metricsPort}`, RECONCILE_EVERY: '1s' },
    ...neighbours(world),
  };
  const program = nodeProgram('service', 'service/main.js', env, settings.folder, `${api}/readyz`);
  running.set('service', await start(program));
}

/** What every program of ours is given there. */
export const environmentOf = (world: World): NodeJS.ProcessEnv => ({
  ...environment(process.env, ...NODE_READS),
  ...neighbours(world),
});

const neighbours = ({ databaseUrl, temporalAddress, gateway, settings }: World) => ({
  DATABASE_URL: databaseUrl,
  TEMPORAL_ADDRESS: temporalAddress,
  PAYMENTS_URL: gateway,
  STRIPE_API_KEY: API_KEY,
  AUDIT_KEY,
  // Not on the disk that is lost, nor in what is restored.
  ERASURE_JOURNAL: resolve(settings.folder, 'erasures.jsonl'),
  ERASURE_EVERY: '1s',
});

/** By the low-level API, and packed as base-backup.sh would leave it. */
export async function takeBase({ cluster, archive, base }: World): Promise<void> {
  const copy = join(archive, 'copy');
  await copyCluster({ admin: cluster.admin, from: cluster.data, to: copy, user: cluster.user, waitsForArchive: true });
  await run('tar', ['czf', base, '-C', copy, '.']);
  await run('rm', ['-rf', copy]);
}

/** The machine is gone: its processes at once, and its disk; the archive was elsewhere. */
export async function lose({ running, cluster, settings }: World): Promise<void> {
  const names = ['service', 'postgres', ...(settings.programs === undefined ? [] : (['temporal'] as const))] as const;
  for (const name of names) running.get(name)?.kill();
  for (const name of names) await running.get(name)?.exited;
  cluster.remove();
}

/** @param moment undefined = all that the archive has */
export async function restore(world: World, moment: Date | undefined): Promise<void> {
  const { archive, base, settings, cluster: before } = world;
  const cluster = await newCluster(join(settings.folder, 'restored.log'), {}, before.password);
  world.places.push(cluster.remove);
  const to = moment === undefined ? [] : [moment.toISOString().replace('T', ' ').replace('Z', '+00')];
  await run('/bin/sh', [join(SCRIPTS, 'restore.sh'), archive, base, cluster.data, ...to]);
  if (cluster.user !== undefined) {
    chownAll(cluster.data, cluster.user);
    chownSync(archive, cluster.user.uid, cluster.user.gid);
  }
  world.running.set('postgres', await start({ ...(await cluster.program()), isReady: () => isPrimary(cluster.admin) }));
  world.cluster = cluster;
  const url = new URL(world.databaseUrl);
  url.port = `${cluster.port}`;
  world.databaseUrl = url.href;
}

const isPrimary = (admin: string): Promise<boolean> =>
  ask<{ is: boolean }>(admin, 'SELECT NOT pg_is_in_recovery() AS is').then(
    ([row]) => row?.is === true,
    () => false,
  );

/** The operators' CLI, as they run it. @returns its document, and how it ended */
export async function ops(
  world: World,
  ...args: string[]
): Promise<{ code: number; document: Record<string, unknown> }> {
  const env = { ...environmentOf(world), OPS_OPERATOR: 'op-drill' };
  const command = [join(CHECKOUT, 'dist', 'ops', 'main.js'), ...args, '--output', 'json'];
  const options = { env, maxBuffer: 64 * 1024 * 1024 };
  const told = await run(process.execPath, command, options).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (err: { code?: number; stdout?: string; message: string }) => {
      if (!err.stdout) throw new Error(err.message);
      return { code: err.code ?? 1, stdout: err.stdout };
    },
  );
  return { code: told.code, document: JSON.parse(told.stdout) as Record<string, unknown> };
}

export async function stopWorld(world: World): Promise<void> {
  for (const name of ['service', 'temporal', 'gateway', 'postgres'] as const) {
    world.running.get(name)?.kill();
    await world.running.get(name)?.exited;
  }
  for (const remove of world.places) remove();
  if (existsSync(world.archive)) await run('rm', ['-rf', world.archive]);
}

const READY_LIMIT_MS = 120_000;
const nodeProgram = (name: string, script: string, env: NodeJS.ProcessEnv, folder: string, url: string): Program => ({
  name,
  command: process.execPath,
  args: [join(CHECKOUT, 'dist', script)],
  env: { ...environment(process.env, ...NODE_READS), ...env },
  cwd: CHECKOUT,
  logFile: join(folder, `${name}.log`),
  stopSignal: 'SIGTERM',
  isReady: async () => (await fetch(url, { signal: AbortSignal.timeout(3_000) }).catch(() => undefined))?.ok === true,
  readyLimitMs: READY_LIMIT_MS,
});
