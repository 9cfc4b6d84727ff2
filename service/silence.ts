/** A stop does not wait for a Postgres that says nothing: whatever is under way then is found again, as after a crash. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Prisma } from '../prisma/generated/client.js';
import { watchPostgres } from '../runtime/postgres-health.js';

const LOOK_EVERY_MS = 1_000;
/** In a row: one may only have had to wait its turn. */
const SILENT_TIMES = 2;

/** Resolves when Postgres has not answered for a few seconds; never while it does. */
export async function whenPostgresIsSilent(
  db: Pick<Prisma.TransactionClient, '$queryRaw'>,
  logger: Logger,
): Promise<void> {
  const read = watchPostgres(db);
  for (let silent = 0; silent < SILENT_TIMES; ) {
    silent = (await read()) === 'down' ? silent + 1 : 0;
    if (silent < SILENT_TIMES) await pause(LOOK_EVERY_MS, undefined, { ref: false });
  }
  logger.warn('Postgres does not answer: stopping without it');
}
