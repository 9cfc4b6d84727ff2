/**
 * A base copy of a running cluster, by Postgres' low-level API: some distributions lack `pg_basebackup`, npm's among them. It becomes a
 * cluster of its own once the WAL from its beginning on is replayed: by a standby, or by a restore.
 * https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
 */
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { chownAll } from '../../local/postgres/binaries.js';
import type { User } from '../../local/processes/unprivileged.js';
import { sessionConfig } from '../../prisma/session.mjs';

export type CopyOptions = {
  /** A superuser's URL. */
  admin: string;
  /** Its data folder. */
  from: string;
  /** Must not be there. */
  to: string;
  /** Whose it is to be, where that is another user. */
  user: User | undefined;
  /** Until when the archive has all WAL that the copy needs; a standby takes it from the primary. */
  waitsForArchive?: boolean;
};

/** What belongs to the running server alone; of these folders the content, as Postgres' documentation lists them. */
const EMPTIED = new Set([
  ...['pg_wal', 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_stat_tmp', 'pg_subtrans'],
]);
const LEFT_OUT = /^(postmaster\.(pid|opts)|pg_internal\.init.*|pgsql_tmp.*|backup_label.*|.*\.signal)$/;

/** @returns the WAL's place at which the copy is consistent */
export async function copyCluster({ admin, from, to, user, waitsForArchive = false }: CopyOptions): Promise<string> {
  const client = new pg.Client(sessionConfig(admin));
  await client.connect();
  try {
    // In one session: if it ends, so does the backup. With a checkpoint at once, not when one is due.
    await client.query('SELECT pg_backup_start($1, fast => true)', ['copy']);
    copyFolder(from, to, true);
    const { rows } = await client.query<{ lsn: string; labelfile: string }>(
      'SELECT lsn::text, labelfile FROM pg_backup_stop(wait_for_archive => $1)',
      [waitsForArchive],
    );
    const [stopped] = rows;
    if (!stopped) throw new Error('pg_backup_stop gave no row');
    writeFileSync(join(to, 'backup_label'), stopped.labelfile, { mode: 0o600 });
    if (user !== undefined) chownAll(to, user);
    return stopped.lsn;
  } finally {
    await client.end();
  }
}

/** Files come and go meanwhile; what is torn the WAL makes whole. */
function copyFolder(from: string, to: string, isRoot: boolean): void {
  mkdirSync(to, { mode: 0o700 });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (LEFT_OUT.test(entry.name)) continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      if (isRoot && EMPTIED.has(entry.name)) mkdirSync(target, { mode: 0o700 });
      else copyFolder(source, target, false);
    } else copyIfThere(source, target);
  }
}

function copyIfThere(source: string, target: string): void {
  try {
    copyFileSync(source, target);
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw err;
  }
}
