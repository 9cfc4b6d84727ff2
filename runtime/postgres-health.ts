/**
 * How Postgres stands for a role that needs it. Whether it can be written to is judged without writing, and cached for a
 * second, so that no number of probes costs it anything.
 */
import type { Prisma } from '../prisma/generated/client.js';
import { createCachedRead } from './cached-read.js';

const FRESH_MS = 1_000;
/** A healthy server answers in a millisecond; what waits longer for a connection would serve nobody in time. */
const LIMIT_MS = 1_000;

export type PostgresHealth = 'up' | 'read-only' | 'down';

/** @returns how it stands: `read-only` = it answers, but takes no changes (a standby, or made so by somebody) */
export function watchPostgres(db: Pick<Prisma.TransactionClient, '$queryRaw'>): () => Promise<PostgresHealth> {
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
