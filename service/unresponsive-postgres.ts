/** A stop does not wait for a Postgres that does not answer: work under way then is found again, as after a crash. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { DatabaseClient } from '../runtime/database.js';
import { watchPostgres } from '../runtime/postgres-health.js';

const CHECK_EVERY_MS = 1_000;
/** In a row: a single one may only have waited for a connection. */
const UNANSWERED_MAX = 2;

/** Resolves when Postgres has not answered for a few seconds; never while it does. */
export async function whenPostgresIsUnresponsive(db: Pick<DatabaseClient, '$queryRaw'>, logger: Logger): Promise<void> {
  const read = watchPostgres(db);
  for (let unanswered = 0; unanswered < UNANSWERED_MAX; ) {
    unanswered = (await read()) === 'down' ? unanswered + 1 : 0;
    if (unanswered < UNANSWERED_MAX) await pause(CHECK_EVERY_MS, undefined, { ref: false });
  }
  logger.warn('Postgres does not answer: stopping without it');
}
