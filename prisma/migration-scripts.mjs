/**
 * How a migration's file is run, so that it never holds up the service for longer than it can bear. A lock that a migration waits for
 * makes everybody wait who comes after it, even for a lock that would not be in their way: one long reader, one ALTER TABLE, and the
 * table is shut. So a migration waits for a moment only, gives up, lets those behind it pass, and tries again.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** Shorter than a request waits for a lock (LOCK_LIMIT_MS of runtime/database), so that none fails behind a migration. */
export const LOCK_WAIT_MS = 1_000;
/** Whoever waited behind a try passes in between. */
const PAUSE_MS = { first: 500, max: 10_000 };
/** A report ends within minutes; a dump of a large database may not, and then the migration is for later. */
export const PATIENCE_MS = 10 * 60_000;

/** Lock not available; deadlock, in which Postgres has ended us instead of a request. */
const NOT_HAD = new Set(['55P03', '40P01']);
export const isLockNotHad = (err) => NOT_HAD.has(err?.code);

/** What Postgres waits for while it builds an index this way is in nobody's way; and it does so outside of transactions only. */
const CONCURRENTLY = /^\s*(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+|RE)INDEX\s+CONCURRENTLY\b/i;
const CREATED = /\bINDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:"([^"]+)"|(\w+))\s+ON\b/i;

/** Whether a script is of the kind that is no transaction. */
export const isConcurrent = (script) => CONCURRENTLY.test(withoutComments(script));

/** @returns the index that such a script creates; undefined = none */
export function indexThatIsCreated(script) {
  const created = CREATED.exec(withoutComments(script));
  return created?.[1] ?? created?.[2]?.toLowerCase();
}

const withoutComments = (sql) => sql.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/^\s*--.*$/gm, '');

/**
 * Runs a script whole: several statements are one transaction, so that a try that fails has changed nothing.
 * @param {import('pg').Client} client its session; its `lock_timeout` is unlimited afterwards
 * @param {string} script of which statements may set a `lock_timeout` of their own
 * @param {{ lockWaitMs?: number, patienceMs?: number, onRetry?: (tries: number) => void, signal?: AbortSignal }} [options]
 * `signal`: whoever runs it does not want to wait for its lock any longer
 * @throws the driver's error of the last try
 */
export async function runScript(client, script, options = {}) {
  const { lockWaitMs = LOCK_WAIT_MS, patienceMs = PATIENCE_MS, onRetry, signal } = options;
  if (isConcurrent(script)) return runConcurrently(client, script, indexThatIsCreated(script));
  const giveUpAt = Date.now() + patienceMs;
  for (let tries = 1, pauseMs = PAUSE_MS.first; ; tries++, pauseMs = Math.min(2 * pauseMs, PAUSE_MS.max)) {
    try {
      await client.query(`SET lock_timeout = ${lockWaitMs}`);
      return await client.query(script);
    } catch (err) {
      if (!isLockNotHad(err) || Date.now() + pauseMs > giveUpAt) throw err;
      onRetry?.(tries);
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal?.aborted) throw err;
    } finally {
      await client.query('SET lock_timeout = 0').catch(() => undefined); // of a session that has ended
    }
  }
}

/** An index that could not be finished stays, is kept up to date by every write, and answers no question: it goes. */
async function runConcurrently(client, script, name) {
  if (name !== undefined) await dropUnfinished(client, name);
  try {
    return await client.query(script);
  } catch (err) {
    if (name !== undefined) await dropUnfinished(client, name).catch(() => undefined); // the next run drops it
    throw err;
  }
}

async function dropUnfinished(client, name) {
  const { rows } = await client.query(
    `SELECT c.oid::regclass::text AS index FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE NOT i.indisvalid AND c.relname = $1 AND c.relnamespace = current_schema()::regnamespace`,
    [name],
  );
  for (const { index } of rows) await client.query(`DROP INDEX CONCURRENTLY ${index}`);
}
