/** A standby: a copy of a cluster that follows it by streaming replication, and that can be promoted when the cluster is gone. */
import { appendFileSync, chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { start, type Running } from '../../local/processes/program.js';
import { copyCluster } from './base-copy.js';
import { ask, type Cluster, newCluster } from './cluster.js';

export type Standby = Cluster & {
  running: Running;
  /** Until it has received all that the primary had written when this was called. */
  caughtUp: (limitMs?: number) => Promise<void>;
  /** It is the primary from now on, for whoever is led to its port. */
  promote: () => Promise<void>;
};

const NAME = 'standby';
const CATCH_UP_LIMIT_MS = 30_000;
const PROMOTION_LIMIT_S = 60;
const POLL_MS = 50;

export type StandbyOptions = {
  logFile: string;
  /** A commit is acknowledged only once it is on the standby's disk; without one, none is. */
  isSynchronous: boolean;
  /** host:port by which it reaches the primary; a link that can be cut, else the primary itself. */
  through?: string;
  settings?: Record<string, string>;
};

/** @param primary runs */
export async function startStandby(primary: Cluster, options: StandbyOptions): Promise<Standby> {
  const { logFile, isSynchronous, through, settings } = options;
  const standby = await newCluster(logFile, settings, primary.password);
  await ask(
    primary.admin,
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1`,
    [NAME],
  );
  // Keeps the WAL from here on until the standby has it.
  await ask(primary.admin, 'SELECT pg_create_physical_replication_slot($1, immediately_reserve => true)', [NAME]);
  await copyCluster({ admin: primary.admin, from: primary.data, to: standby.data, user: standby.user });
  follow(standby, through ?? `127.0.0.1:${primary.port}`);
  const running = await start(await standby.program());
  const made: Standby = {
    ...standby,
    running,
    caughtUp: (limitMs = CATCH_UP_LIMIT_MS) => untilCaughtUp(primary.admin, standby.admin, limitMs),
    promote: async () => {
      const [row] = await ask<{ promoted: boolean }>(standby.admin, 'SELECT pg_promote(true, $1) AS promoted', [
        PROMOTION_LIMIT_S,
      ]);
      if (!row?.promoted) throw new Error(`the standby was not promoted within ${PROMOTION_LIMIT_S} s`);
    },
  };
  await made.caughtUp();
  if (isSynchronous) await setSynchronous(primary.admin);
  return made;
}

/** From now on commits wait for the standby. One that is promoted waits for none: the setting is the primary's own. */
async function setSynchronous(admin: string): Promise<void> {
  await ask(admin, `ALTER SYSTEM SET synchronous_standby_names = '${NAME}'`);
  await ask(admin, 'SELECT pg_reload_conf()');
  for (const deadline = performance.now() + CATCH_UP_LIMIT_MS; ; await sleep(POLL_MS)) {
    const rows = await ask<{ is: boolean }>(admin, "SELECT sync_state = 'sync' AS is FROM pg_stat_replication");
    if (rows.some(({ is }) => is)) return;
    if (performance.now() > deadline) throw new Error('the standby has not become a synchronous one');
  }
}

function follow({ data, password, user }: Cluster, primary: string): void {
  const { hostname, port } = new URL(`tcp://${primary}`);
  const conninfo = `host=${hostname} port=${port} user=postgres password=${password} application_name=${NAME}`;
  appendFileSync(
    join(data, 'postgresql.auto.conf'),
    `primary_conninfo = '${conninfo}'\nprimary_slot_name = '${NAME}'\nsynchronous_standby_names = ''\n`,
  );
  const signal = join(data, 'standby.signal');
  writeFileSync(signal, '', { mode: 0o600 });
  if (user !== undefined) chownSync(signal, user.uid, user.gid);
}

async function untilCaughtUp(primary: string, standby: string, limitMs: number): Promise<void> {
  const [written] = await ask<{ lsn: string }>(primary, 'SELECT pg_current_wal_flush_lsn()::text AS lsn');
  for (const deadline = performance.now() + limitMs; ; await sleep(POLL_MS)) {
    const [row] = await ask<{ has: boolean }>(
      standby,
      'SELECT coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) >= $1::pg_lsn, false) AS has',
      [written?.lsn],
    );
    if (row?.has) return;
    if (performance.now() > deadline) throw new Error(`the standby has not caught up within ${limitMs / 1000} s`);
  }
}
