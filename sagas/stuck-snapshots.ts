/**
 * Snapshots of the stuck sagas, for those who page through them. Temporal lists a thousand at a time, and ten thousand take it seconds. So
 * a list that long is kept at hand while it is: whoever asks gets the one that is there, with when it was read, and the next is read
 * behind it. A list of ordinary length is read anew each time, once for all who ask meanwhile.
 */
import type { Client } from '@temporalio/client';
import { STUCK_QUERY } from '../contracts/saga.js';
import type { Database } from '../domain/database.js';
import { groupByFailure, type StuckGroup } from '../domain/stuck-sagas.js';
import { findInState, findStuck, type SagaTimeLimits, type StuckList } from './stuck.js';

/** One page of Temporal's. */
const ORDINARY_MAX = 1_000;
/** So old may be what is answered of a long list. */
const STALE_MAX_MS = 20_000;
/** So long the pages of one list are pages of the same snapshot. */
const PAGED_WITHIN_MS = 60_000;
/** A person can wait for the first of them; each request to Temporal is within it. */
const READ_LIMIT_MS = 20_000;

export type ListedState = 'NEEDS_ATTENTION' | 'COMPENSATING';
export type StuckSnapshot = StuckList & { groups: StuckGroup[]; at: Date };
export type StuckSnapshots = {
  /**
   * @param goesOn the pages before this one were of a snapshot that is to be paged on through
   * @param freshMs so old may be what is answered, also of a list of ordinary length; absent = it is read anew
   */
  read(state: ListedState, goesOn: boolean, freshMs?: number): Promise<StuckSnapshot>;
  /** Reads a long list before anybody asks. @returns whether there is one */
  keepAtHand(): Promise<boolean>;
};

export type Snapshotting = { db: Database; client: () => Client; policy: SagaTimeLimits; now?: () => number };

export function createStuckSnapshots({ db, client, policy, now = Date.now }: Snapshotting): StuckSnapshots {
  const known = new Map<ListedState, StuckSnapshot>();
  const reading = new Map<ListedState, Promise<StuckSnapshot>>();
  const readNow = async (state: ListedState): Promise<StuckSnapshot> => {
    const temporal = client();
    const { sagas, more } = await temporal.withDeadline(now() + READ_LIMIT_MS, () =>
      state === 'NEEDS_ATTENTION' ? findStuck(db, temporal, policy) : findInState(db, temporal, state),
    );
    const snapshot = { sagas, more, groups: groupByFailure(sagas), at: new Date(now()) };
    known.set(state, snapshot);
    return snapshot;
  };
  const readOnce = (state: ListedState): Promise<StuckSnapshot> => {
    const underWay = reading.get(state);
    if (underWay) return underWay;
    const read = readNow(state).finally(() => reading.delete(state));
    reading.set(state, read);
    return read;
  };
  return {
    read: async (state, goesOn, freshMs = 0) => {
      const last = known.get(state);
      const ageMs = last ? now() - last.at.getTime() : Number.POSITIVE_INFINITY;
      if (last && ((goesOn && ageMs < PAGED_WITHIN_MS) || ageMs < freshMs)) return last;
      if (!last || last.sagas.length <= ORDINARY_MAX || ageMs >= STALE_MAX_MS) return readOnce(state);
      readOnce(state).catch(() => undefined); // whoever waits for it is told
      return last;
    },
    keepAtHand: async () => {
      const temporal = client();
      const { count } = await temporal.withDeadline(now() + READ_LIMIT_MS, () => temporal.workflow.count(STUCK_QUERY));
      const isLong = count > ORDINARY_MAX;
      if (isLong) await readOnce('NEEDS_ATTENTION');
      // Held for nobody else: a list that is short is read anew, and pages of it are done with.
      else if (now() - (known.get('NEEDS_ATTENTION')?.at.getTime() ?? 0) > PAGED_WITHIN_MS)
        known.delete('NEEDS_ATTENTION');
      return isLong;
    },
  };
}
