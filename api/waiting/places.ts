/**
 * Places: how many requests may be held open at a time, by the process, by one caller, and by one customer behind a service.
 * Counted in memory before anything is asked, so that a refused request costs next to nothing.
 */
import { ANONYMOUS, type Caller, confinedTo } from '../access/permissions.js';
import { Problem } from '../http/problems.js';

export type PlaceLimits = {
  perProcess: number;
  /** Of a caller with the role customer. */
  perCustomer: number;
  /** Of any other caller. Of its last half, each customer for whom it asks has at most `perCustomer`. */
  perService: number;
};

export const PLACES: PlaceLimits = { perProcess: 2_000, perCustomer: 32, perService: 512 };

export type Refusal = { by: 'process' | 'caller'; limit: number };
export type Place = {
  /** Counts it also for the customer for whom a service asks. @returns undefined unless that customer has too many */
  countFor(customerId: string): Refusal | undefined;
  /** Harmless if it has been given back. */
  giveBack(): void;
};

export type Places = { take(caller: Caller): Place | Refusal };

export const isRefused = (place: Place | Refusal): place is Refusal => 'by' in place;

export function createPlaces({ perProcess, perCustomer, perService }: PlaceLimits): Places {
  let taken = 0;
  const counts = createCounts();
  return {
    take: (caller) => {
      if (taken >= perProcess) return { by: 'process', limit: perProcess };
      const isCustomer = confinedTo(caller, 'read') !== undefined;
      const own = caller === ANONYMOUS ? undefined : `caller ${caller.subject}`; // without authentication none can be told apart
      const limit = isCustomer ? perCustomer : perService;
      if (own !== undefined && counts.of(own) >= limit) return { by: 'caller', limit };
      const keys = own === undefined ? [] : [own];
      for (const key of keys) counts.add(key, 1);
      taken++;
      let isTaken = true;
      return {
        countFor: (customerId) => {
          if (own === undefined || isCustomer) return undefined;
          const key = `customer ${JSON.stringify([caller.subject, customerId])}`;
          if (counts.of(own) > perService / 2 && counts.of(key) >= perCustomer)
            return { by: 'caller', limit: perCustomer };
          counts.add(key, 1);
          keys.push(key);
          return undefined;
        },
        giveBack: () => {
          if (isTaken) taken--;
          isTaken = false;
          for (const key of keys.splice(0)) counts.add(key, -1);
        },
      };
    },
  };
}

function createCounts() {
  const counts = new Map<string, number>();
  return {
    of: (key: string): number => counts.get(key) ?? 0,
    add: (key: string, more: number): void => {
      const count = (counts.get(key) ?? 0) + more;
      if (count > 0) counts.set(key, count);
      else counts.delete(key);
    },
  };
}

/** A place comes free when another request ends, whenever that is. */
const RETRY_AFTER_S = 5;

/** @param what e.g. `event streams` */
export function refusedPlace({ by, limit }: Refusal, what: string): Problem {
  const retryAfterS = RETRY_AFTER_S + Math.floor(Math.random() * RETRY_AFTER_S); // spread, or they all come back at once
  return by === 'process'
    ? new Problem('overloaded', `At most ${limit} ${what} are open here at a time.`, {}, { retryAfterS })
    : new Problem('too-many-requests', `At most ${limit} ${what} at a time; close one first.`, {}, { retryAfterS });
}
