/**
 * A source of facts that may be slow or away: it is asked at most so often, however many look, and what it last said is kept with when that
 * was. Whoever looks waits for it a moment at most, and is told what is known by then.
 */
export type Known<T> = {
  /** Its last answer, and when that came; undefined = it has never answered this process. */
  facts: T | undefined;
  at: Date | undefined;
  /** undefined = it was not asked yet, or its first answer is still awaited. */
  answers: boolean | undefined;
  /** How its last read failed, if it did. */
  failure?: { error: string; tookMs: number };
};

export type SourceOptions<T> = {
  read: () => Promise<T>;
  /** Between the end of one read and the next. */
  restMs: number;
  /** It is asked for at most this share of the time: a read that takes long is repeated less often. */
  shareMax?: number;
  /** How long a look waits. */
  waitMs: number;
  /** As of when an answer is; absent = as of when it came. */
  atOf?: (facts: T) => Date;
};

export function createSource<T>({
  read,
  restMs,
  shareMax = 0.2,
  waitMs,
  atOf,
}: SourceOptions<T>): () => Promise<Known<T>> {
  let known: Known<T> = { facts: undefined, at: undefined, answers: undefined };
  let pending: Promise<void> | undefined;
  let restsUntilMs = 0;
  const readOnce = async () => {
    const began = performance.now();
    try {
      const facts = await read();
      known = { facts, at: atOf?.(facts) ?? new Date(), answers: true };
    } catch (err) {
      // Why it does not answer is its own to log; that it does not is what is shown.
      const failure = { error: wordsOf(err), tookMs: Math.round(performance.now() - began) };
      known = { ...known, answers: false, failure };
    }
    const tookMs = performance.now() - began;
    restsUntilMs = performance.now() + Math.max(restMs, tookMs * (1 / shareMax - 1));
    pending = undefined;
  };
  return async () => {
    if (!pending && performance.now() < restsUntilMs) return known;
    pending ??= readOnce();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, waitMs);
    });
    await Promise.race([pending, late]);
    clearTimeout(timer);
    return known;
  };
}

/** @returns the same read, which fails if it takes longer */
export const within =
  <T>(limitMs: number, read: () => Promise<T>) =>
  async (): Promise<T> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
    });
    try {
      return await Promise.race([read(), late]);
    } finally {
      clearTimeout(timer);
    }
  };

const ERROR_MAX = 200;
/** Its sentence, and the system's code beneath it, such as ECONNREFUSED. */
function wordsOf(err: unknown): string {
  const { message = String(err), cause } = err as { message?: string; cause?: { detail?: { code?: unknown } } };
  const code = cause?.detail?.code;
  return `${message}${typeof code === 'string' ? `, ${code}` : ''}`.slice(0, ERROR_MAX);
}
