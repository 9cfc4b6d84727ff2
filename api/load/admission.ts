/**
 * Admission: while many sagas wait for their start, orders are accepted a few at a time, in the order of their arrival. API and
 * sagas may share a process, and always share Postgres: if all orders were accepted at once, the sagas of those accepted
 * would not get on. The others wait in memory, where they cost next to nothing, and count as requests in work (shedding).
 */
import pLimit from 'p-limit';
import { Problem } from '../http/problems.js';

/** @param isGone whether the client has closed the connection, so that nothing is to be done any more */
export type Admission = <T>(isGone: () => boolean, accept: () => Promise<T>) => Promise<T>;

/** The least that keeps Postgres busy while the next is encoded: two orders at a time are still five times the sagas' pace. */
const PARALLEL_WHILE_BEHIND = 2;
const UNLIMITED = Number.POSITIVE_INFINITY;

/** @param isBehind asked whenever an order comes or has been accepted: the limit ends with the first that finds few sagas waiting */
export function createAdmission(isBehind: () => boolean): Admission {
  const gate = pLimit(UNLIMITED);
  const adjust = () => {
    gate.concurrency = isBehind() ? PARALLEL_WHILE_BEHIND : UNLIMITED;
  };
  return async (isGone, accept) => {
    adjust();
    try {
      return await gate(() => {
        if (isGone()) throw new Problem('unavailable', 'The client hung up before its turn; nothing was done.');
        return accept();
      });
    } finally {
      adjust();
    }
  };
}
