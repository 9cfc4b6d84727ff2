/**
 * The generic proof of unwinding. For every step there is: the order begins to unwind before it, and after it; every
 * step fails once before its effect and once after it; every undo fails once and runs twice. Then the slate must be
 * clean. A new step is proved the day it is written: it need only stand in the plan, and every list here comes from there.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { HOLDINGS, PIVOT, PLAN, STEPS, type StepName, stepsOf, UNDOS } from '../../contracts/plan.js';
import { sagaStart } from '../../contracts/saga.js';
import type { SagaActivities, StepInput } from '../../contracts/steps.js';
import type { Database } from '../../domain/database.js';
import { readSku } from '../../domain/inventory.js';
import { beginUnwinding, readOrder } from '../../domain/orders.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, eventTypes, stock } from '../support/database.js';
import { progressOf, statusOf } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

type When = 'before' | 'after';
/** What is to happen at a step, once: set by a test, taken by the activity. */
const script = new Map<StepName, Map<When, (orderId: string) => Promise<void>>>();
const undoRuns = new Map<string, number>();
/** Whether charge and confirmation are two transactions from the first try on, as they are for whatever had trouble. */
let isApart = true;

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({ activities: tamper });
  await stock(s.db, 'A', 100);
  await stock(s.db, 'B', 100);
});
afterAll(() => s.stop());

function tamper(real: SagaActivities, _db: Database): SagaActivities {
  const tampered: SagaActivities = { ...real };
  const at = async (name: StepName, when: When, orderId: string) => {
    const act = script.get(name)?.get(when);
    script.get(name)?.delete(when);
    await act?.(orderId);
  };
  for (const name of STEPS) {
    tampered[name] = async ({ confirm, ...rest }: StepInput) => {
      const input = { ...rest, ...(confirm && !isApart && { confirm }) };
      await at(name, 'before', input.orderId);
      const result = await real[name](input);
      await at(name, 'after', input.orderId);
      return result;
    };
  }
  for (const name of UNDOS) {
    tampered[name] = async (input: StepInput) => {
      const run = (undoRuns.get(`${input.orderId}/${name}`) ?? 0) + 1;
      undoRuns.set(`${input.orderId}/${name}`, run);
      const first = await real[name](input);
      if (run === 1) throw new Error('the undo took effect, but its worker died before it could say so');
      await real[name](input);
      return first;
    };
  }
  return tampered;
}

const fail = async () => {
  throw new Error('planned failure');
};
const decideToUnwind = async (orderId: string) => {
  await beginUnwinding(s.db, orderId, { reason: 'CANCELLED_BY_CUSTOMER' });
};

/** What the shop had before the order, and has again: stock, money, nothing half done. */
async function expectCleanSlate(orderId: string, before: unknown): Promise<void> {
  expect(await Promise.all(['A', 'B'].map((sku) => readSku(s.db, sku)))).toEqual(before);
  expect((await s.money(orderId)).net).toBe(0);
  for (const { table, column, held } of HOLDINGS) expect(await rowsHeld(orderId, table, column, held)).toEqual([]);
  expect((await readOrder(s.db, orderId))?.status).toBe('CANCELLED');
  await assertStockConserved(s.db);
  const types = await eventTypes(s.db, orderId);
  const count = (type: string) => types.filter((t) => t === type).length;
  expect(types.at(-1)).toBe('order.cancelled');
  expect(count('order.cancelled')).toBe(1);
  for (const { undone, done } of stepsOf(PLAN).map(({ events }) => events)) {
    if (undone !== undefined) expect([undone, count(undone)]).toEqual([undone, count(done)]);
  }
}

const rowsHeld = (orderId: string, table: string, column: string, held: readonly string[]) =>
  s.db.$queryRawUnsafe(`SELECT * FROM ${table} WHERE order_id = '${orderId}' AND ${column} = ANY($1::text[])`, held);

const stockNow = () => Promise.all(['A', 'B'].map((sku) => readSku(s.db, sku)));
const named = (steps: readonly { name: string }[]) => steps.map(({ name }) => name as StepName);
const beforePivot = named(PLAN.beforePivot);
const sharing = beforePivot.at(-1) as StepName;
/** The two ways of an order: the second is that of an order without trouble. */
const ways = [
  { way: 'each step in a transaction of its own', apart: true, steps: [...beforePivot, PIVOT], pivot: PIVOT },
  { way: 'charge and confirmation in one', apart: false, steps: beforePivot, pivot: sharing },
];
type Cell = { way: string; apart: boolean; when: When; name: StepName; pivot: StepName };
const cellsOf = ({ way, apart, pivot }: (typeof ways)[number], steps: StepName[]): Cell[] =>
  steps.flatMap((name) => (['before', 'after'] as const).map((when) => ({ way, apart, when, name, pivot })));
/** Steps that may still be turned away from. */
const cells = ways.flatMap((way) => cellsOf(way, way.steps));
/** And those after the pivot, which may only fail. */
const failing = ways.flatMap((way) => cellsOf(way, [...way.steps, ...named(PLAN.afterPivot)]));
beforeEach(() => {
  isApart = true;
});

describe('every step fails once', () => {
  test.each(failing)(
    '$way: $when the effect of $name: the order is confirmed all the same, and charged once',
    async ({ apart, when, name, pivot }) => {
      isApart = apart;
      script.set(name, new Map([[when, fail]]));
      const { order, saga, result } = await s.place({ A: 2, B: 1 });
      expect(await result()).toEqual({ status: 'CONFIRMED' });
      expect(script.get(name)?.size).toBe(0); // the failure did happen
      expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
      expect(await eventTypes(s.db, order.id)).toEqual([
        'order.created',
        ...stepsOf(PLAN).map(({ events }) => events.done),
      ]);
      // What the plan calls held is there: if it were not, asking that nothing is held would prove nothing.
      for (const { table, column, held } of HOLDINGS)
        expect({ table, rows: await rowsHeld(order.id, table, column, held) }).not.toEqual({ table, rows: [] });
      await assertStockConserved(s.db);
      const isUnheard = !apart && when === 'after' && name === pivot;
      if (isUnheard) await recordHistory('confirmed-and-unheard', saga, s.env.address);
    },
  );
});

describe('every order that is unwound', () => {
  test.each(cells.filter(({ when, name, pivot }) => !(when === 'after' && name === pivot)))(
    '$way: $when $name leaves a clean slate, though each undo dies once and runs three times',
    async ({ apart, when, name }) => {
      isApart = apart;
      const before = await stockNow();
      script.set(name, new Map([[when, decideToUnwind]]));
      const { order, saga, result } = await s.place({ A: 2, B: 1 });
      expect(await result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
      expect(script.get(name)?.size).toBe(0);
      await expectCleanSlate(order.id, before);
      if (name === PIVOT) await recordHistory('refused-at-confirmation', saga, s.env.address);
    },
  );

  test.each(ways)('$way: after the pivot goes forward: it is confirmed', async ({ apart, pivot }) => {
    isApart = apart;
    script.set(pivot, new Map([['after', decideToUnwind]]));
    const { order, result } = await s.place({ A: 1 });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect((await readOrder(s.db, order.id))?.status).toBe('CONFIRMED');
  });
});

test('a saga that has confirmed its order without learning of it is shown as it is when it does: all done', async () => {
  isApart = false;
  const failAgain = async () => {
    script.get(sharing)?.set('before', failAgain);
    await fail();
  };
  script.set(sharing, new Map([['after', failAgain]]));
  const { saga, result } = await s.place({ A: 1 });
  await eventually('the charge is being retried', async () => {
    return statusOf(await progressOf(saga), sharing) === 'retrying';
  });
  await saga.cancel(); // from the Web UI: it is too late
  expect(await result()).toEqual({ status: 'CONFIRMED' });
  script.delete(sharing);
  const { state, steps } = await progressOf(saga);
  expect([state, ...steps.map(({ status }) => status)]).toEqual(['COMPLETED', ...STEPS.map(() => 'completed')]);
});

describe('a saga that is terminated while it unwinds, and restarted,', () => {
  test.each(beforePivot)(
    'after %s leaves a clean slate: the second run undoes what the first has done',
    async (name) => {
      const before = await stockNow();
      let isOver = false;
      const stopped = new Promise<void>((resolve) => {
        script.set(
          name,
          new Map([
            [
              'after',
              async (orderId) => {
                await decideToUnwind(orderId);
                await s.client.workflow.getHandle(`order-${orderId}`).terminate('by mistake');
                resolve();
                // Local activities need no server: a first run that is let go on would undo everything before it hears of it.
                await eventually('the second run is over', () => isOver);
              },
            ],
          ]),
        );
      });
      const { order, saga } = await s.place({ A: 2, B: 1 });
      await stopped;
      await expect(saga.result()).rejects.toThrow();
      const { type, options } = sagaStart({ ...order, kind: 'order' }, PATIENT);
      const again = await s.client.workflow.start(type, options);
      expect(await again.result()).toEqual({ status: 'CANCELLED', reason: 'CANCELLED_BY_CUSTOMER' });
      isOver = true;
      await expectCleanSlate(order.id, before);
    },
  );
});

describe('every step that arrives late', () => {
  test.each(STEPS)('(%s), after the order has been unwound, changes nothing', async (name) => {
    const before = await stockNow();
    script.set(sharing, new Map([['before', decideToUnwind]]));
    const { order, result } = await s.place({ A: 2 });
    await result();
    // A zombie: the worker was paused inside the step, and wakes up now.
    await s
      .runActivity(name, { orderId: order.id })
      .catch((err: Error) => expect(err.message).toContain('CANCELLED_BY_CUSTOMER'));
    await expectCleanSlate(order.id, before);
  });

  test('at the gateway: money that lands while the order unwinds is given back', async () => {
    const landed = await startSagaStack({
      gateway: (real, db) => ({
        ...real,
        charge: async (request) => {
          await beginUnwinding(db, request.due.orderId, { reason: 'OPERATOR' }); // decided while the request is on its way
          return real.charge(request);
        },
      }),
    });
    try {
      await stock(landed.db, 'A', 10);
      const { order, result } = await landed.place({ A: 1 });
      expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
      expect(await landed.money(order.id)).toEqual({ net: 0, charges: 1 });
      await assertStockConserved(landed.db);
    } finally {
      await landed.stop();
    }
  });
});
