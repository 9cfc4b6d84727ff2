/**
 * A limit on what a key store may cost whoever needs it: each call ends within its time, is tried twice, and while the store is away it is
 * asked by one call in a while only; all others fail at once, so that an order does not wait for what it can do without.
 */
import type { KeyEncryption } from '../../contracts/key-encryption.js';
import { KeyStoreError } from './errors.js';

/** Of a store that is away: pauses double. One that is back is noticed within ten seconds. */
const PAUSE_MS = { first: 1_000, longest: 10_000 };
const TRIES = 2;

export type KeyStoreCall = 'wrap' | 'unwrap';
export type KeyStoreObserver = {
  onCall?(call: KeyStoreCall, outcome: 'done' | 'away' | 'refused'): void;
  /** Told at each change. */
  onAway?(isAway: boolean, err?: unknown): void;
};

/**
 * @param timeoutMs of a call with all its tries
 * @param now       milliseconds of a clock that never jumps
 */
export function protectKeyStore(
  store: KeyEncryption,
  timeoutMs: number,
  observer: KeyStoreObserver = {},
  now: () => number = () => performance.now(),
): KeyEncryption {
  let isAway = false;
  let pauseMs = PAUSE_MS.first;
  let askAgainAt = 0;
  const setAway = (away: boolean, err?: unknown) => {
    if (away !== isAway) observer.onAway?.(away, err);
    isAway = away;
  };
  const refuseWhileAway = () => {
    if (!isAway) return;
    if (now() < askAgainAt)
      throw new KeyStoreError('The key store is away; it is not asked again before its next probe.', true);
    askAgainAt = now() + timeoutMs; // this call is the probe
  };
  const call = async <T>(name: KeyStoreCall, ask: () => Promise<T>): Promise<T> => {
    refuseWhileAway();
    const until = now() + timeoutMs;
    for (let tries = 1; ; tries++) {
      try {
        const answer = await within(ask(), until - now());
        observer.onCall?.(name, 'done');
        pauseMs = PAUSE_MS.first;
        setAway(false);
        return answer;
      } catch (err) {
        const isFinal = err instanceof KeyStoreError && !err.isAway;
        observer.onCall?.(name, isFinal ? 'refused' : 'away');
        if (isFinal) throw err; // it has answered; what it says of one key says nothing of others
        if (tries < TRIES && now() < until && !isAway) continue;
        askAgainAt = now() + pauseMs;
        pauseMs = Math.min(PAUSE_MS.longest, pauseMs * 2);
        setAway(true, err);
        throw err;
      }
    }
  };
  return {
    currentId: () => call('wrap', () => store.currentId()),
    wrap: (dataKey, context) => call('wrap', () => store.wrap(dataKey, context)),
    unwrap: (key, context) => call('unwrap', () => store.unwrap(key, context)),
  };
}

async function within<T>(asked: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new KeyStoreError('The key store does not answer in time.', true)),
      Math.max(0, ms),
    );
  });
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
