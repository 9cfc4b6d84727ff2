/** Orders whose own start fails must not keep the others waiting; Temporal being away is another matter. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Client, ServiceError, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { orderIdOf } from '../../contracts/ids.js';
import { type Failing, startUnstartedOnce } from '../../relay/sweep.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { keepLog } from '../support/log.js';

let t: TestDatabase;
let asked: string[];
/** What Temporal answers to the start of an order's saga. */
let answer: (orderId: string) => Error | undefined;
const failing: Failing = new Map();

const INVALID_ARGUMENT = 3;
const UNAVAILABLE = 14;
const refusal = (code: number) =>
  new ServiceError('Failed to start Workflow', {
    cause: Object.assign(new Error(`${code}`), { code, details: '', metadata: {} }),
  });

const client = {
  withDeadline: (_deadline: number, work: () => Promise<unknown>) => work(),
  workflow: {
    start: async (_type: string, { workflowId }: { workflowId: string }) => {
      asked.push(orderIdOf(workflowId));
      const err = answer(orderIdOf(workflowId));
      if (err) throw err;
      return { eagerlyStarted: false, firstExecutionRunId: 'run-1' };
    },
  },
} as unknown as Client;
const policy = { stepRetryBudgetMs: 1, sagaDeadlineMs: 1, compensationAttentionAfterMs: 1 };
const inHand = new Set<string>();
const { logger, lines } = keepLog();
const sweep = () => startUnstartedOnce({ db: t.db, client, policy, failing, inHand, logger });

beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
beforeEach(() => {
  asked = [];
  lines.length = 0;
  failing.clear();
  inHand.clear();
});
afterAll(() => t.drop());

/** Orphans, oldest first. */
async function orphans(count: number): Promise<string[]> {
  await t.db.order.updateMany({ data: { sagaStartedAt: new Date() } });
  const orders = [];
  for (let i = 0; i < count; i++) orders.push(await accept(t.db, { A: 1 }));
  for (const [i, { id }] of orders.entries())
    await t.db.order.update({ where: { id }, data: { createdAt: new Date(Date.now() - 3_600_000 + i) } });
  return orders.map(({ id }) => id);
}

test('orders that cannot be started, at the head of the list, do not starve the others', async () => {
  const ids = await orphans(230);
  const bad = new Set(ids.slice(0, 210)); // more than one sweep takes
  answer = (id) => (bad.has(id) ? refusal(INVALID_ARGUMENT) : undefined);
  const from = performance.now();
  const first = await sweep();
  expect(first).toMatchObject({ started: 0, more: true });
  expect(first.errors).toHaveLength(200);
  const second = await sweep();
  expect(second).toMatchObject({ started: 20, more: false });
  // They are tried again, but not with every sweep.
  for (const entry of failing.values()) {
    expect(entry.nextTryAtMs).toBeGreaterThan(from + 900);
    entry.nextTryAtMs = Number.POSITIVE_INFINITY;
  }
  asked = [];
  await sweep();
  expect(asked).toEqual([]);
  for (const entry of failing.values()) entry.nextTryAtMs = 0;
  answer = () => undefined;
  while ((await sweep()).more) {
    // the next two hundred
  }
  expect(new Set(asked)).toEqual(bad);
  expect(failing.size).toBe(0);
});

test('a saga that runs already counts as started', async () => {
  const [id = ''] = await orphans(1);
  answer = () => new WorkflowExecutionAlreadyStartedError('it runs', `order-${id}`, 'OrderSaga');
  expect(await sweep()).toMatchObject({ started: 1, errors: [] });
  expect(await sweep()).toMatchObject({ started: 0 });
  expect(lines).toEqual([]);
});

test('each saga that the sweep starts is told in its order’s own story', async () => {
  const ids = await orphans(2);
  answer = () => undefined;
  await sweep();
  const orders = await t.db.order.findMany({ where: { id: { in: ids } }, select: { id: true, correlationId: true } });
  const told = orders.map(({ id, correlationId }) => ({
    ...{ level: 'info', msg: 'saga started', correlationId, orderId: id, workflowId: `order-${id}`, runId: 'run-1' },
  }));
  expect(lines).toHaveLength(2);
  expect(lines).toEqual(expect.arrayContaining(told));
});

test('when Temporal is away, the sweep ends early, and forgets nothing', async () => {
  await orphans(100);
  answer = () => refusal(UNAVAILABLE);
  await expect(sweep()).rejects.toThrow('Failed to start Workflow');
  expect(asked.length).toBeLessThanOrEqual(16);
  answer = () => undefined;
  expect(await sweep()).toMatchObject({ started: 100 });
});

test('orders that this process starts itself are left to it, until it has done so or given up', async () => {
  const [mine, orphan] = await orphans(2);
  answer = () => undefined;
  inHand.add(mine as string);
  expect(await sweep()).toMatchObject({ started: 1, more: false });
  expect(asked).toEqual([orphan]);
  inHand.clear();
  await sweep();
  expect(asked).toEqual([orphan, mine]);
});
