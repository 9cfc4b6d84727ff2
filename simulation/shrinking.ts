/**
 * Makes a failing tape shorter and plainer, as long as the same invariant breaks: what is left is what it takes. Parts are cut out, then
 * choices become nought, that is ordinary; again and again until neither helps, or the tries are used up.
 */
import { type Loaded, simulate } from './saga.js';
import { Tape } from './tape.js';

const TRIES_MAX = 1_200;

/** @returns the plainest tape that was found, without the noughts at its end */
export function shrink(loaded: Loaded, values: readonly number[], invariant: string, triesMax = TRIES_MAX): number[] {
  let best = [...values];
  let tries = 0;
  const breaks = (candidate: readonly number[]): boolean => {
    if (tries >= triesMax) return false;
    tries++;
    return simulate(loaded, new Tape({ values: candidate })).violation?.invariant === invariant;
  };
  const take = (candidate: number[]): boolean => {
    if (!breaks(candidate)) return false;
    best = candidate;
    return true;
  };
  let before: string;
  do {
    before = best.join();
    take(withoutEnd(best));
    for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
      for (let from = best.length - size; from >= 0; from -= size) {
        const part = best.slice(from, from + size);
        if (part.every((value) => value === 0)) continue;
        if (!take([...best.slice(0, from), ...best.slice(from + size)]))
          take([...best.slice(0, from), ...part.map(() => 0), ...best.slice(from + size)]);
      }
    for (let i = 0; i < best.length; i++)
      while ((best[i] as number) > 1 && take(best.with(i, (best[i] as number) - 1)));
  } while (best.join() !== before && tries < triesMax);
  return withoutEnd(best);
}

/** Where a tape ends, it goes on with noughts. */
function withoutEnd(values: readonly number[]): number[] {
  return values.slice(0, values.findLastIndex((value) => value !== 0) + 1);
}
