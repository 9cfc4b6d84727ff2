/**
 * Asking a neighbour that may not answer: one question at a time, at most so often, and whoever wants to know is answered in
 * time, by then or never. A question that is late goes on alone; nobody asks a second one beside it.
 */
export type Asking<T> = {
  /** How long an answer is good for. */
  freshMs: number;
  /** How long anybody waits. */
  limitMs: number;
  ask: () => Promise<T>;
  /** What is said when the question failed, or is late (`undefined`). */
  otherwise: (err: unknown) => T;
};

export function createAsker<T>({ freshMs, limitMs, ask, otherwise }: Asking<T>): () => Promise<T> {
  let asked: Promise<T> | undefined;
  let known: { answer: T; untilMs: number } | undefined;
  const askOnce = async (): Promise<T> => {
    const answer = await Promise.resolve().then(ask).catch(otherwise);
    known = { answer, untilMs: performance.now() + freshMs };
    asked = undefined;
    return answer;
  };
  return async () => {
    if (known && performance.now() < known.untilMs) return known.answer;
    asked ??= askOnce();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<T>((resolve) => {
      timer = setTimeout(() => resolve(otherwise(undefined)), limitMs);
    });
    try {
      return await Promise.race([asked, late]);
    } finally {
      clearTimeout(timer);
    }
  };
}
