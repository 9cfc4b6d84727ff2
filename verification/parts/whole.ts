/** What is not an order's: stock, the keys under which callers were answered, and how far destinations have been served. */
import { readCursors } from '../sources/cursors.js';
import { type KeyPlace, readKeys } from '../sources/keys.js';
import { readStock } from '../sources/stock.js';
import { type Looked, lookTwice, ofOrders, type Part } from './part.js';

export const stockPart: Part = {
  invariants: ['I2 stock is conserved'],
  isOfAll: true,
  async *looks({ db }, { names }) {
    const look = async (): Promise<Looked[]> => [[names, ofOrders(await readStock(db))]];
    yield await lookTwice(names, await look(), look);
  },
};

export const keysPart: Part = {
  invariants: ['I7 what was answered is there'],
  isOfAll: true,
  async *looks({ db }, { names, pageSize }) {
    for (let after: KeyPlace | undefined; ; ) {
      const from = after;
      const look = () => readKeys(db, pageSize, from);
      const { keys, last } = await look();
      const again = async (): Promise<Looked[]> => [[names, ofOrders({ keys: (await look()).keys })]];
      yield await lookTwice(names, [[names, ofOrders({ keys })]], again);
      if (last === undefined) return;
      after = last;
    }
  },
};

export const cursorsPart: Part = {
  invariants: ['I8 destinations are served'],
  isOfAll: true,
  async *looks({ db }, { names, againAfterMs }) {
    const look = async (): Promise<Looked[]> => [[names, ofOrders({ cursors: await readCursors(db) })]];
    // When everything starts anew, the relays take their leases while this looks already.
    yield await lookTwice(names, await look(), look, againAfterMs);
  },
};
