/**
 * The installation's payload key, in all its versions, as one process has it: it is a data key like a customer's, of the reference that
 * nobody has, so that whatever wraps those anew wraps it too. Once read it is kept for as long as the process lives: a saga goes on
 * while the key store is away.
 */
import type { DataKeys } from '../../domain/sealing/data-keys.js';
import { INSTALLATION } from '../../domain/sealing/port.js';
import type { PayloadKey } from './format.js';

/** It cannot be had now: the key store or the database is away, or this process has not read it yet. */
export class PayloadKeyUnavailable extends Error {
  override name = 'PayloadKeyUnavailable';
}

export type PayloadKeys = {
  /** The key that encrypts now; undefined = it is not at hand yet. */
  current(): PayloadKey | undefined;
  /** The key of that version, if it is at hand: without a look anywhere. */
  atHand(version: number): PayloadKey | undefined;
  /** @throws PayloadKeyUnavailable, also if there is no such version */
  read(version: number): Promise<PayloadKey>;
  /** Reads the newest version; the first one is made here. A reader of before this would not. @throws PayloadKeyUnavailable */
  lookOnce(): Promise<void>;
};

/**
 * A version that others have made encrypts here only after this time, by when each process has looked for it, the one that has made it
 * has it in a backup, and a task that meets it costs no look. Longer than two looks and the time for which data keys are remembered.
 */
const ENCRYPTS_AFTER_MS = 5 * 60_000;
/** A list of sagas has hundreds of payloads: what cannot be had is not looked for anew for each. */
const ASKED_AGAIN_AFTER_MS = 1_000;
/** Versions that a process reads at its start, so that the older of its sagas need no look either. */
const READ_AHEAD_MAX = 8;

export function createPayloadKeys(
  keys: Pick<DataKeys, 'newest' | 'ofVersion'>,
  { encryptsAfterMs = ENCRYPTS_AFTER_MS, now = () => performance.now() } = {},
): PayloadKeys {
  const known = new Map<number, PayloadKey>();
  let encrypting: PayloadKey | undefined;
  let next: { key: PayloadKey; from: number } | undefined;
  let missed: { version: number; until: number } | undefined;

  const read = async (version: number): Promise<PayloadKey> => {
    if (missed?.version === version && now() < missed.until) throw unavailable(version);
    try {
      const key = await keys.ofVersion(INSTALLATION, version);
      known.set(version, key);
      return key;
    } catch (err) {
      missed = { version, until: now() + ASKED_AGAIN_AFTER_MS };
      throw unavailable(version, err);
    }
  };
  const current = () => {
    if (next && now() >= next.from) {
      encrypting = next.key;
      next = undefined;
    }
    return encrypting;
  };
  return {
    current,
    atHand: (version) => known.get(version),
    read,
    lookOnce: async () => {
      const newest = await keys.newest(INSTALLATION).catch((err: unknown) => {
        throw new PayloadKeyUnavailable('The payload key cannot be had', { cause: err });
      });
      known.set(newest.version, newest);
      if (encrypting === undefined) {
        encrypting = newest;
        const oldest = Math.max(1, newest.version - READ_AHEAD_MAX);
        // One that cannot be had now is looked for again when it is met.
        for (let version = newest.version - 1; version >= oldest; version--) await read(version).catch(() => undefined);
      } else if (newest.version > (next?.key ?? encrypting).version)
        next = { key: newest, from: now() + encryptsAfterMs };
    },
  };
}

const unavailable = (version: number, cause?: unknown): PayloadKeyUnavailable =>
  new PayloadKeyUnavailable(`The payload key of version ${version} cannot be had`, { cause });
