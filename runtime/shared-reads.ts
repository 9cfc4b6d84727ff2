/**
 * Shared reads: whoever asks for the same thing at the same time gets the same answer, and so does whoever asks a short time
 * later. For what is dear to read, may be a moment old, and is asked for by as many as like.
 */
export type SharedReads<T> = {
  /** For how long an answer is given again; counted from its arrival. */
  freshMs: (answer: T) => number;
  /** Answers that are kept; beyond that the oldest goes. */
  keysMax: number;
};

/** A read that fails is not kept: all who wait for it fail with it. */
export function createSharedReads<T>({ freshMs, keysMax }: SharedReads<T>) {
  const reads = new Map<string, { answer: Promise<T>; untilMs: number }>();
  return (key: string, read: () => Promise<T>): Promise<T> => {
    const known = reads.get(key);
    if (known && performance.now() < known.untilMs) return known.answer;
    const shared = { answer: read(), untilMs: Number.POSITIVE_INFINITY };
    reads.delete(key); // so that the order of the map is that of the reads
    reads.set(key, shared);
    shared.answer.then(
      (answer) => {
        shared.untilMs = performance.now() + freshMs(answer);
      },
      () => {
        if (reads.get(key) === shared) reads.delete(key);
      },
    );
    // Also those that are not fresh any more: they would be held for nothing until as many others had been read.
    for (const [oldest, { untilMs }] of reads) {
      if (reads.size <= keysMax && performance.now() < untilMs) break;
      reads.delete(oldest);
    }
    return shared.answer;
  };
}
