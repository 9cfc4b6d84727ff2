/** Waiting in tests: for a condition, with a deadline, never for a time. */

const POLL_MS = 20;

/**
 * Asks again until `question` answers something other than false, null or undefined, and returns that.
 * @param withinMs after which it fails, saying what it last saw or which error it last met
 */
export async function eventually<T>(
  what: string,
  question: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  withinMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
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
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
