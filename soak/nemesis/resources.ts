/** Faults of what all share: connections, rows, transactions, space on the disk. */
import { execFileSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import pg from 'pg';
import { sessionConfig } from '../../prisma/session.mjs';
import { SKUS } from '../plan/operations.js';
import type { Installation } from '../world/installation.js';
import { processTree } from '../world/process-tree.js';
import { CONNECTIONS_MAX } from '../world/programs.js';
import { until } from '../world/waiting.js';
import { type Begin, type Heal, nothingToHeal, whenPostgresAnswers } from './act.js';
import { partOf } from './processes.js';

/** More than it permits. */
const SESSIONS = 220;
const READY_LIMIT_MS = 120_000;

export const connections: Begin = (around, { target }) =>
  target === 'postgres' ? takeSessions(around) : takeSockets(around);

async function takeSessions({ direct }: Installation) {
  const taken: pg.Client[] = [];
  for (let n = 0; n < SESSIONS; n++) {
    const client = new pg.Client({ ...sessionConfig(direct.database), connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch {
      break; // that was the last one
    }
    taken.push(client);
  }
  return async () => void (await Promise.all(taken.map((client) => client.end().catch(() => undefined))));
}

/** Each has begun a request that it does not finish. */
async function takeSockets({ direct }: Installation) {
  const { hostname, port } = new URL(direct.api);
  const taken = Array.from({ length: CONNECTIONS_MAX * 2 }, (): Socket => {
    const socket = connect(Number(port), hostname, () => socket.write('POST /orders HTTP/1.1\r\nHost: localhost\r\n'));
    return socket.on('error', () => undefined).resume();
  });
  return async () => {
    for (const socket of taken) socket.destroy();
  };
}

/** Postgres then ends all its sessions, and replays its log. */
export const sessionKilled: Begin = async ({ pool }) => {
  const { rows } = await whenPostgresAnswers(() =>
    pool.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1`,
    ),
  );
  if (rows[0] === undefined) return undefined;
  process.kill(rows[0].pid, 'SIGKILL');
  return nothingToHeal;
};

const inTransaction = (around: Installation, statement: string): Promise<Heal> =>
  whenPostgresAnswers(async () => {
    const client = new pg.Client({ ...sessionConfig(around.direct.database), connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('BEGIN');
      await client.query(statement);
    } catch (err) {
      await client.end().catch(() => undefined);
      throw err;
    }
    return async () => client.end().catch(() => undefined);
  });

export const rowLocked: Begin = (around, { target }) =>
  inTransaction(
    around,
    target === 'order'
      ? 'SELECT FROM orders ORDER BY id DESC LIMIT 1 FOR UPDATE'
      : `SELECT FROM inventory WHERE sku = '${SKUS[5]}' FOR UPDATE`,
  );

/** It holds back the feed, whose order is that of the commits. */
export const openTransaction: Begin = (around) => inTransaction(around, 'SELECT pg_current_xact_id()');

/** Files may grow no further than this: most of what a server writes is behind it already. */
const FULL_BYTES = 65_536;

/** By a limit on the size of its files (EFBIG in place of ENOSPC), which needs no privileges; what it has preallocated it may fill. */
export const diskFull: Begin = async (around, { target }) => {
  const part = partOf(around, target);
  const limit = (bytes: string) => {
    for (const pid of processTree(part.pid() ?? 0)) setLimit(pid, bytes);
  };
  if (part.pid() === undefined) return undefined;
  part.mayEnd(true);
  limit(`${FULL_BYTES}:unlimited`);
  return async () => {
    if (part.pid() !== undefined) limit('unlimited:unlimited');
    await until(`${target} is ready with space again`, READY_LIMIT_MS, () => part.isReady());
    part.mayEnd(false);
  };
};

function setLimit(pid: number, bytes: string): void {
  try {
    execFileSync('prlimit', ['--pid', `${pid}`, `--fsize=${bytes}`], { stdio: 'ignore' });
  } catch {
    // It has ended meanwhile.
  }
}
