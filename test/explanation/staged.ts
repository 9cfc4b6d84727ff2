/** What is to be said of an order that has been staged. */
import type { SagaPolicy } from '../../contracts/saga.js';

export type Said = {
  situation: string;
  /** Of `why`, `next`, `choices`, `disagreements`: what must be in the text; null = there is nothing of it. */
  why?: RegExp;
  next?: RegExp | null;
  /** First words of the commands that may be typed, in their order; the arguments are tested by running them. */
  choices?: string[];
  /** What they cost, by these words: money, stock, customer, and what follows by itself. */
  costs?: Record<string, RegExp>;
  /** When they are the right ones, and what they do; `usual` = the one that is marked so, null = none is. */
  uses?: Record<string, RegExp>;
  usual?: RegExp;
  usualAct?: string | null;
  /** Nowhere in what is said. */
  never?: RegExp;
  disagreements?: RegExp | null;
  sources?: RegExp;
  happened?: RegExp;
};
export type Staged = { name: string; stage: (policy?: Partial<SagaPolicy>) => Promise<string>; said: Said };
