/**
 * Gathers audited calls that nobody waits for, refused ones and reads, and writes them in batches. **Whatever strangers do, they
 * cost a bounded number of rows**: refused calls of one caller at one route share one, and only so many callers and routes a minute have
 * one of their own; the others are counted together, by their status. A crash loses those of the last seconds.
 */
import type { Logger } from 'pino';
import { type AuditedCall, recordCalls } from '../../domain/audit/calls.js';
import type { AuditKeys } from '../../domain/audit/signatures.js';
import { auditedCustomer, identityKeyOf } from '../../domain/customers.js';
import type { Database } from '../../domain/database.js';

/** After which a refused call is on record. */
const FLUSH_EVERY_MS = 5_000;
/** Reads by the same caller of the same route, in which nothing is urgent, and what is counted together: one row in a minute. */
const FLUSHES_PER_SLOW_ONE = 12;
/** Refused callers × routes that have a row of their own: so many at once, and so many more each minute. A row has some 0.5 KB. */
const OWN_ROWS = { burst: 60, perMinute: 12 };
/** Reads that wait to be written: with so many, they are written at once. */
const READS_MAX = 1_000;
/**
 * Entries of one caller's reads in a minute, by subject. Orders and customers have one each, some answers a hundred; after those, reads are
 * counted by route, then all together. So whoever reads a lot is less precise on record for it, never nameless, and nobody else is.
 */
const OF_CALLER = { named: 500, routes: 50 };

/** `isCustomer`: by the subject a person is known, which is written as a keyed hash. */
type Noted = Omit<AuditedCall, 'times' | 'firstAt'> & { isCustomer?: boolean };
export type Gathered = Noted & { times: number; firstAt: Date };
export type CallGatherer = {
  note(call: Noted): void;
  /** Resolves when what was gathered is written. */
  stop(): Promise<void>;
};

export function createCallGatherer(
  { db, keys, logger }: { db: Database; keys: AuditKeys; logger: Logger },
  { burst, perMinute } = OWN_ROWS,
): CallGatherer {
  let refused = new Map<string, Gathered>();
  let reads = new Map<string, Gathered>();
  /** Entries that the reads of each caller have had in this minute, also those that are written. */
  let ofCaller = new Map<string | null, number>();
  /** By status. */
  let together = new Map<string, Gathered>();
  let [ownRows, flushes] = [burst, 0];
  const takeReads = (): Gathered[] => {
    const taken = [...reads.values()];
    reads = new Map();
    return taken;
  };
  const take = (isLast: boolean): Gathered[] => {
    const isSlow = isLast || ++flushes % FLUSHES_PER_SLOW_ONE === 0;
    const taken = [...refused.values(), ...(isSlow ? [...takeReads(), ...together.values()] : [])];
    refused = new Map();
    if (isSlow) [together, ofCaller] = [new Map(), new Map()];
    ownRows = Math.min(burst, ownRows + (perMinute * FLUSH_EVERY_MS) / 60_000);
    return taken;
  };
  let writing: Promise<void> = Promise.resolve();
  const write = (calls: Gathered[]): Promise<void> => {
    // Not kept for the next time: while the database is away they would only grow.
    writing = writing.then(() =>
      record(db, keys, calls).catch((err: unknown) =>
        logger.error({ err, entries: calls.length }, 'audited calls could not be written'),
      ),
    );
    return writing;
  };
  const flushing = setInterval(() => void write(take(false)), FLUSH_EVERY_MS);
  const noteRead = (call: Noted) => {
    const had = ofCaller.get(call.subject) ?? 0;
    const [key, entry] = entryOfRead(call, had, (key) => reads.has(key));
    if (!reads.has(key)) ofCaller.set(call.subject, had + 1);
    count(reads, key, entry);
    if (reads.size >= READS_MAX) void write(takeReads());
  };
  return {
    note: (call) => {
      if (call.kind === 'read') return noteRead(call);
      const { subject, route, status, source } = call;
      const caller = JSON.stringify([subject, route, status, source]);
      if (refused.has(caller)) return count(refused, caller, call);
      if (ownRows < 1) return count(together, `${call.kind} ${status}`, { ...call, ...NAMELESS });
      ownRows--;
      count(refused, caller, call);
    },
    stop: async () => {
      clearInterval(flushing);
      await write(take(true));
    },
  };
}

function count(into: Map<string, Gathered>, key: string, call: Noted): void {
  const same = into.get(key);
  if (!same) return void into.set(key, { ...call, times: 1, firstAt: new Date() });
  same.times++;
  if (same.resource !== call.resource) same.resource = null;
}

/**
 * Whose data was read is the point of it, so a person's reads are told apart; where nothing was found, nobody's was.
 * @returns the entry that a read is part of, and its key
 */
function entryOfRead(call: Noted, had: number, isThere: (key: string) => boolean): [string, Noted] {
  const { subject, route, status, source, resource } = call;
  const ofRoute = JSON.stringify([subject, route, status, source]);
  const own = `${ofRoute} ${resource}`;
  if (resource !== null && status !== 404 && (isThere(own) || had < OF_CALLER.named)) return [own, call];
  if (isThere(ofRoute) || had < OF_CALLER.named + OF_CALLER.routes) return [ofRoute, { ...call, resource: null }];
  return [JSON.stringify([subject, status]), { ...call, ...NAMELESS, subject }];
}

async function record(db: Database, keys: AuditKeys, calls: Gathered[]): Promise<void> {
  if (calls.length === 0) return;
  const identity = await identityKeyOf(db);
  const named = calls.map(({ isCustomer, ...call }): AuditedCall => {
    const { subject } = call;
    return isCustomer && subject !== null ? { ...call, subject: auditedCustomer(identity, subject) } : call;
  });
  await recordCalls(db, keys, named);
}

/** Of many callers at many routes. */
const NAMELESS = { subject: null, source: null, resource: null, route: '(several)' };
