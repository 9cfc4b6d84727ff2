/** Waiting in tests: for a condition, with a deadline, never for a time. */

/** Asked at first this often; then after a tenth of what it has taken, since each question costs those of whom it is asked, up to: */
const POLL_MS = 20;
const POLL_MAX_MS = 100;

/**
 * Asks again until `question` answers something other than false, null or undefined, and returns that.
 * @param withinMs after which it fails, saying what it last saw or which error it last met
 */
export async function eventually<T>(
  what: string,
  question: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  withinMs = 15_000,
): Promise<T> {
  const from = Date.now();
  const deadline = from + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await question();
      if (answer !== false && answer !== null && answer !== undefined) return answer;
      last = answer;
    } catch (err) {
      last = err;
    }
    if (Date.now() > deadline)
      throw new Error(`${what}: not within ${withinMs} ms; last: ${String(last)}`, { cause: last });
    const pauseMs = Math.min(POLL_MAX_MS, Math.max(POLL_MS, (Date.now() - from) / 10));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
