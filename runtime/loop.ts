/**
 * The dumb loop around a `xOnce()`: runs it, waits, runs it again. Woken early by `wake()`; slower, with jitter, while it
 * fails. All knowledge of the work is in the function that it is given.
 */
import type { Logger } from 'pino';

export type Loop = {
  /** Runs the work now, or once more if it is running. */
  wake(): void;
  /** Resolves when the running work, if any, has ended. */
  stop(): Promise<void>;
};

export type LoopOptions = {
  name: string;
  /** Pause between two runs without a `wake()`. */
  everyMs: number;
  /** Longest pause after failures; the first one is `everyMs`, then doubling. */
  backoffMaxMs: number;
  /** How long it lets further wake-ups come in after one, so that a burst is one run. Default 0. */
  lingerMs?: number;
  logger: Logger;
};

/** @param once does the work; returns `true` to be run again at once because there is more */
export function startLoop(options: LoopOptions, once: () => Promise<boolean>): Loop {
  const { name, everyMs, backoffMaxMs, lingerMs = 0, logger } = options;
  let stopped = false;
  let woken = false;
  let lingering = false;
  let failures = 0;
  let endPause: () => void = () => undefined;

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const run = async () => {
    while (!stopped) {
      woken = false;
      let more = false;
      try {
        more = await once();
        failures = 0;
      } catch (err) {
        failures++;
        // The 1st, 2nd, 4th, 8th … time: an outage must be seen, but not fill the log.
        if (Number.isInteger(Math.log2(failures))) logger.warn({ err, failures }, `${name} failed; trying again`);
      }
      if (stopped || (more && failures === 0)) continue;
      // A wake-up may not shorten the wait for a neighbour that is down.
      if (failures > 0) await pause(backoffMs(failures, everyMs, backoffMaxMs));
      else if (!woken) await pause(everyMs);
      if (!woken || lingerMs === 0 || stopped) continue;
      lingering = true;
      await pause(lingerMs);
      lingering = false;
    }
  };
  const ended = run();

  return {
    wake: () => {
      woken = true;
      if (failures === 0 && !lingering) endPause();
    },
    stop: async () => {
      stopped = true;
      endPause();
      await ended;
    },
  };
}

/** Doubling from the base, between half and all of it ("equal jitter"), never above the cap. */
export function backoffMs(failures: number, baseMs: number, maxMs: number): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(failures, 30));
  return full / 2 + Math.random() * (full / 2);
}
