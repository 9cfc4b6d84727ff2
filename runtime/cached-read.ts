/**
 * A cached read of a neighbour that may not answer: one read at a time, its answer kept for a while, and every caller answered
 * within a limit. A read that is late goes on; no second one is begun beside it.
 */
export type CachedRead<T> = {
  /** How long an answer is good for. */
  freshMs: number | ((answer: T) => number);
  /** How long a caller waits. */
  limitMs: number;
  read: () => Promise<T>;
  /** The answer when the read has failed, or is late (`undefined`). */
  otherwise: (err: unknown) => T;
};

export function createCachedRead<T>({ freshMs, limitMs, read, otherwise }: CachedRead<T>): () => Promise<T> {
  let pending: Promise<T> | undefined;
  let known: { answer: T; untilMs: number } | undefined;
  const readOnce = async (): Promise<T> => {
    const answer = await Promise.resolve().then(read).catch(otherwise);
    known = { answer, untilMs: performance.now() + (typeof freshMs === 'number' ? freshMs : freshMs(answer)) };
    pending = undefined;
    return answer;
  };
  return async () => {
    if (known && performance.now() < known.untilMs) return known.answer;
    pending ??= readOnce();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<T>((resolve) => {
      timer = setTimeout(() => resolve(otherwise(undefined)), limitMs);
    });
    try {
      return await Promise.race([pending, late]);
    } finally {
      clearTimeout(timer);
    }
  };
}
