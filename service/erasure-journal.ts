/**
 * No process may serve from a database that was restored to before an erasure: see domain/erasure-journal.ts. The journal is compared
 * with the database at the start, and whenever a new connection shows another state of the database than the one that was compared.
 *
 * A journal that is away stops nothing but erasures; with one exception. A start meets a state of the database that was never compared,
 * so a restore may lie in between: it waits for the journal. A process that runs goes on, since what it has met is a failover or a
 * restart of the server (a restore begins with stopping everything, docs/restores.md); it asks the journal until it answers.
 */
import type { Logger } from 'pino';
import { JOURNAL_START, type JournalEntry, type JournalNote } from '../contracts/erasure-journal.js';
import {
  aloneAtJournal,
  compareJournal,
  type Comparison,
  readIncarnation,
  wasCompared,
} from '../domain/erasure-journal.js';
import { countBelated, forgetNotes } from '../domain/erasure/belated-notes.js';
import { readCluster } from '../domain/installation.js';
import { type ErasureJournal, JournalSpoilt } from '../gateways/erasure-journal/journal.js';
import { openErasureJournal } from '../gateways/erasure-journal/open.js';
import { ConfigError } from '../runtime/config.js';
import type { DatabaseClient } from '../runtime/database.js';
import { openSmallPool } from '../runtime/small-pool.js';
import { type Statements, statementsOver } from '../runtime/statements.js';

const ASK_AGAIN_MS = 2_000;
/** As a wrong configuration ends a process. */
const MISCONFIGURED = 78;

type Settings = { readonly ERASURE_JOURNAL: string | undefined };

/** @returns undefined where none is configured, which the log says */
export function openJournal(config: Settings, db: DatabaseClient, logger: Logger): ErasureJournal | undefined {
  if (config.ERASURE_JOURNAL === undefined) {
    logger.warn(
      'ERASURE_JOURNAL is not set: a restore of the database would undo the erasures that came after its backup.',
    );
    return undefined;
  }
  // The present one: its file may have changed.
  const place = () => config.ERASURE_JOURNAL ?? '';
  return openErasureJournal(place, {
    alone: aloneAtJournal(db),
    openPool: (url) => openSmallPool(url, 'order-saga erasure journal'),
  });
}

/**
 * Compares at the start, before anything is served. Resolves at once where this very state of the database was compared before and the
 * journal is away; else it waits for it.
 * @throws ConfigError if the database does not know an erasure, if the journal is not what was written, or if one restore would take both back
 */
export async function requireErasures(db: DatabaseClient, journal: ErasureJournal, logger: Logger): Promise<void> {
  for (let isSaid = false; ; isSaid = true) {
    try {
      await refuseSameCluster(db, journal);
      const sentence = sentenceOf(await compareJournal(db, journal));
      if (sentence !== undefined) throw new ConfigError(sentence);
      await warnOfBelated(db, journal, logger);
      return;
    } catch (err) {
      if (err instanceof ConfigError) throw err;
      if (err instanceof JournalSpoilt) throw new ConfigError(spoiltSentence(err));
      if (await wasCompared(db)) {
        logger.error({ err }, 'the erasure journal is away: erasures wait. This database was compared with it before.');
        return;
      }
      if (!isSaid) logger.error({ err }, WAITS);
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  }
}

/** A journal that was set late, or is another one than before, has not what was done without it. */
async function warnOfBelated(db: DatabaseClient, journal: ErasureJournal, logger: Logger): Promise<void> {
  const isEmpty = (await journal.readAfter(JOURNAL_START, 1)).length === 0;
  const belated = await countBelated(db, isEmpty);
  if (belated === 0) return;
  logger.warn(
    { belated },
    'the erasure journal lacks erasures that were done without it: a worker writes them into it, before that a restore would undo them',
  );
  // A database that takes no changes just now has it done at the next start.
  if (isEmpty)
    await forgetNotes(db).catch((err: unknown) => logger.warn({ err }, 'they cannot be written into it yet'));
}

/** @returns what writes to it, and has the database know the entry: a journal that loses it is noticed */
export const noteIn =
  (journal: ErasureJournal, db: DatabaseClient) =>
  async (note: JournalNote): Promise<JournalEntry> => {
    const entry = await journal.append(note);
    await compareJournal(db, journal).catch(() => undefined);
    return entry;
  };

const WAITS =
  'the erasure journal or the database does not answer: this process waits, since it cannot tell whether this database was restored to before an erasure';

async function refuseSameCluster(db: DatabaseClient, journal: ErasureJournal): Promise<void> {
  const theirs = await journal.cluster();
  const ours = (await readCluster(db))?.split('/')[0];
  if (theirs === null || theirs !== ours) return;
  throw new ConfigError(
    'ERASURE_JOURNAL is in the same Postgres cluster as DATABASE_URL: a restore of it would take both back. Use another cluster, or a file.',
  );
}

/** What is to be asked over each new connection of a pool before it is used, and ends the process if an erasure is unknown. */
export type ErasureGuard = {
  ask: (connection: Parameters<typeof statementsOver>[0]) => Promise<void>;
  /** From here on; before it the start itself asks. */
  arm: (journal: ErasureJournal, db: DatabaseClient) => Promise<void>;
};

export function guardErasures(logger: Logger): ErasureGuard {
  let armed: { journal: ErasureJournal; db: DatabaseClient } | undefined;
  let compared: string | undefined;
  let isAsking = false;

  const compare = async (over: Statements, incarnation: string): Promise<void> => {
    if (armed === undefined) return;
    const sentence = await compareJournal(over, armed.journal).then(sentenceOf, (err: unknown) => {
      if (err instanceof JournalSpoilt) return spoiltSentence(err);
      throw err;
    });
    if (sentence !== undefined) {
      logger.fatal(sentence);
      process.exit(MISCONFIGURED);
    }
    compared = incarnation;
  };
  const askAgain = (): void => {
    if (isAsking) return;
    isAsking = true;
    setTimeout(async () => {
      isAsking = false;
      try {
        if (armed) await compare(armed.db, await readIncarnation(armed.db));
      } catch {
        askAgain(); // it does not answer yet
      }
    }, ASK_AGAIN_MS).unref();
  };
  return {
    arm: async (journal, db) => {
      armed = { journal, db };
      compared = await readIncarnation(db).catch(() => undefined);
    },
    ask: async (connection) => {
      if (armed === undefined) return;
      try {
        const over = statementsOver(connection, () => '');
        const present = await readIncarnation(over);
        if (present !== compared) await compare(over, present);
      } catch (err) {
        logger.warn(
          { err },
          'cannot tell yet whether the database knows all erasures: it is asked until it can be told',
        );
        askAgain();
      }
    },
  };
}

function sentenceOf({ unknown }: Comparison): string | undefined {
  const [first] = unknown as [JournalEntry?];
  if (first === undefined) return undefined;
  const count = new Set(unknown.map(({ customer }) => customer)).size;
  return (
    `This database was restored to before ${count === 1 ? 'an erasure' : `${count} erasures`} (the first was noted at ${first.at}): ` +
    'it has personal data again that was erased. Run `node dist/ops/main.js erasures --apply-journal`, then start again.'
  );
}

const spoiltSentence = (err: JournalSpoilt): string =>
  `ERASURE_JOURNAL: ${err.message}. Put the right journal there; if it is lost, \`node dist/ops/main.js erasures journal --renew\` writes another one from what this database knows.`;
