/** The erasure journal, as ERASURE_JOURNAL names it. */
import { aloneAtJournal } from '../../domain/erasure-journal.js';
import { type ErasureJournal, JournalAway, JournalSpoilt } from '../../gateways/erasure-journal/journal.js';
import { openErasureJournal } from '../../gateways/erasure-journal/open.js';
import { openSmallPool } from '../../runtime/small-pool.js';
import type { Ops } from '../command.js';
import { EXIT, OpsError, unavailable, usage } from '../exit.js';

/** @throws OpsError if none is set, if it is away, or if it is not what was written */
export async function withJournal<T>({ config, to }: Ops, work: (journal: ErasureJournal) => Promise<T>): Promise<T> {
  const place = config.ERASURE_JOURNAL;
  if (place === undefined)
    throw usage(
      'ERASURE_JOURNAL is not set here: set it as the service has it. Without a journal a restore undoes erasures.',
    );
  const journal = openErasureJournal(() => config.ERASURE_JOURNAL ?? place, {
    alone: aloneAtJournal(await to.database()),
    openPool: (url) => openSmallPool(url, 'order-saga ops erasure journal'),
  });
  try {
    return await work(journal);
  } catch (err) {
    if (err instanceof JournalAway) throw unavailable(sentence(err), err);
    if (err instanceof JournalSpoilt)
      throw new OpsError(
        `${sentence(err)} Put the right journal there; if it is lost: ops erasures journal --renew`,
        EXIT.failed,
        { cause: err },
      );
    throw err;
  } finally {
    await journal.close();
  }
}

const sentence = ({ message }: Error): string => `${message[0]?.toUpperCase()}${message.slice(1)}.`;
