/** What only an operator may have repeated: how the request (the input's `word`) reaches the step, and which steps wait for one. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { activityInfo } from '@temporalio/activity';
import { NeedsOperator, translated } from '../../activities/failures.js';
import type { StepName, UndoName } from '../../contracts/plan.js';
import { BY_MACHINE, SAGA_FAILURE } from '../../contracts/saga.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve, statusOf } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';

/** Instead of some thousand events; the saga of this test reaches it with a few retries. */
const LONG = 30;
type Try = { word: string | undefined; isLocal: boolean; attempt: number };
/** Tries of what needs an operator, by order and step. */
const tries = new Map<string, Try[]>();
/** What each step of an order meets: until it is mended, a transient failure or one that needs an operator. */
const trouble = new Map<StepName | UndoName, 'transient' | 'need'>();

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({
    temporalConfig: [`limit.historyCount.suggestContinueAsNew=${LONG}`],
    activities: (real) => {
      const troubled = <I extends { orderId: string; word?: string }, R>(
        name: StepName | UndoName,
        act: (input: I) => Promise<R>,
      ) => {
        return async (input: I): Promise<R> => {
          const { isLocal, attempt } = activityInfo();
          const key = `${input.orderId}/${name}`;
          tries.set(key, [...(tries.get(key) ?? []), { word: input.word, isLocal, attempt }]);
          const met = trouble.get(name);
          if (met === 'transient') throw new Error('planned failure');
          if (met === 'need') {
            await translated(() => {
              throw new NeedsOperator(
                'the refund failed for good: give the money back by hand, then skip',
                'RefundFailed',
              );
            });
          }
          return act(input);
        };
      };
      return {
        ...real,
        chargePayment: troubled('chargePayment', real.chargePayment),
        refundPayment: troubled('refundPayment', real.refundPayment),
      };
    },
  });
  await stock(s.db, 'A', 100);
});
afterEach(async () => {
  trouble.clear();
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const triesOf = (orderId: string, name: StepName | UndoName) => tries.get(`${orderId}/${name}`) ?? [];
/** The operator's requests that have reached the step, once there are `count`; one may be given to several tries. */
const requests = (orderId: string, name: StepName | UndoName, count: number) =>
  eventually(`${count} requests have reached ${name}`, () => {
    const given = triesOf(orderId, name).flatMap(({ word }) => word ?? []);
    const distinct = [...new Set(given)];
    return distinct.length >= count && distinct;
  });
const isWaiting = (saga: Parameters<typeof progressOf>[0], name: string) =>
  eventually(`${name} is being retried`, async () => statusOf(await progressOf(saga), name) === 'retrying');

/** An order whose refund meets this while it is unwound. */
async function troubledRefund(met: 'transient' | 'need') {
  trouble.set('refundPayment', met);
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const placed = await s.place({ A: 1 });
  await isWaiting(placed.saga, 'chargePayment');
  await placed.saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] });
  return placed;
}

describe('an operator’s request to try again', () => {
  test('reaches the undo that it is for, another one each time; a machine’s request does not', async () => {
    const { order, saga, result } = await troubledRefund('transient');
    await isWaiting(saga, 'refundPayment');
    const before = triesOf(order.id, 'refundPayment').length;
    await saga.signal('retry', BY_MACHINE);
    await eventually('it is tried again', () => triesOf(order.id, 'refundPayment').length > before);
    expect(triesOf(order.id, 'refundPayment').flatMap(({ word }) => word ?? [])).toEqual([]);

    await saga.signal('retry'); // as the button in the Web UI does
    const [first] = await requests(order.id, 'refundPayment', 1);
    await resolve(saga, { action: 'retry' });
    const [, second] = await requests(order.id, 'refundPayment', 2);
    expect(second).not.toBe(first);
    trouble.clear();
    await s.heal();
    await saga.signal('retry', BY_MACHINE);
    expect(await result()).toMatchObject({ status: 'CANCELLED' });
  });

  test('reaches the step that it is for, and no other', async () => {
    trouble.set('chargePayment', 'transient');
    const { order, saga, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await listedAsStuck(s.client, order.id);
    expect(triesOf(order.id, 'chargePayment').flatMap(({ word }) => word ?? [])).toEqual([]);
    await resolve(saga, { action: 'retry' });
    await requests(order.id, 'chargePayment', 1);
    await saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] });
    expect(await result()).toMatchObject({ status: 'CANCELLED' });
    expect(triesOf(order.id, 'refundPayment').flatMap(({ word }) => word ?? [])).toEqual([]);
  });

  test('is not lost when the saga is continued as new just then', async () => {
    const { order, saga, result } = await troubledRefund('transient');
    const first = (await saga.describe()).runId;
    await eventually(
      'another run has begun',
      async () => {
        await saga.signal('retry').catch(() => undefined); // between two runs no saga takes it
        return (await saga.describe()).runId !== first;
      },
      40_000,
    );
    // The last request of the first run was never tried by it: the second run's first try is given it.
    const carried = await eventually('a first try was given a request', () =>
      triesOf(order.id, 'refundPayment').find(({ isLocal, word }) => isLocal && word !== undefined),
    );
    expect(carried.word).toContain(first);
    trouble.clear();
    await s.heal();
    expect(await result()).toMatchObject({ status: 'CANCELLED' });
  });
});

test('a decision on a step that the saga has left is refused, whatever it is, and one on its step is taken', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const { order, saga, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 4_000 } });
  await listedAsStuck(s.client, order.id);
  for (const action of ['retry', 'skip', 'compensate'] as const) {
    const late = resolve(saga, { action, expectedStep: 'reserveInventory' });
    await expect(late).rejects.toMatchObject({
      cause: {
        type: 'NotAsSeen',
        message: expect.stringContaining('is at chargePayment (GatewayUnknown) by now, not at reserveInventory'),
        details: [{ state: 'NEEDS_ATTENTION', step: 'chargePayment', failure: 'GatewayUnknown' }],
      },
    });
  }
  expect(await s.db.sagaLogEntry.count({ where: { orderId: order.id, step: 'resolve' } })).toBe(0);
  const seen = { expectedStep: 'chargePayment', expectedFailure: 'GatewayUnknown' };
  await s.fault({ route: 'charge', mode: 'slow', count: null, delayMs: 5_000 });
  await saga.signal('retry');
  await expect(resolve(saga, { action: 'retry', ...seen })).rejects.toMatchObject({
    cause: {
      type: 'NotAsSeen',
      message: `order ${order.id} is being tried again at chargePayment by now (somebody has had it tried): nothing was decided`,
    },
  });
  await s.fault({ route: 'charge', mode: 'down', count: null });
  await eventually('it is parked again', async () => (await progressOf(saga)).state === 'NEEDS_ATTENTION');
  await resolve(saga, { action: 'skip', ...seen });
  expect(await result()).toEqual({ status: 'CONFIRMED' });
});

describe('what only an operator can mend', () => {
  test('(an undo) marks the saga at once, under its kind, and is tried again at an operator’s request', async () => {
    const { order, saga, result } = await troubledRefund('need'); // marked by time only after a minute
    const listed = await listedAsStuck(s.client, order.id);
    expect(listed.typedSearchAttributes.get(SAGA_FAILURE)).toBe('RefundFailed');
    expect((await progressOf(saga)).steps.find(({ name }) => name === 'refundPayment')).toMatchObject({
      status: 'parked',
      attempts: 1,
      lastError: 'the refund failed for good: give the money back by hand, then skip',
    });
    await saga.signal('retry');
    const [word] = await requests(order.id, 'refundPayment', 1);
    await eventually('it waits again', async () => statusOf(await progressOf(saga), 'refundPayment') === 'parked');
    // Locally, if the saga was continued as new in between: histories are made to be short in this file.
    expect(triesOf(order.id, 'refundPayment')).toMatchObject([
      { word: undefined, isLocal: true, attempt: 1 },
      { word, attempt: 1 },
    ]);
    trouble.clear();
    await resolve(saga, { action: 'skip' });
    expect(await result()).toMatchObject({ status: 'CANCELLED' });
    expect((await progressOf(saga)).steps.find(({ name }) => name === 'refundPayment')).toMatchObject({
      status: 'skipped',
    });
    await recordHistory('undo-needs-operator', saga, s.env.address);
  });

  test('(a step) parks the saga at once, under its kind, without spending the budget', async () => {
    trouble.set('chargePayment', 'need');
    const { order, saga, result } = await s.place({ A: 1 });
    const listed = await listedAsStuck(s.client, order.id);
    expect(listed.typedSearchAttributes.get(SAGA_FAILURE)).toBe('RefundFailed');
    expect(triesOf(order.id, 'chargePayment')).toHaveLength(1);
    trouble.clear();
    await resolve(saga, { action: 'retry' });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    await recordHistory('step-needs-operator', saga, s.env.address);
  });
});
