/** Answers that are kept for a short time: whoever asks the same within it shares one question to the database. */

const KEPT_MAX = 500;

/**
 * @param ttlMs 0 = questions that are asked at the same time are shared, and no answer is kept
 * @returns `(key, ask)`: what `ask` has answered, now or a moment ago; a failure is not kept
 */
export function createCache(ttlMs) {
  const kept = new Map();
  return (key, ask) => {
    const known = kept.get(key);
    if (known && performance.now() < known.until) return known.answer;
    const entry = { until: Number.POSITIVE_INFINITY };
    entry.answer = ask().then(
      (answer) => {
        entry.until = performance.now() + ttlMs;
        return answer;
      },
      (err) => {
        if (kept.get(key) === entry) kept.delete(key);
        throw err;
      },
    );
    kept.delete(key);
    kept.set(key, entry);
    if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value);
    return entry.answer;
  };
}
