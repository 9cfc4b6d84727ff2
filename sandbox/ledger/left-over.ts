/**
 * Retention: what a journal becomes when what is personal of its older part goes. Entries are in the order of time, so that the
 * older ones come first: instead of them stands each record as it was at their end, blanked, and the younger ones stay as they are.
 */
import { BLANKED } from './blanking.js';
import { Facts } from './facts.js';
import type { Entry } from './records.js';
import type { Rewriting } from './rewriting.js';

export class Blanking implements Rewriting {
  /** When the first entry was recorded that is kept whole; undefined = there is none. */
  oldestWhole: number | undefined;
  readonly #older = new Facts();

  constructor(private readonly before: number) {}

  *line(line: string): Generator<string> {
    if (this.oldestWhole === undefined) {
      const entry = JSON.parse(line) as Entry;
      if (entry.at < this.before) {
        this.#older.apply(entry);
        return;
      }
      this.oldestWhole = entry.at;
      yield* this.#left();
    }
    yield line;
  }

  *end(): Generator<string> {
    if (this.oldestWhole === undefined) yield* this.#left();
  }

  /** Of each of the older records a line, in their order. */
  *#left(): Generator<string> {
    const { intents, charges, refunds, disputes, customers } = this.#older;
    for (const [record, at] of intents.dated()) yield left({ at, intent: BLANKED.intent(record) });
    for (const [record, at] of charges.dated()) yield left({ at, charge: BLANKED.charge(record) });
    for (const [record, at] of refunds.dated()) yield left({ at, refund: BLANKED.refund(record) });
    for (const [record, at] of disputes.dated()) yield left({ at, dispute: BLANKED.dispute(record) });
    for (const [record, at] of customers.dated()) yield left({ at, customer: BLANKED.customer(record) });
  }
}

const left = (entry: Entry): string => JSON.stringify({ ...entry, blanked: true });
