/**
 * The installation's own key as one process has it, for what every order needs and no customer's key is there for yet: once read it is
 * kept for as long as the process lives, so that orders go on while the key store is away. A new version is looked for now and then.
 */
import type { DataKey, DataKeys } from './data-keys.js';
import { KeyUnavailable } from './errors.js';
import { INSTALLATION } from './port.js';

const LOOK_EVERY_MS = 60_000;
/** A version that others have made seals here after this time: by then each process has looked for it, and has it at hand when it meets it. */
const SEALS_AFTER_MS = 5 * LOOK_EVERY_MS;
/** An order that meets a key store that is away waits for it, the next ones do not. */
const ASKED_AGAIN_AFTER_MS = 1_000;

export type InstallationKey = {
  /** The version that seals now; the first is made here. @throws KeyUnavailable */
  newest(): Promise<DataKey>;
  /** @throws KeyUnavailable */
  ofVersion(version: number): Promise<DataKey>;
};

/** @param now milliseconds of a clock that never jumps */
export function keepInstallationKey(
  keys: Pick<DataKeys, 'newest' | 'ofVersion'>,
  now: () => number = () => performance.now(),
): InstallationKey {
  const known = new Map<number, DataKey>();
  let sealing: DataKey | undefined;
  let next: { key: DataKey; from: number } | undefined;
  let lookedAt = now();
  let missedUntil = Number.NEGATIVE_INFINITY;

  const look = async (): Promise<DataKey> => {
    lookedAt = now();
    const newest = await keys.newest(INSTALLATION);
    known.set(newest.version, newest);
    if (sealing && newest.version > (next?.key ?? sealing).version)
      next = { key: newest, from: now() + SEALS_AFTER_MS };
    sealing ??= newest;
    return sealing;
  };
  const asked = async (read: () => Promise<DataKey>): Promise<DataKey> => {
    if (now() < missedUntil) throw new KeyUnavailable('The key store has just not given the installation’s key');
    try {
      return await read();
    } catch (err) {
      missedUntil = now() + ASKED_AGAIN_AFTER_MS;
      throw err;
    }
  };
  return {
    newest: async () => {
      if (next && now() >= next.from) [sealing, next] = [next.key, undefined];
      if (!sealing) return asked(look);
      if (now() - lookedAt > LOOK_EVERY_MS) void look().catch(() => undefined); // the one at hand goes on
      return sealing;
    },
    ofVersion: async (version) => {
      const kept = known.get(version);
      if (kept) return kept;
      const read = await asked(() => keys.ofVersion(INSTALLATION, version));
      known.set(version, read);
      return read;
    },
  };
}
