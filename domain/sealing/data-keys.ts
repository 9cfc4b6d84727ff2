/**
 * The data keys of customers, as one process has them: unwrapped once, and kept for a while, so that an order of a customer who has
 * ordered before costs neither a statement nor a call. A key that another process destroys is gone from here after `ttlMs` at the latest.
 */
import { randomBytes } from 'node:crypto';
import pLimit from 'p-limit';
import type { KeyEncryption } from '../../contracts/key-encryption.js';
import type { Statements } from '../database.js';
import { addCustomerKey, contextOf, type CustomerKey, readCustomerKeys } from './customer-keys.js';
import { KeyDestroyed, KeyUnavailable } from './errors.js';

/** AES-256. */
const KEY_BYTES = 32;
/** Each needs another process that has made the same version between two statements. */
const TRIES_MAX = 3;

/** A list of a thousand orders is of as many customers: their keys are not asked for all at once. */
const LOADS_AT_ONCE = 16;

export type DataKey = { version: number; key: Buffer };

export type DataKeys = {
  /** The customer's newest key; the first is made here. @throws KeyDestroyed, KeyUnavailable */
  newest(reference: string): Promise<DataKey>;
  /** The key of that version. @throws KeyDestroyed, KeyUnavailable; also if it is in no row */
  ofVersion(reference: string, version: number): Promise<DataKey>;
  /** Makes the next version, which seals from now on; those before go on opening. @throws KeyDestroyed, KeyUnavailable */
  renew(reference: string): Promise<DataKey>;
  /** Forgets a customer's keys: after they were destroyed. */
  forget(reference: string): void;
  /** Forgets all. */
  clear(): void;
};

export type KeyCacheLimits = {
  /** Customers whose keys are kept, the ones used last. */
  customersMax: number;
  ttlMs: number;
};

/** What is told to whoever counts; never a key, and never whose. */
export type KeyObserver = {
  onMake?(): void;
};

/** @param now milliseconds of a clock that never jumps */
export function createDataKeys(
  db: Statements,
  encryption: KeyEncryption,
  { customersMax, ttlMs }: KeyCacheLimits,
  observer: KeyObserver = {},
  now: () => number = () => performance.now(),
): DataKeys {
  const cache = createCache<Promise<DataKey>>({ entriesMax: customersMax, ttlMs, now });
  const inTurn = pLimit(LOADS_AT_ONCE);

  const unwrap = async (reference: string, { version, key }: CustomerKey): Promise<DataKey> => {
    if (key === undefined) throw new KeyDestroyed();
    try {
      const unwrapped = await encryption.unwrap(key, contextOf(reference, version));
      if (unwrapped.length !== KEY_BYTES) throw new Error(`A data key has ${unwrapped.length} bytes`);
      return { version, key: unwrapped };
    } catch (err) {
      throw unavailable(err);
    }
  };
  const make = async (reference: string, version: number): Promise<DataKey | undefined> => {
    const key = randomBytes(KEY_BYTES);
    const wrapped = await encryption.wrap(key, contextOf(reference, version)).catch((err: unknown) => {
      throw unavailable(err);
    });
    const isAdded = await addCustomerKey(db, { reference, version, key: wrapped }).catch(async (err: unknown) => {
      if (isDestroyed(await readCustomerKeys(db, reference))) throw new KeyDestroyed();
      throw err;
    });
    if (!isAdded) return undefined;
    observer.onMake?.();
    return { version, key };
  };
  const readNewest = async (reference: string): Promise<DataKey> => {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const [newest] = await readCustomerKeys(db, reference);
      if (newest) return unwrap(reference, newest);
      const made = await make(reference, 1);
      if (made) return made;
    }
    throw new KeyUnavailable('The key of this customer is made by several processes at once');
  };
  const readVersion = async (reference: string, version: number): Promise<DataKey> => {
    const keys = await readCustomerKeys(db, reference);
    if (isDestroyed(keys)) throw new KeyDestroyed();
    const found = keys.find((each) => each.version === version);
    if (!found)
      throw new KeyUnavailable(`There is no key of version ${version} of this customer: was a backup restored?`);
    return unwrap(reference, found);
  };

  return {
    newest: (reference) => cache.get(reference, NEWEST, () => inTurn(readNewest, reference)),
    ofVersion: async (reference, version) => {
      const newest = await cache.peek(reference, NEWEST)?.catch(() => undefined);
      if (newest?.version === version) return newest;
      return cache.get(reference, version, () => inTurn(readVersion, reference, version));
    },
    renew: async (reference) => {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const [newest] = await readCustomerKeys(db, reference);
        if (newest && newest.key === undefined) throw new KeyDestroyed();
        const made = await make(reference, (newest?.version ?? 0) + 1);
        cache.forget(reference);
        if (made) return made;
      }
      throw new KeyUnavailable('The key of this customer is renewed by several processes at once');
    },
    forget: cache.forget,
    clear: cache.clear,
  };
}

/** In the place of a version. */
const NEWEST = 0;
const isDestroyed = (keys: CustomerKey[]) => keys.some(({ key }) => key === undefined);
const unavailable = (cause: unknown): KeyUnavailable =>
  cause instanceof KeyUnavailable ? cause : new KeyUnavailable('The key store does not give this key', { cause });

/**
 * By customer, and of each by version. What is asked for by several at once is made once; what fails is not kept, but for what
 * will never be otherwise.
 */
function createCache<T extends Promise<unknown>>({
  entriesMax,
  ttlMs,
  now,
}: {
  entriesMax: number;
  ttlMs: number;
  now: () => number;
}) {
  const entries = new Map<string, { until: number; versions: Map<number, T> }>();
  const entryOf = (reference: string) => {
    const entry = entries.get(reference);
    if (entry && entry.until > now()) return entry;
    entries.delete(reference);
    return undefined;
  };
  return {
    peek: (reference: string, version: number): T | undefined => entryOf(reference)?.versions.get(version),
    get: (reference: string, version: number, make: () => T): T => {
      let entry = entryOf(reference);
      const kept = entry?.versions.get(version);
      if (kept) return kept;
      if (!entry) {
        entry = { until: now() + ttlMs, versions: new Map() };
        entries.set(reference, entry);
        // In the order in which they came: what is kept for a minute or so need not be kept in order of use.
        for (const oldest of entries.keys()) {
          if (entries.size <= entriesMax) break;
          entries.delete(oldest);
        }
      }
      const { versions } = entry;
      const made = make();
      versions.set(version, made);
      made.catch((err: unknown) => {
        if (!(err instanceof KeyDestroyed) && versions.get(version) === made) versions.delete(version);
      });
      return made;
    },
    forget: (reference: string): void => void entries.delete(reference),
    clear: (): void => entries.clear(),
  };
}
