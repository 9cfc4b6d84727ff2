/** When a build goes on, waits, or is taken back. */
import { expect, test } from '@jest/globals';
import { judge } from '../../ops/rollout/gate.js';

const limits = { failingPercentMax: 2, sagasLeast: 10 };
const census = (ended: number, failing: number) => ({ begun: ended + failing + 40, ended, failing, why: {} });

test.each([
  ['enough have ended, none fails', [10, 0], [500, 0], 'well'],
  ['too few have ended', [9, 0], [500, 0], 'unproved'],
  ['none has ended, although many have begun', [0, 0], [500, 0], 'unproved'],
  ['one fails of many', [99, 1], [500, 0], 'well'],
  ['two fail of few, which may be an accident', [10, 2], [500, 0], 'unproved'],
  ['three fail of few', [10, 3], [500, 0], 'failing'],
  ['all fail', [0, 3], [500, 0], 'failing'],
  ['as many fail on the build before: the gateway is away', [10, 30], [500, 1_500], 'unproved'],
  ['more fail than on the build before', [10, 30], [500, 500], 'failing'],
])('%s', (_, [ended = 0, failing = 0], [endedBefore = 0, failingBefore = 0], verdict) => {
  expect(judge(census(ended, failing), census(endedBefore, failingBefore), limits)).toBe(verdict);
});
