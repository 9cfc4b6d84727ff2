/** Waiting, with a limit: nothing in a soak may take for ever, or a fault that is never healed would look like a slow machine. */
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 200;

/**
 * Asks again until the answer is neither false nor undefined, and returns it.
 * @throws saying what was waited for, and what was seen last
 */
export async function until<T>(
  what: string,
  limitMs: number,
  question: () => Promise<T | false | undefined> | T | false | undefined,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await question();
      if (answer !== false && answer !== undefined) return answer;
    } catch (err) {
      last = err;
    }
    if (performance.now() > deadline)
      throw new Error(`${what}: not within ${limitMs / 1000} s${last ? `; last: ${(last as Error).message}` : ''}`);
    await sleep(POLL_MS);
  }
}

/** @throws if it takes longer */
export async function within<T>(what: string, limitMs: number, work: Promise<T>): Promise<T> {
  const giveUp = new AbortController();
  const late = sleep(limitMs, undefined, { signal: giveUp.signal }).then(() => {
    throw new Error(`${what} has not ended after ${limitMs / 1000} s`);
  });
  late.catch(() => undefined); // given up
  try {
    return await Promise.race([work, late]);
  } finally {
    giveUp.abort();
  }
}
