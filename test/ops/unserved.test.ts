/** Decisions while no worker runs: they are not sent, since whatever is sent may be carried out at any later time. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { listedAsStuck } from '../support/decisions.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

/** Less than the update's own limit, and than a watch's; a process starts within it, too. */
const SOON_MS = 12_000;

let s: SagaStack;
let ops: Cli;
beforeAll(async () => {
  s = await startSagaStack();
  ops = cliOf(s);
  await stock(s.db, 'A', 1_000);
});
afterAll(() => s.stop());

test('a decision that no worker can take is reported soon, and is not sent', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const { order, saga } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
  await listedAsStuck(s.client, order.id);
  await s.dismiss();
  for (const action of ['retry', 'skip', 'compensate']) {
    const began = performance.now();
    const { code, document } = await ops.json(action, order.id, '--reason', 'a test', '--yes');
    expect(performance.now() - began).toBeLessThan(SOON_MS);
    expect(code).toBe(1);
    expect(document.items).toMatchObject([
      { orderId: order.id, outcome: 'unanswered', message: expect.stringMatching(/the decision was not sent/) },
    ]);
  }
  // Whatever was sent would be in its history, or wait there for the next worker.
  const { events = [] } = await saga.fetchHistory();
  expect((events ?? []).filter((e) => e.workflowExecutionUpdateAcceptedEventAttributes)).toEqual([]);
  await s.heal();
  await s.engage();
  const shown = await eventually('a worker answers', () =>
    saga.query<{ state: string }>('progress').catch(() => undefined),
  );
  expect(shown.state).toBe('NEEDS_ATTENTION');
  expect(await s.db.sagaLogEntry.findMany({ where: { orderId: order.id, actor: 'op-test' } })).toEqual([]);
}, 90_000);
