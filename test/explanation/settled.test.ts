/** What operators settle: what is said of the order then, and what the reconciler makes of it. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { restartSaga } from '../../sagas/restart.js';
import { PATIENT } from '../support/saga.js';
import { argsOf, commandFor, wordOf } from './commands.js';
import { openStage, type Stage } from './stage.js';
import type { Staged } from './staged.js';
import { STAGED } from './staged-orders.js';
import { cancelAndEnd, cancelIn, confirmed, reconcile, useStage } from './staging.js';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  useStage(stage);
});
afterEach(() => stage.s.heal());
afterAll(() => stage.s.stop());

test('marks nothing any more once an operator has settled what the bank had decided', async () => {
  const id = await (STAGED.find(({ name }) => name === 'being taken back, its dispute lost') as Staged).stage();
  await stage.until(id, 'undo-failing');
  const skipped = await stage.ops('skip', id, '--yes', '--reason', 'the bank has paid');
  expect(skipped).toMatchObject({ code: 0 });
  const it = await stage.until(id, 'cancelled');
  expect(it.why.join('\n')).toMatch(/SETTLED_OUTSIDE/);
  expect(it.disagreements).toEqual([]);
}, 60_000);

test('a cancel closes the finding that the money had gone back, and a close of it is told as the end of that', async () => {
  const reported = (STAGED.find(({ name }) => name === 'given back at the gateway, and reported') as Staged).stage;
  const [toEnd, toStay] = [await reported(), await reported()];
  await cancelAndEnd(toEnd);
  await reconcile(toEnd);
  expect(await stage.explain(toEnd)).toMatchObject({ situation: 'cancelled', disagreements: [], choices: [] });
  const close = commandFor(await stage.explain(toStay), 'reconcile');
  expect(await stage.ops(...argsOf(close))).toMatchObject({ code: 0 });
  const it = await stage.explain(toStay);
  expect(it.usual).toMatch(/^Usual: nothing is to be done: finding \d+.* is closed \(op-test: a test\)\.$/);
  expect(JSON.stringify(it.next)).not.toMatch(/finding/); // none comes any more
  expect(it.choices.map(wordOf)).toEqual(['cancel']);
}, 60_000);

test('what a skipped refund leaves at the gateway stays there, and is a finding', async () => {
  const id = await confirmed();
  await stage.s.fault({ route: 'refund', mode: 'down', count: null });
  await cancelIn(id);
  await restartSaga({ client: stage.s.client, db: stage.s.db, policy: PATIENT }, id);
  const it = await stage.until(id, 'unwinding', /try \d+ of refundPayment/);
  const { code, ...said } = await stage.ops(...argsOf(commandFor(it, 'skip')));
  expect({ code, ...(code === 0 ? {} : said) }).toEqual({ code: 0 });
  await stage.until(id, 'cancelled');
  await stage.s.heal();
  await reconcile(id);
  expect(await stage.s.db.reconciliationFinding.findMany({ where: { orderId: id } })).toMatchObject([
    { kind: 'SETTLED_OUTSIDE', action: 'reported' },
  ]);
}, 60_000);
