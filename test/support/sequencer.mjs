/** The longest files first, by what they were seen to take (costs.mjs), so that no worker is left alone with one at the end. */
import { createRequire } from 'node:module';
import { costOf } from './costs.mjs';

/** Jest's own sequencer, from where Jest has it. */
const { default: Sequencer } = ['jest', '@jest/core', 'jest-config'].reduce(
  (require, name) => createRequire(require.resolve(name)),
  createRequire(import.meta.url),
)('@jest/test-sequencer');

/** From so many processors on a file is busy rather than waiting. */
const BUSY = 0.5;

export default class extends Sequencer {
  /** Busy files and waiting ones in turn, each by length: beside each other they use the machine evenly. */
  sort(tests) {
    const byLength = tests
      .map((test) => ({ test, ...costOf(test.path) }))
      .toSorted((a, b) => b.seconds - a.seconds || a.test.path.localeCompare(b.test.path));
    const busy = byLength.filter(({ processors }) => processors >= BUSY);
    const waiting = byLength.filter(({ processors }) => processors < BUSY);
    const order = [];
    let lead = 0; // by how many seconds the waiting ones are ahead
    while (busy.length > 0 && waiting.length > 0) {
      const next = (lead <= 0 ? waiting : busy).shift();
      lead += next.processors < BUSY ? next.seconds : -next.seconds * 2;
      order.push(next);
    }
    return [...order, ...busy, ...waiting].map(({ test }) => test);
  }
}
