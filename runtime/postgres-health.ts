/**
 * The health of Postgres for a role that needs it. Whether it can be written to is found without writing, and cached for a
 * second, so that no number of probes burdens it.
 */
import { createCachedRead } from './cached-read.js';
import type { DatabaseClient } from './database.js';

const FRESH_MS = 1_000;
/** A healthy server answers in a millisecond; a request that waits longer for a connection would be answered too late. */
const LIMIT_MS = 1_000;

export type PostgresHealth = 'up' | 'read-only' | 'down';

/** @returns how it stands: `read-only` = it answers, but takes no changes (a standby, or set so by an operator) */
export function watchPostgres(db: Pick<DatabaseClient, '$queryRaw'>): () => Promise<PostgresHealth> {
  return createCachedRead<PostgresHealth>({
    freshMs: FRESH_MS,
    limitMs: LIMIT_MS,
    read: async () => {
      const [row] = await db.$queryRaw<{ isWritable: boolean }[]>`
        SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' AS "isWritable"`;
      return row?.isWritable ? 'up' : 'read-only';
    },
    otherwise: () => 'down',
  });
}
