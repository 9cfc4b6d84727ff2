/**
 * Partition leases: the partitions of each destination that this relay serves. A relay shows that it runs by renewing them;
 * one that stops renewing loses them after `leaseMs`, one that ends gives them back at once.
 */
import type { Logger } from 'pino';
import {
  createCursors,
  type LeasedCursor,
  listWithoutCursors,
  releaseLeases,
  renewLeases,
  wakeRelays,
} from '../domain/cursors.js';
import type { Database } from '../domain/database.js';
import { PARTITIONS } from '../domain/outbox.js';

/** `askedAtMs` = by `performance.now()`: what was saved before then is in the cursor, or the database has gone back. */
export type RenewedCursor = LeasedCursor & { askedAtMs: number };

export type PartitionLeases = {
  /** The leased partitions of a destination; none once the leases may have run out unnoticed. */
  leasedOf(destination: string): RenewedCursor[];
  /** Whether it is known by now what is leased, be it nothing: other relays may have leased every partition. */
  isKnown(): boolean;
  release(): Promise<void>;
};

export type PartitionLeaseOptions = {
  db: Database;
  destinations: string[];
  /** This relay process, unique per process life. */
  owner: string;
  leaseMs: number;
  /** Where a destination begins that no relay has served before: with the oldest event that is kept, or with this start. */
  begin: 'oldest' | 'now';
  logger: Logger;
};

/**
 * "Now" is so much before the relay's start. A transaction may write its event before the start and commit after it; ours
 * end after 4 s. And where the API is in the same process, it takes orders a moment before.
 */
const BEGIN_BEFORE_START_MS = 10_000;

/** @returns the leases, and what renews them: to be called about three times per lease, and whenever relays come or go */
export function createPartitionLeases({
  db,
  destinations,
  owner,
  leaseMs,
  begin,
  logger,
}: PartitionLeaseOptions): PartitionLeases & { renewOnce(): Promise<void> } {
  let leased: RenewedCursor[] = [];
  let validUntilMs = 0;
  let isKnown = false;
  // The database may be away at the start: what commits until it answers us is owed, too.
  const startedAtMs = performance.now();
  // Later on one that lacks them has lost them under this relay, which may have had them from elsewhere: it gets all that is kept.
  const makeCursors = async () => {
    const lacking = await listWithoutCursors(db, destinations);
    if (lacking.length === 0) return;
    const agoMs = performance.now() - startedAtMs + BEGIN_BEFORE_START_MS;
    const made = await createCursors(db, lacking, begin === 'now' && !isKnown ? { agoMs } : 'oldest');
    for (const { destination, again } of made) {
      if (again || isKnown) logger.warn({ destination }, 'a destination has lost its place: it gets all that is kept');
      else logger.info({ destination, begin }, 'a destination that is new begins');
    }
  };
  return {
    renewOnce: async () => {
      await makeCursors();
      // By our own clock, from before the question: the database's answer may be late.
      const askedAtMs = performance.now();
      const renewed = await renewLeases(db, { destinations, owner, leaseMs });
      leased = renewed.leased.map((cursor) => ({ ...cursor, askedAtMs }));
      validUntilMs = askedAtMs + leaseMs;
      const isNewcomer = !isKnown && leased.length < destinations.length * PARTITIONS;
      isKnown = true;
      // A relay that holds more than its share gives it back at its next renewal; one that holds less takes what was given back.
      if (isNewcomer || renewed.gaveBack) await wakeRelays(db);
    },
    leasedOf: (destination) =>
      performance.now() < validUntilMs ? leased.filter((cursor) => cursor.destination === destination) : [],
    isKnown: () => performance.now() < validUntilMs,
    release: async () => {
      leased = [];
      await releaseLeases(db, owner);
      await wakeRelays(db);
    },
  };
}
