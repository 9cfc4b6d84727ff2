/** What `doctor` asks Postgres: whether it takes changes, keeps what it says it has kept, and whose tables these are. */
import type { Database } from '../../domain/database.js';
import { feedClockLag, readFeedClock } from '../../domain/feed-clock.js';
import { readStage } from '../../domain/pseudonyms.js';
import { readPasses } from '../../domain/sealing/passes.js';
import { duration } from '../output.js';
import { type Check, check, fail, type Finding, ok, skipped, warn } from './checks.js';

/** Events and retries are ordered by other means; but what is dated in the future reads wrong, and deadlines come early. */
const SKEW_WARN_MS = 1_000;
const SKEW_FAIL_MS = 30_000;
/** Of max_connections: what is left is for whoever has to look at it. */
const CONNECTIONS_WARN = 0.85;

/** @param keyEncryption as this command has it */
export const checkPostgres = (db: Database, keyEncryption: string): Promise<Check[]> =>
  Promise.all([
    check('database', () => takesChanges(db)),
    check('database settings', () => readSettings(db)),
    check('database connections', () => countConnections(db)),
    check('clock of the database', () => compareClocks(db)),
    check('clock of the feed', () => readClockOfFeed(db)),
    check('references of customers', () => readReferences(db)),
    check('sealing of clients’ ids', () => readSealing(db, keyEncryption)),
    check('archive of the WAL', () => readArchive(db)),
  ]);

async function readReferences(db: Database): Promise<Finding> {
  const stage = await readStage(db);
  if (stage === 'plain')
    return warn('orders hold clients’ ids: when no process of the release before runs, ops pseudonyms --begin');
  return ok(stage === 'begun' ? 'begun; older orders are getting theirs' : 'in all orders');
}

async function readSealing(db: Database, keyEncryption: string): Promise<Finding> {
  const passes = await readPasses(db);
  if (passes.length === 0)
    return keyEncryption === 'off'
      ? ok('KEY_ENCRYPTION is off')
      : warn('clients’ ids are stored as they are: when every process has KEY_ENCRYPTION, ops keys seal --begin');
  if (keyEncryption === 'off')
    return warn('clients’ ids are sealed, and KEY_ENCRYPTION is off here: set it as the service has it');
  return ok(passes.every(({ doneAt }) => doneAt !== null) ? 'all are sealed' : 'begun; older ones are being sealed');
}

async function takesChanges(db: Database): Promise<Finding> {
  const [row] = await db.$queryRaw<
    { isStandby: boolean; isReadOnly: boolean; setBy: string; version: string; name: string }[]
  >`
    SELECT pg_is_in_recovery() AS "isStandby", current_setting('transaction_read_only') = 'on' AS "isReadOnly",
      (SELECT source FROM pg_settings WHERE pg_settings.name = 'default_transaction_read_only') AS "setBy",
      current_setting('server_version') AS version, current_database() AS name`;
  const { isStandby = false, isReadOnly = false, setBy = '', version, name } = row ?? {};
  if (isStandby)
    return fail(
      `Postgres ${version}, ${name}: a standby, which takes no changes: DATABASE_URL must lead to the primary`,
    );
  if (isReadOnly)
    return fail(
      `Postgres ${version}, ${name}: read-only, by default_transaction_read_only of ${SET_BY[setBy] ?? setBy}: no order is accepted, steps wait`,
    );
  return ok(`Postgres ${version}, ${name}, takes changes`);
}

/** Where a setting comes from, as whoever is to take it back has to know. */
const SET_BY: Record<string, string> = {
  client: 'whoever connects with this DATABASE_URL (its options, or PGOPTIONS)',
  user: 'the role (ALTER ROLE … SET)',
  database: 'the database (ALTER DATABASE … SET)',
  'database user': 'the role in this database (ALTER ROLE … IN DATABASE … SET)',
  'configuration file': 'the server (ALTER SYSTEM, postgresql.conf)',
  'command line': 'the server (its command line)',
};

/** What a crash of the server must not take away again. */
const DURABLE = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' } as const;

async function readSettings(db: Database): Promise<Finding> {
  const rows = await db.$queryRaw<{ name: string; setting: string }[]>`
    SELECT name, setting FROM pg_settings WHERE name = ANY(${Object.keys(DURABLE)})`;
  const values = new Map(rows.map(({ name, setting }) => [name, setting]));
  // `remote_apply` and the like keep more than `on` does.
  const weak = Object.keys(DURABLE).filter((name) => ['off', 'local'].includes(values.get(name) ?? ''));
  const shown = [...values].map(([name, setting]) => `${name}=${setting}`).join(', ');
  if (weak.length > 0)
    return fail(`${shown}: an order that was acknowledged may be lost by a crash (${weak.join(', ')})`);
  return ok(shown);
}

/** By the statistics of databases: pg_stat_activity conceals what other roles' sessions are, Temporal's for one. */
async function countConnections(db: Database): Promise<Finding> {
  const [row] = await db.$queryRaw<{ used: number; max: number }[]>`
    SELECT (SELECT coalesce(sum(numbackends), 0)::int FROM pg_stat_database WHERE datname IS NOT NULL) AS used,
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS max`;
  const { used = 0, max = 0 } = row ?? {};
  const detail = `${used} of ${max} in use`;
  return used >= CONNECTIONS_WARN * max ? warn(`${detail}: processes that start now may get none`) : ok(detail);
}

/** As this machine has it in the middle of the question. */
async function compareClocks(db: Database): Promise<Finding> {
  const asked = Date.now();
  const [row] = await db.$queryRaw<{ at: Date }[]>`SELECT clock_timestamp() AS at`;
  const answered = Date.now();
  const skewMs = (row?.at.getTime() ?? Number.NaN) - (asked + answered) / 2;
  return rateSkew('this machine', skewMs, (answered - asked) / 2);
}

/** @param uncertainMs by which the comparison may be wrong */
export function rateSkew(than: string, skewMs: number, uncertainMs: number): Finding {
  const shown = `${duration(Math.abs(skewMs))} ${skewMs < 0 ? 'behind' : 'ahead of'} ${than}`;
  const certainMs = Math.abs(skewMs) - uncertainMs;
  if (certainMs > SKEW_FAIL_MS) return fail(`${shown}: set one of them right (NTP)`);
  return certainMs > SKEW_WARN_MS ? warn(shown) : ok(shown);
}

async function readClockOfFeed(db: Database): Promise<Finding> {
  const lag = feedClockLag(await readFeedClock(db));
  return lag === 0n ? ok('ahead of all events') : fail(`${lag} behind its events: ops feed-clock --advance`);
}

/** Nothing that is newer than this can be restored. */
const ARCHIVE_FAIL_S = 300;

/** The archiver tries a segment again and again: the newest attempt says how it stands. What was written since may wait for its segment. */
async function readArchive(db: Database): Promise<Finding> {
  const [row] = await db.$queryRaw<ArchiveRow[]>`
    SELECT current_setting('archive_mode') <> 'off' AS "isOn", archived_count::int AS archived, failed_count::int AS failed, last_failed_wal AS "failedWal",
      coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS "isFailing",
      extract(epoch FROM now() - greatest(last_archived_time, stats_reset, pg_postmaster_start_time()))::int AS "agoS",
      (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout') AS "timeoutS",
      (SELECT count(*)::int FROM pg_stat_replication WHERE application_name = 'pg_receivewal') AS receivers
    FROM pg_stat_archiver`;
  return row ? rateArchive(row) : skipped('Postgres has no statistics of its archiver');
}

export type ArchiveRow = {
  isOn: boolean;
  archived: number;
  failed: number;
  failedWal: string | null;
  isFailing: boolean;
  /** Since a segment was archived, or since the server began. */
  agoS: number;
  /** 0 = a segment is archived once it is full. */
  timeoutS: number;
  receivers: number;
};

export function rateArchive({
  isOn,
  archived,
  failed,
  failedWal,
  isFailing,
  agoS,
  timeoutS,
  receivers,
}: ArchiveRow): Finding {
  if (!isOn)
    return receivers > 0
      ? ok(`streamed to ${receivers} pg_receivewal`)
      : skipped('archive_mode is off: only a base backup, or a standby, can be gone back to');
  const ago = duration(agoS * 1_000);
  if (isFailing)
    return fail(
      `${failedWal} cannot be archived (${failed} failures), the newest that was is ${ago} old: mend archive_command before the disk is full`,
    );
  if (timeoutS === 0) return warn('archive_timeout is 0: what is in a segment that is not full is lost with the disk');
  const isLate = agoS > Math.max(ARCHIVE_FAIL_S, 3 * timeoutS);
  if (isLate) return warn(`nothing was archived for ${ago}: nothing was written, or the archiver hangs`);
  return ok(`${archived} segments, the newest ${ago} ago, one at least every ${duration(timeoutS * 1_000)}`);
}
