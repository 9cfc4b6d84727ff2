/** Waits: a limit is over when nothing has moved for so long, by the time of an idle machine; and a cap says that it was only a cap. */
import { expect, test } from '@jest/globals';
import { whyNotNone } from '../../soak/quiesce.js';
import { shareOf, startWait } from '../../soak/world/patience.js';

/** Each look takes ten seconds, of which the machine has so much for us. */
function machineThatHas(share: number, left: (look: number) => number | { count: number; steps: number }) {
  let looks = 0;
  const clocks = { realMs: () => looks * 10_000, patientMs: () => looks * 10_000 * share };
  const wait = startWait(120_000, 900_000, clocks);
  return whyNotNone(async () => left(looks++), wait, 0);
}

test('what goes on, however slowly, is waited for', async () => {
  expect(await machineThatHas(1, (look) => Math.max(0, 58 - look))).toBeUndefined();
  const stepByStep = (look: number) => (look < 60 ? { count: 58, steps: look } : 0);
  expect(await machineThatHas(1, stepByStep)).toBeUndefined();
});

test('what stands still is not, and a busy machine has longer for it', async () => {
  expect(await machineThatHas(1, () => 58)).toBe(
    '58; nothing has moved for 120 s of an idle machine’s time, after 140 s',
  );
  expect(await machineThatHas(0.25, (look) => (look < 40 ? 58 : 0))).toBeUndefined();
  expect(await machineThatHas(1, (look) => (look < 40 ? 58 : 0))).toMatch(/^58; nothing has moved/);
  expect(await machineThatHas(1, (look) => (look % 2 === 0 ? 58 : 59))).toMatch(/nothing has moved/);
});

test('what moves and never ends is cut off, and the cap is said to be one', async () => {
  expect(await machineThatHas(1, (look) => ({ count: 1, steps: look }))).toBe(
    '1; cut off after 910 s, which says nothing of what it would have come to',
  );
});

test('a machine’s share is what is left of its cores for each that wants one', () => {
  expect(shareOf('0.20 1.73 3.64 1/209 684', 2)).toBe(1);
  expect(shareOf('22.74 26.44 22.87 8/209 684', 2)).toBe(0.25);
  expect(() => shareOf('22.74', 2)).toThrow('/proc/loadavg');
});
