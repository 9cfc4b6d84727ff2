/** How long whoever explains an order waits for a neighbour: a person is waiting, and all else that is known of the order with them. */

/** All that is asked of one neighbour, together; one that is well answers in milliseconds. */
export const PATIENCE_MS = 3_000;

/** A neighbour that hangs: connected, and silent. */
export class NoAnswer extends Error {
  override name = 'NoAnswer';
}

/** @returns what `read` gives. @throws NoAnswer if that takes longer; what it was about goes on, and is not waited for */
export async function patiently<T>(who: string, read: () => Promise<T>, limitMs = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswer(`${who} did not answer within ${limitMs / 1_000} s`)), limitMs);
  });
  const answer = read();
  answer.catch(() => undefined); // what fails after that is of no interest, and no rejection without a handler
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
