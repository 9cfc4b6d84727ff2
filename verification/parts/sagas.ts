/** Orders and their sagas, each way: what Temporal's lists say of each order, and whether there is an order for each saga. */
import type { Client } from '@temporalio/client';
import { orderIdOf } from '../../contracts/ids.js';
import type { DatabaseClient } from '../../runtime/database.js';
import type { InvariantName } from '../invariants.js';
import type { LedgerSaga, LedgerStanding } from '../ledgers.js';
import { describeSagas, listClaimed, readRetentionMs, readSagas } from '../sources/sagas.js';
import { listUnknownOrders, readStandings } from '../sources/standings.js';
import { type Looked, lookTwice, ofOrders, type Part, type PartOptions, present } from './part.js';

/** A question to Temporal names each order of a page. */
const PAGE_MAX = 100;
/** Temporal forgets by a clock of its own, a while after the time. */
const SURELY_KEPT = 0.9;
/** Of sagas in one pass, newest first. */
const CLAIMED_MAX = 100_000;

const ENDED: InvariantName[] = ['I5 sagas have ended as their orders'];
const OPEN: InvariantName[] = ['I5 open orders have a saga', 'I14 nothing is stuck unseen'];

export const sagasPart: Part = {
  invariants: [...ENDED, ...OPEN],
  needs: 'temporal',
  async *looks({ db, temporal }, { names, pageSize, againAfterMs, openAtMostMs, results, ...span }) {
    const client = present(temporal);
    const limit = Math.min(pageSize, PAGE_MAX);
    const keptMs = SURELY_KEPT * (await readRetentionMs(client));
    const look = async (page: LedgerStanding[], read: typeof describeSagas) => {
      const known = page.filter(({ isFinal, quietForMs }) => !isFinal || keptMs === 0 || quietForMs < keptMs);
      return ledgersOf(page, known, await read(client, known), openAtMostMs);
    };
    for (let after: string | undefined; ; ) {
      const page = await readStandings(db, span, limit, after);
      const again = async (ids: string[]) => look(await readStandings(db, { ...span, ids }, limit), describeSagas);
      yield await lookTwice(
        names,
        await look(page, (of, orders) => readSagas(of, orders, results)),
        again,
        againAfterMs,
      );
      after = page.at(-1)?.id;
      if (page.length < limit) return;
    }
  },
};

/** The sagas of final orders must have ended; those of open ones must not. */
function ledgersOf(
  page: LedgerStanding[],
  known: LedgerStanding[],
  sagas: LedgerSaga[],
  openAtMostMs: PartOptions['openAtMostMs'],
): Looked[] {
  const final = known.filter(({ isFinal }) => isFinal);
  const ids = new Set(final.map(({ id }) => id));
  const ended = sagas.filter(({ workflowId }) => ids.has(orderIdOf(workflowId)));
  return [
    [ENDED, ofOrders({ orders: final, sagas: ended })],
    [OPEN, ofOrders({ standings: page, sagas, openAtMostMs })],
  ];
}

export const claimedPart: Part = {
  invariants: ['I5 sagas are of orders'],
  needs: 'temporal',
  isOfAll: true,
  async *looks({ db, temporal }, { names, pageSize, since }) {
    for await (const workflowIds of listClaimed(present<Client>(temporal), since, {
      page: pageSize,
      all: CLAIMED_MAX,
    })) {
      const look = async (): Promise<Looked[]> => [
        [names, ofOrders({ claimed: { workflowIds, unknown: await unknownOf(db, workflowIds) } })],
      ];
      yield await lookTwice(names, await look(), look);
    }
  },
};

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A saga that was started by hand may be called anything: then it is no order's. */
async function unknownOf(db: DatabaseClient, workflowIds: string[]): Promise<string[]> {
  const named = workflowIds.map(orderIdOf).filter((id) => UUID.test(id));
  const unknown = new Set(await listUnknownOrders(db, named));
  return workflowIds.filter((id) => !UUID.test(orderIdOf(id)) || unknown.has(orderIdOf(id)));
}
