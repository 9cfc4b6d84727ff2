/** Chance from a seed: the same seed gives the same numbers, on any machine. Nothing here is secret. */
import { createHash } from 'node:crypto';

export type Random = {
  /** 0 ≤ it < 1. */
  next: () => number;
  /** A whole number, from ≤ it ≤ to. */
  between: (from: number, to: number) => number;
  chance: (probability: number) => boolean;
  pick: <T>(items: readonly T[]) => T;
  /** One of the names, as often as its weight says. */
  weighed: <Name extends string>(weights: Readonly<Record<Name, number>>) => Name;
  shuffled: <T>(items: readonly T[]) => T[];
};

/** sfc32 (PractRand), begun from a hash of the seed. */
export function randomOf(seed: string): Random {
  const digest = createHash('sha256').update(seed).digest();
  let [a, b, c, counter] = [digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8), 1];
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  };
  const between = (from: number, to: number) => from + Math.floor(next() * (to - from + 1));
  const pick = <T>(items: readonly T[]): T => items[between(0, items.length - 1)] as T;
  return {
    next,
    between,
    chance: (probability) => next() < probability,
    pick,
    weighed: (weights) => {
      const all = Object.entries(weights) as [keyof typeof weights, number][];
      let left = next() * all.reduce((sum, [, weight]) => sum + weight, 0);
      const chosen =
        all.find(([, weight]) => {
          left -= weight;
          return left < 0;
        }) ?? all.at(-1);
      if (!chosen) throw new Error('there is nothing to choose from');
      return chosen[0];
    },
    shuffled: (items) => {
      const rest = [...items];
      return rest.map((_, i) => {
        const at = between(i, rest.length - 1);
        const taken = rest[at] as (typeof rest)[number];
        rest[at] = rest[i] as typeof taken;
        rest[i] = taken;
        return taken;
      });
    },
  };
}
