/** Parked is not abandoned: when the neighbour is back, sagas that had been parked for it go on without an operator. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { NeedsOperator, translated } from '../../activities/failures.js';
import { SAGA_FAILURE, SAGA_STATE, SAGA_STEP, type SagaPolicy } from '../../contracts/saga.js';
import { giveUpLease, takeLease } from '../../domain/leases.js';
import { GatewayUnknown } from '../../gateways/payments.js';
import { startProber } from '../../workers/prober.js';
import { newMemory, pauseMsAfter, probeOnce } from '../../workers/probing.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve, statusOf } from '../support/decisions.js';
import { recordHistory } from '../support/histories.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';
import { SILENT } from '../reconciliation/support.js';

/** What charges meet; some orders may meet something of their own. */
type Trouble = () => Error;
let trouble: Trouble | undefined;
const ownTrouble = new Map<string, Trouble>();
/** Charges that are being tried at this moment, and the most there ever were. */
const side = { now: 0, most: 0 };
/** Whether the gateway answers the prober's one question on behalf of all. */
let isAnswering = true;
const chargesOf = new Map<string, number>();

const unknown = () => new GatewayUnknown('the payment gateway does not answer');
const away = () =>
  Object.assign(new Error('Connection terminated unexpectedly'), { name: 'PrismaClientKnownRequestError' });

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({
    temporalConfig: ['history.visibilityProcessorMaxPollRPS=1'], // as where the product runs
    activities: (real) => ({
      ...real,
      chargePayment: async (input) => {
        chargesOf.set(input.orderId, (chargesOf.get(input.orderId) ?? 0) + 1);
        side.most = Math.max(side.most, ++side.now);
        try {
          const met = ownTrouble.get(input.orderId) ?? trouble;
          if (met && input.skippedBy === undefined) await translated(() => Promise.reject(met()));
          return await real.chargePayment(input);
        } finally {
          side.now--;
        }
      },
    }),
  });
  await stock(s.db, 'A', 1_000);
});
let stopProber: (() => Promise<void>) | undefined;
const gateway = {
  readCharge: async () => {
    if (isAnswering) return null;
    throw unknown();
  },
};
const start = () => startProber({ db: s.db, client: () => s.client, gateway, everyMs: 100, logger: SILENT });
beforeEach(() => {
  trouble = unknown;
  isAnswering = true;
});
afterEach(async () => {
  await stopProber?.();
  stopProber = undefined;
  trouble = undefined;
  ownTrouble.clear();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const policy = { stepRetryBudgetMs: 1_000 };
async function parked(count = 1, changed: Partial<SagaPolicy> = {}) {
  const placed = await Promise.all(
    Array.from({ length: count }, () => s.place({ A: 1 }, { policy: { ...policy, ...changed } })),
  );
  for (const { order } of placed) await listedAsStuck(s.client, order.id);
  return placed;
}
async function parkedOne() {
  const [one] = await parked();
  if (!one) throw new Error('nothing was placed');
  return one;
}
const triesOf = (orderId: string) => chargesOf.get(orderId) ?? 0;
/** Upserts of its state: a saga that comes and goes from the list has many. */
const marks = async (saga: WorkflowHandle) =>
  ((await saga.fetchHistory()).events ?? []).filter(
    ({ upsertWorkflowSearchAttributesEventAttributes: upsert }) =>
      upsert?.searchAttributes?.indexedFields?.[SAGA_STATE.name] !== undefined,
  ).length;

describe('a saga that is parked because the gateway was away', () => {
  test('is left alone while it is, and confirmed by itself when it is back; the log says who woke it', async () => {
    isAnswering = false;
    const { order, saga, result } = await parkedOne();
    const tries = triesOf(order.id);
    let asked = 0;
    stopProber = startProber({
      db: s.db,
      client: () => s.client,
      gateway: {
        readCharge: () => {
          asked++;
          return gateway.readCharge();
        },
      },
      everyMs: 100,
      logger: SILENT,
    });
    await eventually('the gateway has been asked some times', () => asked >= 3);
    expect(triesOf(order.id)).toBe(tries);
    trouble = undefined;
    isAnswering = true;
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    expect(await s.db.sagaLogEntry.findFirst({ where: { orderId: order.id, step: 'chargePayment' } })).toMatchObject({
      outcome: 'completed',
      actor: 'prober',
    });
    const shown = ((await saga.fetchHistory()).events ?? []).map((e) => e.userMetadata?.summary?.data);
    expect(
      shown.map((data) => (data ? Buffer.from(data).toString() : '')).filter((text) => text.includes('probe,')),
    ).toHaveLength(1);
    await recordHistory('parked-then-probed', saga, s.env.address);
  });

  test('stays listed while a try of it fails, without coming and going, and the try is counted', async () => {
    const { order, saga, result } = await parkedOne();
    const before = { marks: await marks(saga), tries: triesOf(order.id) };
    stopProber = start();
    await eventually('it has been tried in vain', () => triesOf(order.id) > before.tries);
    await eventually('it is parked again', async () => {
      const step = (await progressOf(saga)).steps.find(({ name }) => name === 'chargePayment');
      return step?.status === 'parked' && step.attempts === triesOf(order.id);
    });
    expect(await marks(saga)).toBe(before.marks);
    trouble = undefined;
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    await recordHistory('probed-in-vain', saga, s.env.address);
  });

  test('is tried before its deadline only', async () => {
    const [one] = await parked(1, { sagaDeadlineMs: 3_000 });
    stopProber = start();
    expect(await one?.result()).toEqual({ status: 'CANCELLED', reason: 'DEADLINE_EXCEEDED' });
  });
});

test('a saga that is parked because the database was away goes on when it is back', async () => {
  trouble = away;
  const { order, result } = await parkedOne();
  expect((await listedAsStuck(s.client, order.id)).typedSearchAttributes.get(SAGA_FAILURE)).toBe('DatabaseUnavailable');
  trouble = undefined;
  isAnswering = false; // which is no concern of this one's
  stopProber = start();
  expect(await result()).toEqual({ status: 'CONFIRMED' });
});

const signals = async (saga: WorkflowHandle) =>
  ((await saga.fetchHistory()).events ?? []).filter((e) => e.workflowExecutionSignaledEventAttributes).length;

describe('is never tried by the prober:', () => {
  const round = () =>
    probeOnce({ client: s.client, isBack: async () => true, isStopping: () => true, logger: SILENT }, newMemory());

  test('an undo that fails, which tries again by itself', async () => {
    const [one] = await parked(1, { compensationAttentionAfterMs: 300 });
    if (!one) throw new Error('nothing was placed');
    await s.fault({ route: 'lookup', mode: 'down', count: null });
    await resolve(one.saga, { action: 'compensate' });
    await eventually('its undo is listed', async () => {
      const { typedSearchAttributes } = await listedAsStuck(s.client, one.order.id);
      return typedSearchAttributes.get(SAGA_STEP) === 'refundPayment';
    });
    expect(await round()).toEqual({ parked: 0, tried: 0, succeeded: 0 });
    expect(await signals(one.saga)).toBe(0);
    await s.heal();
    expect(await one.result()).toMatchObject({ status: 'CANCELLED' });
  });

  test.each([
    ['a bug', () => new TypeError('x is not a function')],
    ['what needs an operator', () => new NeedsOperator('the amount differs: look at the charge', 'AmountMismatch')],
  ])('%s', async (_, met) => {
    trouble = met;
    const wrong = await parkedOne();
    trouble = unknown;
    const transient = await parkedOne();
    trouble = undefined;
    const tries = triesOf(wrong.order.id);
    // Nor if it is asked by name: what a list says may be old.
    await wrong.saga.signal('retry', { by: 'prober' });
    stopProber = start();
    expect(await transient.result()).toEqual({ status: 'CONFIRMED' });
    expect(triesOf(wrong.order.id)).toBe(tries);
    expect(await signals(wrong.saga)).toBe(1); // ours
    await eventually('it takes no place in the list, once the other has left it', async () => {
      return (await round()).parked === 0;
    });
    expect(statusOf(await progressOf(wrong.saga), 'chargePayment')).toBe('parked');
    await resolve(wrong.saga, { action: 'retry' });
    expect(await wrong.result()).toEqual({ status: 'CONFIRMED' });
  });
});

describe('many parked sagas', () => {
  const round = (memory = newMemory()) =>
    probeOnce({ client: s.client, isBack: async () => true, isStopping: () => false, logger: SILENT }, memory);

  test('are tried one at a time, then twice as many while they succeed; one again after a failure, which waits', async () => {
    const placed = await parked(9);
    trouble = undefined;
    const memory = newMemory();
    const tried: number[] = [];
    for (const width of [1, 2, 4]) {
      side.most = 0;
      tried.push((await round(memory)).tried);
      expect(side.most).toBeLessThanOrEqual(width);
      // Visibility is behind by moments.
      await eventually('those that went on have left the list', async () => {
        const open = await Promise.all(
          placed.map(async ({ saga }) => (await saga.describe()).status.name === 'RUNNING'),
        );
        return open.filter(Boolean).length === 9 - tried.reduce((a, b) => a + b, 0);
      });
      await eventually('the list is true', async () => {
        let listed = 0;
        for await (const _ of s.client.workflow.list({
          query: 'SagaState="NEEDS_ATTENTION" AND ExecutionStatus="Running"',
        }))
          listed++;
        return listed === 9 - tried.reduce((a, b) => a + b, 0);
      });
    }
    expect(tried).toEqual([1, 2, 4]);
    trouble = unknown;
    expect(await round(memory)).toMatchObject({ tried: 2, succeeded: 0 });
    expect(await round(memory)).toMatchObject({ tried: 0 });
    expect(memory.width).toBe(1);
    trouble = undefined;
    memory.notBeforeMs = 0;
    expect(await round(memory)).toMatchObject({ tried: 1, succeeded: 1 });
    stopProber = start();
    await Promise.all(placed.map(({ result }) => result()));
  });

  test('are not tried again once they go on, while the list still shows them as they were', async () => {
    const placed = await parked(5);
    trouble = undefined;
    const memory = newMemory();
    let tried = 0;
    await eventually('all have left the list', async () => {
      const counts = await round(memory);
      tried += counts.tried;
      return counts.parked === 0;
    });
    expect(tried).toBe(placed.length);
    await Promise.all(placed.map(({ result }) => result()));
  });

  test('do not wait for one that fails by itself', async () => {
    const [bad, ...good] = await parked(3);
    if (!bad) throw new Error('nothing was placed');
    ownTrouble.set(bad.order.id, unknown);
    trouble = undefined;
    const memory = newMemory();
    await eventually(
      'the others are confirmed',
      async () => {
        memory.notBeforeMs = 0;
        await round(memory);
        const states = await Promise.all(good.map(({ saga }) => saga.describe()));
        return states.every(({ status }) => status.name === 'COMPLETED');
      },
      30_000,
    );
    ownTrouble.clear();
    await resolve(bad.saga, { action: 'retry' });
    expect(await bad.result()).toEqual({ status: 'CONFIRMED' });
  });
});

test('one process at a time does the work, and another takes over from it', async () => {
  const { order, result } = await parkedOne();
  const tries = triesOf(order.id);
  expect(await takeLease(s.db, 'prober', { owner: 'another', leaseMs: 60_000 })).toBe(true);
  trouble = undefined;
  let looked = 0;
  const client = () => {
    looked++;
    return s.client;
  };
  stopProber = startProber({ db: s.db, client, gateway, everyMs: 50, logger: SILENT });
  await eventually('it has come by some times', () => looked > 3);
  expect(triesOf(order.id)).toBe(tries);
  await giveUpLease(s.db, 'prober', 'another');
  expect(await result()).toEqual({ status: 'CONFIRMED' });
});

test('an operator’s decision comes before a probe, and is not undone by one', async () => {
  const { order, saga, result } = await parkedOne();
  await Promise.all([
    resolve(saga, { action: 'skip', operator: 'op-9' }),
    ...Array.from({ length: 3 }, () => saga.signal('retry', { by: 'prober' }).catch(() => undefined)),
  ]);
  expect(await result()).toEqual({ status: 'CONFIRMED' });
  expect(await s.db.payment.findUnique({ where: { orderId: order.id } })).toMatchObject({ status: 'SETTLED_OUTSIDE' });
});

describe('a saga that goes on failing while its neighbour answers', () => {
  test('is tried ever more rarely, as its history grows, and at once when its neighbour has been away and is back', async () => {
    const { order, result } = await parkedOne();
    const memory = newMemory();
    const round = (isBack = true) => {
      memory.notBeforeMs = 0;
      const probing = { client: s.client, isBack: async () => isBack, isStopping: () => false, logger: SILENT };
      return probeOnce({ ...probing, freeEvents: 0 }, memory);
    };
    expect(await round()).toMatchObject({ tried: 1, succeeded: 0 });
    const tries = triesOf(order.id);
    for (let again = 0; again < 3; again++) expect(await round()).toMatchObject({ parked: 1, tried: 0 });
    expect(triesOf(order.id)).toBe(tries);
    expect(await round(false)).toMatchObject({ tried: 0 });
    expect(await round()).toMatchObject({ tried: 1, succeeded: 0 });
    expect(await round()).toMatchObject({ tried: 0 });
    trouble = undefined;
    await round(false);
    expect(await round()).toMatchObject({ tried: 1, succeeded: 1 });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
  });

  test('is tried again as soon as another one that waited for the same has gone on', async () => {
    const [one, other] = await parked(2);
    if (!one || !other) throw new Error('nothing was placed');
    const memory = newMemory();
    const round = () => {
      memory.notBeforeMs = 0;
      const probing = { client: s.client, isBack: async () => true, isStopping: () => false, logger: SILENT };
      return probeOnce({ ...probing, freeEvents: 0 }, memory);
    };
    expect(await round()).toMatchObject({ tried: 1, succeeded: 0 });
    trouble = undefined;
    expect(await round()).toMatchObject({ tried: 1, succeeded: 1 });
    expect(await round()).toMatchObject({ succeeded: expect.any(Number) });
    await Promise.all([one.result(), other.result()]);
  });

  /** Longer than any saga lives, at a dozen events a try. */
  test('never fills its history, and is tried as before for the whole of an hour', () => {
    const HOUR_MS = 3_600_000;
    let [events, nowMs] = [50, 0];
    while (nowMs < 365 * 24 * HOUR_MS) {
      events += 12;
      const pauseMs = pauseMsAfter(events);
      if (nowMs < HOUR_MS) expect(pauseMs).toBe(0);
      nowMs += Math.max(10_000, pauseMs);
      if (nowMs < 24 * HOUR_MS) expect(events).toBeLessThan(10_000);
    }
    expect(events).toBeLessThan(45_000);
  });
});
