/** Orders that are final, by what their rows in Postgres say. */
import { readOrders } from '../sources/orders.js';
import { lookTwice, type Part } from './part.js';

export const ordersPart: Part = {
  invariants: [
    'I1 lines add up',
    'I4 orders hold what they bought',
    'I4 orders hold what the plan says',
    'I5 one end',
    'I9 fed in order',
    'I10 exactly its events',
  ],
  async *looks({ db }, { names, pageSize, ...span }) {
    for (let after: string | undefined; ; ) {
      const page = await readOrders(db, span, pageSize, after);
      const again = async (ids: string[]) => [[names, await readOrders(db, { ...span, ids }, pageSize)] as const];
      yield await lookTwice(names, [[names, page]], again);
      after = page.orders.at(-1)?.id;
      if (page.orders.length < pageSize) return;
    }
  },
};
