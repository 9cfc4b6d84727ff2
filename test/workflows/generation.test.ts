/** A saga that an older release began is one that the older release can go on with after a rollback. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sagaStart } from '../../contracts/saga.js';
import { accept, stock } from '../support/database.js';
import { listedAsStuck } from '../support/decisions.js';
import { outcomeOf } from '../support/outcome.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 100);
});
afterEach(() => s.heal());
afterAll(() => s.stop());

/** Parks, is decided on in vain, is tried again by a machine's and by an operator's word, and is confirmed. */
async function livedThrough(isOld: boolean) {
  const order = await accept(s.db, { A: 1 });
  const { type, options } = sagaStart({ ...order, kind: 'order' }, { ...PATIENT, stepRetryBudgetMs: 1_500 });
  const [input] = options.args;
  const { generation: _, ...before } = input;
  await s.fault({ mode: 'down', route: 'charge' });
  const saga = await s.client.workflow.start(type, { ...options, args: [isOld ? before : input] });
  await listedAsStuck(s.client, order.id);
  await s.heal();
  const decision = { action: 'retry', operator: 'op-1', reason: 'mended' };
  await saga.executeUpdate('resolve', { args: [decision] });
  expect(await outcomeOf(saga)).toEqual({ status: 'CONFIRMED' });
  const { events } = await saga.fetchHistory();
  return (events ?? []).filter(({ markerRecordedEventAttributes: marker }) => marker?.markerName === 'core_patch')
    .length;
}

test('it takes no patch of this release, whatever happens to it; one of today does', async () => {
  expect(await livedThrough(true)).toBe(0);
  expect(await livedThrough(false)).toBeGreaterThan(0);
});
