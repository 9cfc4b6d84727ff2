/** A loop that rests where there is nothing to do, and longer after each failure in a row. */
import { setTimeout as pause } from 'node:timers/promises';

const BACKOFF_MAX_MS = 10_000;

/**
 * @param once does one piece of work, and returns whether there may be more at once
 * @returns ends when `stopping` aborts, after the piece in hand
 */
export async function loop({ name, once, everyMs, stopping, log }) {
  let failures = 0;
  while (!stopping.aborted) {
    let restMs = everyMs;
    try {
      if (await once()) restMs = 0;
      failures = 0;
    } catch (err) {
      failures++;
      log('error', `${name}: ${err.message}`, { code: err.code });
      restMs = err.keepAwayMs ?? Math.min(BACKOFF_MAX_MS, everyMs * 2 ** Math.min(failures, 10));
    }
    if (restMs > 0) await pause(restMs, undefined, { signal: stopping }).catch(() => undefined);
  }
}
