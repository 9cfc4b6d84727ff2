/** What a saga says of its steps, while it tries and for ever after: how often, against what, and what became of each. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { activityInfo } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';
import { translated } from '../../activities/failures.js';
import type { StepName, UndoName } from '../../contracts/plan.js';
import type { SagaProgress } from '../../contracts/saga.js';
import type { StepInput } from '../../contracts/steps.js';
import { beginUnwinding, readOrder } from '../../domain/orders.js';
import { readSagaLog } from '../../domain/saga-log.js';
import { withPendingAttempts } from '../../sagas/execution.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve, statusOf } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';

type Name = StepName | UndoName;
/** When each step of an order was begun to be tried, in milliseconds since the epoch. */
const tries = new Map<string, number[]>();
/** What a step's tries do before or instead of its work. */
const behaviour = new Map<Name, (nth: number, work: () => Promise<unknown>) => Promise<unknown>>();

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({
    activities: (real) => {
      const counted = (name: Name) => async (input: StepInput) => {
        const key = `${input.orderId}/${name}`;
        const begun = [...(tries.get(key) ?? []), Date.now()];
        tries.set(key, begun);
        const work = () => real[name](input);
        return (await (behaviour.get(name) ?? ((_, go) => go()))(begun.length, work)) as never;
      };
      const names: Name[] = ['reserveInventory', 'chargePayment', 'confirmOrder', 'releaseInventory', 'refundPayment'];
      return { ...real, ...Object.fromEntries(names.map((name) => [name, counted(name)])) };
    },
  });
  await stock(s.db, 'A', 1_000);
  await stock(s.db, 'NONE', 0);
});
afterEach(async () => {
  behaviour.clear();
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const triesOf = (orderId: string, name: Name) => tries.get(`${orderId}/${name}`) ?? [];
const stepOf = (progress: SagaProgress, name: Name) => progress.steps.find((step) => step.name === name);
const failing =
  (message = 'planned failure') =>
  async (): Promise<never> => {
    throw new Error(message);
  };
const offersOf = async (saga: WorkflowHandle) =>
  (await saga.query<{ currentDetails?: string }>('__temporal_workflow_metadata')).currentDetails ?? '';

describe('tries are counted', () => {
  test('when they are cancelled while they back off, as often as the step was tried', async () => {
    behaviour.set('chargePayment', failing());
    const { order, saga, result } = await s.place({ A: 1 });
    for (const wanted of [3, 5, 7]) {
      await eventually(`it was tried ${wanted} times`, () => triesOf(order.id, 'chargePayment').length >= wanted);
      await saga.signal('retry');
    }
    await eventually('it was tried once more', () => triesOf(order.id, 'chargePayment').length >= 8);
    behaviour.clear();
    await saga.signal('retry');
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    const count = triesOf(order.id, 'chargePayment').length;
    expect(stepOf(await progressOf(saga), 'chargePayment')?.attempts).toBe(count);
    const log = await readSagaLog(s.db, (await readOrder(s.db, order.id)) ?? order);
    expect(stepOf(log, 'chargePayment')?.attempts).toBe(count);
    await recordHistory('retried-while-backing-off', saga, s.env.address);
  });

  test('while they are under way and back off, as the server counts them', async () => {
    behaviour.set('chargePayment', failing());
    const { order, saga, result } = await s.place({ A: 1 });
    await eventually('it backs off', async () => {
      const description = await saga.describe();
      const count = triesOf(order.id, 'chargePayment').length;
      if (count < 4 || description.raw.pendingActivities?.[0]?.state !== 1) return false;
      const told = withPendingAttempts(await progressOf(saga), description);
      return stepOf(told, 'chargePayment')?.attempts === count && triesOf(order.id, 'chargePayment').length === count;
    });
    behaviour.clear();
    await saga.signal('retry');
    await result();
  });

  test('of an undo, also when it is retried while it backs off', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    behaviour.set('releaseInventory', failing());
    const { order, saga, result } = await s.place({ A: 1 });
    await saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] });
    await eventually('it was tried', () => triesOf(order.id, 'releaseInventory').length >= 3);
    await resolve(saga, { action: 'retry' });
    await eventually('it was tried again', () => triesOf(order.id, 'releaseInventory').length >= 4);
    behaviour.clear();
    await saga.signal('retry');
    await result();
    const count = triesOf(order.id, 'releaseInventory').length;
    expect(stepOf(await progressOf(saga), 'releaseInventory')?.attempts).toBe(count);
  });
});

describe('the last error of a parked step', () => {
  test('is what its tries met, although its budget ended inside one that had not answered yet', async () => {
    let mayEnd = false;
    behaviour.set('reserveInventory', async (nth, work) => {
      if (nth === 1) throw new Error('disk full on the primary');
      await eventually('the try may end', () => mayEnd, 30_000); // longer than what is left of the budget
      return work();
    });
    const { order, saga, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 1_500 } });
    await listedAsStuck(s.client, order.id);
    expect((await progressOf(saga)).steps[0]?.lastError).toBe('disk full on the primary');
    mayEnd = true;
    behaviour.clear();
    await saga.signal('retry');
    expect(await result()).toEqual({ status: 'CONFIRMED' });
  });

  test('is the cause that the server keeps behind the timeout of the budget', async () => {
    behaviour.set('reserveInventory', (nth) =>
      translated(failing(activityInfo().isLocal ? 'at first' : `later, ${nth}`)),
    );
    const { order, saga, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 1_000 } });
    await listedAsStuck(s.client, order.id);
    const count = triesOf(order.id, 'reserveInventory').length;
    expect((await progressOf(saga)).steps[0]).toMatchObject({ lastError: `later, ${count}`, attempts: count });
    behaviour.clear();
    await saga.signal('retry');
    await result();
  });
});

test('a step is tried until its whole budget is over, the last time at its end', async () => {
  behaviour.set('reserveInventory', failing());
  const budgetMs = 6_000; // the server sees no room for a try after the one at 3.5 s
  const { order, saga, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: budgetMs } });
  await listedAsStuck(s.client, order.id);
  // By the saga's clock, which stands still during a workflow task: on a busy machine the first try is later than that.
  const begunAt = Date.parse(stepOf(await progressOf(saga), 'reserveInventory')?.startedAt ?? '');
  expect((triesOf(order.id, 'reserveInventory').at(-1) ?? 0) - begunAt).toBeGreaterThanOrEqual(budgetMs - 100);
  behaviour.clear();
  await saga.signal('retry');
  expect(await result()).toEqual({ status: 'CONFIRMED' });
  await recordHistory('whole-budget', saga, s.env.address);
});

describe('a saga that has ended says what became of every step, and Postgres says the same:', () => {
  const brief = ({ steps, state }: SagaProgress) => ({
    state,
    steps: steps.map(({ name, kind, status, attempts }) => [name, kind, status, attempts]),
  });
  async function expectSettled(orderId: string, saga: WorkflowHandle) {
    const told = await progressOf(saga);
    const order = await readOrder(s.db, orderId);
    if (!order) throw new Error('there is no such order');
    expect(brief(await readSagaLog(s.db, order))).toEqual(brief(told));
    expect(
      told.steps.map(({ status }) => status).filter((status) => /pending|running|retrying|parked/.test(status)),
    ).toEqual([]);
    return told;
  }
  const policy = { stepRetryBudgetMs: 1_200 };

  test('parked, and unwound at the deadline', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ A: 1 }, { policy: { ...policy, sagaDeadlineMs: 3_000 } });
    await result();
    const told = await expectSettled(order.id, saga);
    expect(statusOf(told, 'chargePayment')).toBe('nothing-to-undo');
    expect(statusOf(told, 'confirmOrder')).toBe('nothing-to-undo');
    expect(statusOf(told, 'reserveInventory')).toBe('completed');
    await recordHistory('left-behind', saga, s.env.address);
  });

  test('charged without being heard of, then cancelled', async () => {
    behaviour.set('chargePayment', async (_, work) => {
      await work();
      throw new Error('its worker died before it could say so');
    });
    // The first try is asked to confirm besides, and would.
    await s.db.$executeRaw`
      CREATE OR REPLACE FUNCTION refuse_all_confirmations() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no confirmations today'; END $$`;
    await s.db.$executeRaw`
      CREATE TRIGGER no_confirmations BEFORE UPDATE ON orders FOR EACH ROW WHEN (NEW.status = 'CONFIRMED')
        EXECUTE FUNCTION refuse_all_confirmations()`;
    const { order, saga, result } = await s.place({ A: 1 });
    await eventually('it was charged', () =>
      s.db.payment.findFirst({ where: { orderId: order.id, status: 'CHARGED' } }),
    );
    await saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] });
    await result();
    await s.db.$executeRaw`DROP TRIGGER no_confirmations ON orders`;
    const told = await expectSettled(order.id, saga);
    expect(statusOf(told, 'chargePayment')).toBe('undone');
    expect(statusOf(told, 'refundPayment')).toBe('undone');
  });

  test.each([
    ['out of stock', { NONE: 1 }, {}, 'reserveInventory'],
    ['declined', { A: 1 }, { paymentMethod: 'pm_card_chargeDeclined' }, 'chargePayment'],
  ] as const)('%s', async (_, lines, options, refused) => {
    const { order, saga, result } = await s.place(lines, options);
    await result();
    const told = await expectSettled(order.id, saga);
    expect(told.steps.filter(({ status }) => status === 'refused').map(({ name }) => name)).toEqual([refused]);
  });

  test.each(['reserveInventory', 'chargePayment', 'confirmOrder'] as const)(
    'cancelled in Postgres just before %s',
    async (name) => {
      behaviour.set('chargePayment', async (nth, work) => {
        if (name === 'confirmOrder' && nth === 1) throw new Error('not together with the confirmation');
        return work();
      });
      const turned = behaviour.get(name) ?? ((_: number, work: () => Promise<unknown>) => work());
      const ids: string[] = [];
      behaviour.set(name, async (nth, work) => {
        const orderId = await eventually('the order is known', () => ids[0]);
        await beginUnwinding(s.db, orderId, { reason: 'CANCELLED_BY_CUSTOMER' });
        return turned(nth, work);
      });
      const { order, saga, result } = await s.place({ A: 1 });
      ids.push(order.id);
      expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
      await expectSettled(order.id, saga);
    },
  );

  test('with its charge skipped', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ A: 1 }, { policy });
    await listedAsStuck(s.client, order.id);
    await resolve(saga, { action: 'skip' });
    await result();
    await expectSettled(order.id, saga);
  });
});

describe('the page of a stuck saga offers what helps there, and nothing else:', () => {
  test('of a step, whether it is tried again by itself, until when, and all that may be decided', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await listedAsStuck(s.client, order.id);
    const offers = await offersOf(saga);
    for (const words of ['when its neighbour answers again', 'the signal `retry`', '`skip`', '`compensate`']) {
      expect(offers).toContain(words);
    }
    await resolve(saga, { action: 'compensate' });
    await result();
  });

  test('of a bug, that only an operator has it tried again', async () => {
    behaviour.set('reserveInventory', failing('Bug! Something that cannot be'));
    const { order, saga, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 1_200 } });
    await listedAsStuck(s.client, order.id);
    expect(await offersOf(saga)).toContain('It is not tried again by itself');
    behaviour.clear();
    await resolve(saga, { action: 'retry' });
    await result();
  });

  test('of an undo, no `compensate`', async () => {
    behaviour.set('releaseInventory', failing());
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga, result } = await s.place({ A: 1 }, { policy: { compensationAttentionAfterMs: 300 } });
    await saga.executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] });
    await listedAsStuck(s.client, order.id);
    const offers = await offersOf(saga);
    expect(offers).toContain('`skip`');
    expect(offers).not.toContain('compensate');
    expect(offers).toContain('It is tried again by itself');
    // How often, the saga learns when the activity ends.
    expect(offers).toMatch(/\*\*releaseInventory\*\* has not succeeded since .+ and is still being tried/);
    expect(offers).not.toMatch(/attempt/);
    behaviour.clear();
    await saga.signal('retry');
    await result();
  });
});
