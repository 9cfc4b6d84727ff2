/**
 * What acts, or shows all of a person, asks first whether the database was restored to before an erasure: it ends then as the service's
 * processes do. What only looks goes on, since it is what one finds out with; so does what mends it (`erasures`, `after-restore`, `feed-clock`).
 */
import { compareJournal, wasCompared } from '../../domain/erasure-journal.js';
import { JournalAway, JournalSpoilt } from '../../gateways/erasure-journal/journal.js';
import type { Ops } from '../command.js';
import { EXIT, OpsError, unavailable } from '../exit.js';
import { withJournal } from './open.js';

/** @throws OpsError 78 if it has a person again who was erased, or the journal is not what was written; 69 if that cannot be told */
export async function requireErasuresKnown(ops: Ops): Promise<void> {
  if (ops.config.ERASURE_JOURNAL === undefined) return;
  const db = await ops.to.database();
  const persons = await withJournal(ops, async (journal) => {
    try {
      const { unknown } = await compareJournal(db, journal);
      return new Set(unknown.map(({ customer }) => customer)).size;
    } catch (err) {
      if (err instanceof JournalSpoilt)
        throw new OpsError(
          `ERASURE_JOURNAL: ${err.message}. Put the right journal there; if it is lost: ops erasures journal --renew. Nothing was done.`,
          EXIT.restored,
          { cause: err },
        );
      if (!(err instanceof JournalAway)) throw err;
      if (!(await wasCompared(db)))
        throw unavailable(
          `${err.message}, so that it cannot be told whether this database was restored to before an erasure. Nothing was done. Where you know that it was not: unset ERASURE_JOURNAL.`,
          err,
        );
      ops.out.notice('The erasure journal is away. This database was compared with it before.');
      return 0;
    }
  });
  if (persons > 0)
    throw new OpsError(
      `${persons} persons stand in this database who were erased: it was restored to before that. Nothing was done. First: ops erasures --apply-journal`,
      EXIT.restored,
    );
}
