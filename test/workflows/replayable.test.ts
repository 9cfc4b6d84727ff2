/** Whatever comes at a saga while it works, its history can be replayed: a worker that has lost it goes on where it stood. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stock } from '../support/database.js';
import { resolve } from '../support/decisions.js';
import { assertReplayable } from '../support/histories.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';

const SAGAS = process.env['FULL'] === '1' ? 180 : 24;
const AT_A_TIME = 12;
/** So that a decision comes now before, now during and now after a first try, and some tries outlast a workflow task. */
const SLOW_MS = 3_000;
const someTimes = async (share: number, maxMs: number) => {
  if (Math.random() < share) await pause(Math.random() * maxMs);
};

/** More failures of one order would only be waited for: each next try comes later than the one before. */
const FAILURES = 3;

let s: SagaStack;
const failed = new Map<string, number>();
beforeAll(async () => {
  s = await startSagaStack({
    activities: (real) => ({
      ...real,
      releaseInventory: async (input) => {
        await someTimes(0.1, SLOW_MS);
        const times = failed.get(input.orderId) ?? 0;
        if (times < FAILURES && Math.random() < 0.5) {
          failed.set(input.orderId, times + 1);
          throw new Error('planned failure');
        }
        return real.releaseInventory(input);
      },
      beginUnwinding: async (input) => {
        await someTimes(0.9, 30);
        await someTimes(0.1, SLOW_MS);
        return real.beginUnwinding(input);
      },
    }),
  });
  await stock(s.db, 'A', 1_000_000);
});
afterAll(() => s.stop());

/** Cancelled while it works, then asked again and again to try again; each answer may be a refusal. */
async function liveThrough(): Promise<void> {
  const { saga, result } = await s.place({ A: 1 });
  await pause(Math.random() * 200);
  await saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] }).catch(() => {});
  for (let n = 0; n < 3; n++) {
    await pause(Math.random() * 300);
    await resolve(saga, { action: 'retry' }).catch(() => {});
    await saga.signal('retry').catch(() => {}); // it may have ended
  }
  expect(['CANCELLED', 'CONFIRMED']).toContain((await result()).status);
}

test('cancelled and decided on at any moment, side by side with its own first tries', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  for (let begun = 0; begun < SAGAS; begun += AT_A_TIME)
    await Promise.all(Array.from({ length: AT_A_TIME }, liveThrough));
  await assertReplayable(s.client);
}, 600_000);
