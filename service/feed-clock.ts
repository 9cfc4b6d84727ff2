/** No process may write an event while the feed's clock stands still: see domain/feed-clock.ts. */
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import { type FeedClock, feedClockLag, readFeedClock, readFeedClockOver } from '../domain/feed-clock.js';
import { ConfigError } from '../runtime/config.js';

const ASK_AGAIN_MS = 1_000;

/** What is to be asked over each new connection of a pool before it is used, and ends the process unless the clock is right. */
export type FeedClockGuard = {
  ask: (connection: Parameters<typeof readFeedClockOver>[0]) => Promise<void>;
  /** From here on; before it the start itself asks. */
  arm: () => void;
};

/**
 * The server may be replaced under a process that runs: by a restore, by a standby that is promoted. Whatever it was, the process has
 * lost its connections, and each new one asks. One that cannot be asked is used all the same: what it is wanted for will fail.
 */
export function guardFeedClock(logger: Logger): FeedClockGuard {
  let isArmed = false;
  return {
    arm: () => {
      isArmed = true;
    },
    ask: async (connection) => {
      if (!isArmed) return;
      const sentence = await readFeedClockOver(connection).then(sentenceOf, () => undefined);
      if (sentence === undefined) return;
      logger.fatal(sentence);
      process.exit(MISCONFIGURED);
    },
  };
}

/** As a wrong configuration ends a process. */
const MISCONFIGURED = 78;

/**
 * Asks the database at the start. A database that does not answer stops no process from starting; it is asked until it does.
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
      process.exit(MISCONFIGURED);
    } catch {
      askUntilAnswered(db, logger); // it does not answer yet
    }
  }, ASK_AGAIN_MS);
  timer.unref();
}

const mismatchSentence = async (db: Database): Promise<string | undefined> => sentenceOf(await readFeedClock(db));

function sentenceOf(clock: FeedClock): string | undefined {
  const lag = feedClockLag(clock);
  if (lag === 0n) return undefined;
  return (
    `The feed's clock is ${lag} transaction ids behind what is stored: these tables were restored into another cluster, ` +
    'and new events would be skipped by everybody. Run `node dist/ops/main.js feed-clock --advance`, then start again.'
  );
}
