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
/** Callers × routes of reads; those are people, and a token of the issuer's each. */
const READS_MAX = 200;
/** Orders and customers of one route that a caller's reads are on record with, each by itself, in a minute; further ones are counted together. */
const RESOURCES_MAX = 20;

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
  /** Resources with an entry of their own, by caller and route. */
  let named = new Map<string, number>();
  /** By status. */
  let together = new Map<string, Gathered>();
  let [ownRows, flushes] = [burst, 0];
  const take = (isLast: boolean): Gathered[] => {
    const isSlow = isLast || ++flushes % FLUSHES_PER_SLOW_ONE === 0;
    const taken = [...refused.values(), ...(isSlow ? [...reads.values(), ...together.values()] : [])];
    refused = new Map();
    if (isSlow) [reads, together, named] = [new Map(), new Map(), new Map()];
    ownRows = Math.min(burst, ownRows + (perMinute * FLUSH_EVERY_MS) / 60_000);
    return taken;
  };
  const flush = async (isLast = false) => {
    const calls = take(isLast);
    // Not kept for the next time: while the database is away they would only grow.
    await record(db, keys, calls).catch((err: unknown) =>
      logger.error({ err, entries: calls.length }, 'refused calls could not be audited'),
    );
  };
  const flushing = setInterval(() => void flush(), FLUSH_EVERY_MS);
  const count = (into: Map<string, Gathered>, key: string, call: Noted) => {
    const same = into.get(key);
    if (!same) return void into.set(key, { ...call, times: 1, firstAt: new Date() });
    same.times++;
    if (same.resource !== call.resource) same.resource = null;
  };
  /** Whose data was read is the point of it, so a person's reads are told apart; a program's are counted. */
  const keyOfRead = (caller: string, resource: string | null): string => {
    const own = `${caller} ${resource}`;
    const count = named.get(caller) ?? 0;
    if (reads.has(own)) return own;
    if (resource === null || count >= RESOURCES_MAX) return caller;
    named.set(caller, count + 1);
    return own;
  };
  return {
    note: (call) => {
      const { subject, route, status, source, kind } = call;
      const caller = JSON.stringify([subject, route, status, source]);
      const key = kind === 'read' ? keyOfRead(caller, call.resource) : caller;
      const [into, hasRoom] = kind === 'read' ? [reads, reads.size < READS_MAX] : [refused, ownRows >= 1];
      if (into.has(key) || hasRoom) {
        if (kind !== 'read' && !into.has(key)) ownRows--;
        return count(into, key, call);
      }
      count(together, `${kind} ${status}`, { ...call, ...NAMELESS });
    },
    stop: async () => {
      clearInterval(flushing);
      await flush(true);
    },
  };
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
