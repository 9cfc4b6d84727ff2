/** No process may write an event while the feed's clock stands still: see domain/feed-clock.ts. */
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import { feedClockLag, readFeedClock } from '../domain/feed-clock.js';
import { ConfigError } from '../runtime/config.js';

const ASK_AGAIN_MS = 1_000;

/**
 * Asks the database once, at the start: a restored cluster does not become another one later. A database that does not answer
 * stops no process from starting; it is asked until it does.
 * @throws ConfigError if the tables come from another cluster
 */
export async function requireFeedClock(db: Database, logger: Logger): Promise<void> {
  const mismatch = await mismatchSentence(db).catch((err: unknown) => {
    logger.warn({ err }, 'the database does not answer: cannot tell yet whether the feed’s clock is its own');
    return 'unknown' as const;
  });
  if (mismatch === 'unknown') return void askUntilAnswered(db, logger);
  if (mismatch !== undefined) throw new ConfigError(mismatch);
}

function askUntilAnswered(db: Database, logger: Logger): void {
  const timer = setTimeout(async () => {
    try {
      const sentence = await mismatchSentence(db);
      if (sentence === undefined) return;
      logger.fatal(sentence);
      process.exit(78); // as a wrong configuration does
    } catch {
      askUntilAnswered(db, logger); // it does not answer yet
    }
  }, ASK_AGAIN_MS);
  timer.unref();
}

async function mismatchSentence(db: Database): Promise<string | undefined> {
  const clock = await readFeedClock(db);
  const lag = feedClockLag(clock);
  if (lag === 0n) return undefined;
  return (
    `The feed's clock is ${lag} transaction ids behind what is stored: these tables were restored into another cluster, ` +
    'and new events would be skipped by everybody. Run `node dist/ops/main.js feed-clock --advance`, then start again.'
  );
}
