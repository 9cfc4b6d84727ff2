/** What `doctor` asks about erasures: whether a restore would bring back who was erased, or has. */
import { compareJournal, readMark } from '../../domain/erasure-journal.js';
import { countBelated } from '../../domain/erasure/belated-notes.js';
import type { Ops } from '../command.js';
import { belatedSentence } from '../erasure-journal/command.js';
import { withJournal } from '../erasure-journal/open.js';
import { type Check, check, fail, type Finding, ok, warn } from './checks.js';

export const checkErasures = (ops: Ops): Promise<Check[]> =>
  Promise.all([check('erasure journal', () => askJournal(ops))]);

async function askJournal(ops: Ops): Promise<Finding> {
  if (ops.config.ERASURE_JOURNAL === undefined)
    return warn(
      'ERASURE_JOURNAL is not set: a restore of the database would undo the erasures that came after its backup',
    );
  const db = await ops.to.database();
  return withJournal(ops, async (journal) => {
    const mark = await readMark(db);
    const { unknown, read } = await compareJournal(db, journal);
    const persons = new Set(unknown.map(({ customer }) => customer)).size;
    const belated = await countBelated(db, mark.position + read === 0);
    if (persons === 0 && belated > 0) return warn(`${journal.where}: ${belatedSentence(belated)}`);
    return persons === 0
      ? ok(`${journal.where}: every erasure is known here, ${mark.position + read} entries`)
      : fail(
          `${persons} erased persons are here again, after a restore: ops erasures --apply-journal, before anything serves`,
        );
  });
}
