/**
 * Places: how many requests may be held open at a time, by the process, by one caller, and by one customer behind a service.
 * Counted in memory before anything is asked, so that a refused request costs next to nothing.
 */
import { ANONYMOUS, type Caller, confinedTo } from '../access/permissions.js';
import { Problem } from '../http/problems.js';

export type PlaceLimits = {
  perProcess: number;
  /** Of a caller with the role customer, and of each customer for whom a service asks. */
  perCustomer: number;
  /** Of any other caller. */
  perService: number;
};

export const PLACES: PlaceLimits = { perProcess: 2_000, perCustomer: 32, perService: 256 };

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
  const takenBy = new Map<string, number>();
  const count = (key: string, limit: number): Refusal | undefined => {
    const before = takenBy.get(key) ?? 0;
    if (before >= limit) return { by: 'caller', limit };
    takenBy.set(key, before + 1);
    return undefined;
  };
  const uncount = (key: string) => {
    const left = (takenBy.get(key) ?? 0) - 1;
    if (left > 0) takenBy.set(key, left);
    else takenBy.delete(key);
  };
  return {
    take: (caller) => {
      if (taken >= perProcess) return { by: 'process', limit: perProcess };
      const isCustomer = confinedTo(caller, 'read') !== undefined;
      const isKnown = caller !== ANONYMOUS; // without authentication no caller can be told from another
      const keys: string[] = [];
      const countUnder = (key: string, limit: number) => {
        const refusal = isKnown ? count(key, limit) : undefined;
        if (isKnown && !refusal) keys.push(key);
        return refusal;
      };
      const refusal = countUnder(`caller ${caller.subject}`, isCustomer ? perCustomer : perService);
      if (refusal) return refusal;
      taken++;
      let isTaken = true;
      return {
        countFor: (customerId) =>
          isCustomer ? undefined : countUnder(`customer ${JSON.stringify([caller.subject, customerId])}`, perCustomer),
        giveBack: () => {
          if (isTaken) taken--;
          isTaken = false;
          for (const key of keys.splice(0)) uncount(key);
        },
      };
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
