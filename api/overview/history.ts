/** How many there were of each cause: what a trend is measured against. */
import { type Cause, RECENT_MS } from './cause.js';

const SAMPLE_EVERY_MS = 30_000;

/** Remembers how many there were of each cause, a sample every half minute, for ten minutes. */
export function createHistory() {
  let samples: { atMs: number; counts: ReadonlyMap<string, number> }[] = [];
  /** @param isWhole every source has answered: of a look that lacks one, what it would have told looks as if it had not been there */
  return (causes: Cause[], isWhole: boolean, now = Date.now()): Cause[] => {
    samples = samples.filter(({ atMs }) => now - atMs <= RECENT_MS);
    const [oldest] = samples;
    const newest = samples.at(-1);
    if (isWhole && (!newest || now - newest.atMs >= SAMPLE_EVERY_MS))
      samples.push({ atMs: now, counts: new Map(causes.map(({ id, count }) => [id, count ?? 0])) });
    if (!oldest) return causes;
    const at = new Date(oldest.atMs).toISOString();
    return causes.map((one) =>
      one.count === null ? one : { ...one, before: { count: oldest.counts.get(one.id) ?? 0, at } },
    );
  };
}
