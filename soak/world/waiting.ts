/** Waiting, with a limit: nothing in a soak may take for ever, or a fault that is never healed would look like a slow machine. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startWait } from './patience.js';

const POLL_MS = 200;

/**
 * Asks again until the answer is neither false nor undefined, and returns it.
 * @param limitMs of an idle machine's time
 * @throws saying what was waited for, and what was seen last
 */
export async function until<T>(
  what: string,
  limitMs: number,
  question: () => Promise<T | false | undefined> | T | false | undefined,
): Promise<T> {
  const wait = startWait(limitMs);
  let last: unknown;
  for (;;) {
    try {
      const answer = await question();
      if (answer !== false && answer !== undefined) return answer;
    } catch (err) {
      last = err;
    }
    const why = wait.over();
    if (why !== undefined) throw new Error(`${what}: ${why}${last ? `; last: ${(last as Error).message}` : ''}`);
    await sleep(POLL_MS);
  }
}

/** @throws if it takes longer than so much of an idle machine's time */
export async function within<T>(what: string, limitMs: number, work: Promise<T>): Promise<T> {
  let isOver = false;
  const late = until(`${what} has not ended`, limitMs, () => isOver);
  late.catch(() => undefined); // it has ended
  try {
    return (await Promise.race([work, late])) as T;
  } finally {
    isOver = true;
  }
}
