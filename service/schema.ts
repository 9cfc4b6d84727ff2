/**
 * No role begins on a schema that is older than this build: its statements would fail one by one, and its sagas would park for it.
 * The process lives and is not ready meanwhile, and begins when the schema is there; so nothing is restarted, in whichever order a
 * deploy starts things.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Statements } from '../domain/database.js';
import { missingMigrations } from '../domain/schema.js';
import type { Health } from '../runtime/health.js';

const ASK_AGAIN_MS = 1_000;
const TELL_AGAIN_MS = 60_000;

/** The migrations of the sources that this was built from. */
const readNeeded = (): string[] =>
  JSON.parse(readFileSync(new URL('../prisma/migrations.json', import.meta.url), 'utf8'));

/**
 * Waits for the schema. A database that does not answer stops no process from starting, since orders of a client may be answered
 * 503; it is asked until it does, and if its schema is too old then, the process ends, to wait at its next start.
 * @param roles of this process, which are not ready meanwhile
 */
export async function requireSchema(
  db: Statements,
  { health, roles, logger }: { health: Health; roles: readonly string[]; logger: Logger },
): Promise<void> {
  const needed = readNeeded();
  let [missing, toldAt] = [await firstMissing(db, needed), 0];
  if (missing === 'unknown') return void endOnceTooOld(db, needed, logger);
  if (missing === undefined) return;
  const readiness = () => ({
    ready: false,
    ...(missing === undefined ? { starting: true } : { missingMigration: missing }),
  });
  for (const role of roles) health.add(role, async () => readiness());
  const allowStop = stopWhileWaiting(logger);
  while (missing !== undefined) {
    if (performance.now() > toldAt) {
      logger.warn({ missingMigration: missing }, sentence(missing));
      toldAt = performance.now() + TELL_AGAIN_MS;
    }
    await pause(ASK_AGAIN_MS);
    const now = await firstMissing(db, needed);
    if (now !== 'unknown') missing = now;
  }
  allowStop();
  logger.info('the schema is there: starting');
}

const sentence = (missing: string): string =>
  `The database lacks the migration ${missing}, which this build needs: run \`prisma/cli.mjs migrate deploy\` of this release. ` +
  'Nothing is begun before that, and everything after it by itself.';

const firstMissing = (db: Statements, needed: string[]): Promise<string | undefined> =>
  missingMigrations(db, needed).then(
    ([first]) => first,
    () => 'unknown',
  );

function endOnceTooOld(db: Statements, needed: string[], logger: Logger): void {
  const timer = setTimeout(async () => {
    const missing = await firstMissing(db, needed);
    if (missing === undefined) return;
    if (missing === 'unknown') return endOnceTooOld(db, needed, logger);
    logger.fatal({ missingMigration: missing }, sentence(missing));
    process.exit(78); // as a wrong configuration does
  }, ASK_AGAIN_MS);
  timer.unref();
}

/** There is nothing to stop in order yet; but the first process of a container is ended by no signal that it does not listen to. */
function stopWhileWaiting(logger: Logger): () => void {
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  const leave = (signal: NodeJS.Signals) => {
    logger.info({ signal }, 'stopping');
    process.exit(0);
  };
  for (const signal of signals) process.on(signal, leave);
  return () => {
    for (const signal of signals) process.off(signal, leave);
  };
}
