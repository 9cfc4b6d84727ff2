/** No process may write an event while the feed's clock stands still: see domain/feed-clock.ts. */
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import { type FeedClock, feedClockLag, goAheadOn, readFeedClock, readStrangeTimeline } from '../domain/feed-clock.js';
import { ConfigError } from '../runtime/config.js';
import { type Statements, statementsOver } from '../runtime/statements.js';

const ASK_AGAIN_MS = 1_000;

/** What is to be asked over each new connection of a pool before it is used, and ends the process unless the clock is right. */
export type FeedClockGuard = {
  ask: (connection: Parameters<typeof statementsOver>[0]) => Promise<void>;
  /** From here on; before it the start itself asks. */
  arm: () => void;
};

/**
 * The server may be replaced under a process that runs: by a restore, by a standby that is promoted. Whatever it was, the process has
 * lost its connections, and each new one asks. One that cannot be asked is used all the same: what it is wanted for will fail. After a
 * promotion none is used before the clock stands ahead of what the standby may have lacked.
 */
export function guardFeedClock(logger: Logger): FeedClockGuard {
  let isArmed = false;
  let going: Promise<void> | undefined;
  return {
    arm: () => {
      isArmed = true;
    },
    ask: async (connection) => {
      if (!isArmed) return;
      const over = statementsOver(connection, () => '');
      const sentence = await readFeedClock(over).then(sentenceOf, () => undefined);
      if (sentence !== undefined) {
        logger.fatal(sentence);
        process.exit(MISCONFIGURED);
      }
      going ??= stayAhead(over, logger).finally(() => {
        going = undefined;
      });
      await going;
    },
  };
}

/** @throws if ids are to be used up, and cannot be: nothing may be written then */
async function stayAhead(db: Statements, logger: Logger): Promise<void> {
  const timeline = await readStrangeTimeline(db).catch((err: unknown) => {
    logger.warn({ err }, 'cannot tell whether a standby was promoted, or an earlier moment restored');
    return null;
  });
  if (timeline === null) return;
  logger.warn(
    { timeline },
    'Postgres writes on another timeline, as after a promotion: before anything else the feed’s clock goes ahead of what may be lost',
  );
  const { next } = await goAheadOn(db, timeline);
  logger.info({ timeline, next: `${next}` }, 'the feed’s clock stands ahead');
}

/** As a wrong configuration ends a process. */
const MISCONFIGURED = 78;

/**
 * Asks the database at the start. A database that does not answer stops no process from starting; it is asked until it does.
 * @throws ConfigError if the tables come from another cluster
 */
export async function requireFeedClock(db: Database, logger: Logger): Promise<void> {
  const mismatch = await mismatchSentence(db, logger).catch((err: unknown) => {
    logger.warn({ err }, 'the database does not answer: cannot tell yet whether the feed’s clock is its own');
    return 'unknown' as const;
  });
  if (mismatch === 'unknown') return void askUntilAnswered(db, logger);
  if (mismatch !== undefined) throw new ConfigError(mismatch);
}

function askUntilAnswered(db: Database, logger: Logger): void {
  const timer = setTimeout(async () => {
    try {
      const sentence = await mismatchSentence(db, logger);
      if (sentence === undefined) return;
      logger.fatal(sentence);
      process.exit(MISCONFIGURED);
    } catch {
      askUntilAnswered(db, logger); // it does not answer yet
    }
  }, ASK_AGAIN_MS);
  timer.unref();
}

async function mismatchSentence(db: Database, logger: Logger): Promise<string | undefined> {
  const sentence = sentenceOf(await readFeedClock(db));
  if (sentence === undefined) await stayAhead(db, logger);
  return sentence;
}

function sentenceOf(clock: FeedClock): string | undefined {
  const lag = feedClockLag(clock);
  if (lag === 0n) return undefined;
  return (
    `The feed's clock is ${lag} transaction ids behind what is stored: these tables were restored into another cluster, ` +
    'and new events would be skipped by everybody. Run `node dist/ops/main.js feed-clock --advance`, then start again.'
  );
}
