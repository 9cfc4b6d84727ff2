/** Postgres on this machine: a cluster of our own, on the programs that npm carries. */
import { chownSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { sessionConfig } from '../../prisma/session.mjs';
import { commandLineOf } from '../processes/start-time.mjs';
import { runToEnd } from '../processes/command.js';
import { postgresPrograms } from './binaries.js';
import type { Program } from '../processes/program.js';
import { SetupError, say } from '../say.mjs';
import { ownerOf, type User } from '../processes/unprivileged.js';

export type ClusterOptions = {
  /** postgres-place.ts */
  place: string;
  user: User | undefined;
  port: number;
  logFile: string;
  /** Of the superuser `postgres`. */
  password: string;
  /** false: faster, and lost with the machine's power. */
  durable: boolean;
  /** By which its process is known as this installation's: services.ts. */
  signs?: NodeJS.ProcessEnv;
};

const HOST = '127.0.0.1';
const SUPERUSER = 'postgres';
/** After a crash Postgres first replays its log; that may take a while, and interrupting it gains nothing. */
const READY_LIMIT_MS = 60_000;

/** Makes the cluster if there is none yet, stops whatever an earlier launcher left running on it. @returns how to run it */
export async function preparePostgres(options: ClusterOptions): Promise<Program> {
  const { place, port, logFile } = options;
  const cluster = join(place, 'cluster');
  const user = ownerOf(cluster) ?? options.user;
  const programs = postgresPrograms(user, place);
  await stopLeftover(cluster);
  if (!existsSync(cluster)) await initialise({ ...options, user }, join(programs, 'initdb'), cluster);
  return {
    name: 'Postgres',
    command: join(programs, 'postgres'),
    args: ['-D', cluster, ...settings({ ...BASICS, ...(options.durable ? {} : THROWAWAY), port: `${port}` })],
    env: postgresEnv(options.signs),
    cwd: place,
    user,
    logFile,
    stopSignal: 'SIGINT', // "fast": ends sessions, then stops in order
    scratch: options.durable ? undefined : place,
    isReady: async () => postmaster(cluster)?.status === 'ready',
    readyLimitMs: READY_LIMIT_MS,
  };
}

export const adminUrl = ({ port, password }: ClusterOptions): string =>
  databaseUrl(port, SUPERUSER, password, 'postgres');

/** Makes the role, and its database, that our programs use: no superuser, so that a hole in them is not a hole in the cluster. */
export async function ensureDatabase(admin: string, name: string, password: string): Promise<string> {
  const client = new pg.Client(sessionConfig(admin));
  await client.connect();
  try {
    const id = client.escapeIdentifier(name);
    const { rowCount: role } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [name]);
    // CREATEDB: `npm run prisma -- migrate dev` replays the migrations in a database that it makes for that.
    if (role === 0) await client.query(`CREATE ROLE ${id} LOGIN CREATEDB PASSWORD ${client.escapeLiteral(password)}`);
    const { rowCount: database } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
    if (database === 0) await client.query(`CREATE DATABASE ${id} OWNER ${id}`);
  } finally {
    await client.end();
  }
  return databaseUrl(Number(new URL(admin).port), name, password, name);
}

export function databaseUrl(port: number, user: string, password: string, database: string): string {
  return `postgresql://${user}:${encodeURIComponent(password)}@${HOST}:${port}/${database}`;
}

const BASICS = {
  listen_addresses: HOST,
  unix_socket_directories: '', // their paths are shared by the machine, and have a length limit that checkouts exceed
  max_connections: '200',
  jit: 'off', // our statements take microseconds, compiling one takes milliseconds
  // Postgres would log the statement, and the values, of every refused INSERT: that is data, and may be personal. Of an error even
  // the first line quotes a value that is none of its type; our own logs have its SQLSTATE and constraint.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_statement: 'none',
  log_min_duration_statement: '-1',
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  log_checkpoints: 'off',
  log_timezone: 'UTC',
};
const THROWAWAY = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum: 'off' };

const settings = (values: Record<string, string>): string[] =>
  Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);

/** Nothing of ours: PGDATA, PGOPTIONS or a locale of the developer's shell would change what we start. */
const postgresEnv = (signs: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  LC_ALL: 'C',
  TZ: 'UTC',
  ...signs,
  ROLE: 'postgres',
});

/** In a folder of its own and then put in place: a cluster that was interrupted half-made would never start. */
async function initialise(
  { place, user, password, durable }: ClusterOptions,
  initdb: string,
  cluster: string,
): Promise<void> {
  const draft = `${cluster}.new`;
  rmSync(draft, { recursive: true, force: true });
  const passwordFile = join(place, 'password');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) chownSync(passwordFile, user.uid, user.gid);
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = [`--username=${SUPERUSER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  const args = ['-D', draft, ...locale, ...access, ...(durable ? [] : ['--no-sync'])];
  const { failure, output } = await runToEnd(initdb, args, { cwd: place, env: postgresEnv(), user });
  rmSync(passwordFile);
  if (failure !== undefined) {
    throw new SetupError(
      `No Postgres cluster could be made in ${place} (${failure}). ${output}\nSet DATABASE_URL to use a Postgres of yours.`,
    );
  }
  renameSync(draft, cluster);
}

type Postmaster = { pid: number; status: string | undefined };

/** What a running (or a killed) server says of itself. */
function postmaster(cluster: string): Postmaster | undefined {
  try {
    const lines = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), status: lines[7]?.trim() };
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw err;
  }
}

/** A launcher that was killed -9 leaves its server behind; a machine that was switched off leaves only the file. */
async function stopLeftover(cluster: string): Promise<void> {
  const left = postmaster(cluster);
  if (left === undefined) return;
  const isOurs = () => commandLineOf(left.pid)?.includes(`-D ${cluster}`) === true;
  if (isOurs()) {
    say(`Stopping the Postgres that an earlier run left behind (process ${left.pid}).`);
    process.kill(left.pid, 'SIGINT');
  }
  for (const deadline = performance.now() + READY_LIMIT_MS; isOurs(); await sleep(50)) {
    if (performance.now() > deadline) throw new SetupError(`Postgres (process ${left.pid}) does not stop. Kill it.`);
  }
  // The id may by now be another program's, and Postgres would take that one for itself and refuse to start.
  rmSync(join(cluster, 'postmaster.pid'), { force: true });
}
