import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ORDER_SAGA, orderSagaId, TASK_QUEUE } from '../../contracts/ids.js';
import { PLAN_VERSION } from '../../contracts/plan.js';
import { STILL_PROCESSED } from '../../contracts/refusals.js';
import type { SagaProgress } from '../../contracts/saga.js';
import { readOrder } from '../../domain/orders.js';
import { eventually } from '../support/conditions.js';
import { accept, assertStockConserved, createTestDatabase, eventTypes, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { ALL_UNDONE } from '../../verification/stories.js';
import { type Cli, cleanEnv, cliOf, runCli } from './cli.js';

let s: SagaStack;
let ops: Cli;
beforeAll(async () => {
  s = await startSagaStack();
  ops = cliOf(s);
  await stock(s.db, 'PLENTY', 1_000);
});
afterEach(async () => {
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(() => s.stop());

const policy = { stepRetryBudgetMs: 1_200 };
const listed = (orderId: string) =>
  eventually('the saga is listed as stuck', async () => {
    const query = `WorkflowId="order-${orderId}" AND SagaState="NEEDS_ATTENTION"`;
    for await (const saga of s.client.workflow.list({ query })) return saga;
    return undefined;
  });
/** An order whose charge has failed for its whole budget. */
async function park(quantity = 1) {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const placed = await s.place({ PLENTY: quantity }, { policy });
  await listed(placed.order.id);
  return placed;
}
async function terminate(orderId: string) {
  await s.client.workflow.getHandle(`order-${orderId}`).terminate('by mistake');
  await eventually('visibility knows', async () => {
    const query = `WorkflowId="order-${orderId}" AND ExecutionStatus="Terminated"`;
    return (await s.client.workflow.count(query)).count > 0;
  });
}
const progressOf = (orderId: string) => s.client.workflow.getHandle(`order-${orderId}`).query<SagaProgress>('progress');
const statusOf = async (orderId: string) => (await readOrder(s.db, orderId))?.status;

describe('stuck', () => {
  test('lists sagas by cause, then oldest and dearest first, with what they hold up and where to look', async () => {
    const [cheap, dear] = [await park(1), await park(3)];
    const { code, document } = await ops.json('stuck', '--step', 'chargePayment', '--failure', 'GatewayUnknown');
    expect(code).toBe(0);
    expect(document.groups).toMatchObject([
      { step: 'chargePayment', failure: 'GatewayUnknown', count: 2, amounts: [{ amount: 4_000, currency: 'USD' }] },
    ]);
    const found = document.sagas.map((saga: { orderId: string }) => saga.orderId);
    // Of one minute, unless the minute has just turned.
    const sameMinute = cheap.order.createdAt.slice(0, 16) === dear.order.createdAt.slice(0, 16);
    expect(found).toEqual(sameMinute ? [dear.order.id, cheap.order.id] : [cheap.order.id, dear.order.id]);
    expect(document.sagas[0].webUrl).toContain(`http://ui.test/namespaces/default/workflows/order-${found[0]}/`);

    const { stdout } = await ops('stuck');
    expect(stdout).toMatch(/2 +chargePayment +GatewayUnknown +\S+ +40\.00 USD/);
    expect(stdout).toContain(`\nIn the Web UI: http://ui.test/namespaces/default/workflows/order-${found[0]}\n`);
    const row = stdout.split('\n').find((line) => line.includes(`order-${dear.order.id}  `)) ?? '';
    expect([row.includes('http'), row.length < 120]).toEqual([false, true]);
    expect(document.sagas).toMatchObject([
      { lastError: expect.stringContaining('payment gateway') },
      { lastError: expect.stringContaining('payment gateway') },
    ]);
    expect(stdout).toMatch(/2 +The payment gateway/); // the last error, once for both
    expect((await ops('stuck', '--failure', 'Other')).stdout).toContain('No saga is stuck at that.');
    await s.heal();
    expect((await ops('retry', '--all', '--yes')).code).toBe(0);
    await Promise.all([cheap.result(), dear.result()]);
  });

  test('is decided on where it was seen: `retry --at` another step, or of one that has ended since, tries nothing', async () => {
    const { order, result } = await park();
    const elsewhere = await ops.json('retry', order.id, '--at', 'reserveInventory', '--yes');
    expect(elsewhere.code).toBe(1);
    expect(elsewhere.document.items).toMatchObject([
      { outcome: 'refused', message: expect.stringContaining('not at reserveInventory') },
    ]);
    await terminate(order.id);
    await s.heal();
    await expect(result()).rejects.toThrow();
    const late = await ops.json('retry', order.id, '--at', 'chargePayment', '--yes');
    expect(late.code).toBe(1);
    expect(late.document.items).toMatchObject([
      { outcome: 'refused', message: expect.stringContaining('was TERMINATED, which was not so') },
    ]);
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 0 });
    const listedAsEnded = await ops.json('retry', '--failure', 'TERMINATED', '--yes');
    expect(listedAsEnded.document.items).toMatchObject([{ orderId: order.id, outcome: 'done', state: 'COMPLETED' }]);
    expect(await s.money(order.id)).toMatchObject({ charges: 1 });
  });

  test('lists a terminated saga until `retry` has restarted it, and keeps who did', async () => {
    const { order } = await park();
    await terminate(order.id);
    await s.heal();
    const { document } = await ops.json('stuck', '--failure', 'TERMINATED');
    expect(document.sagas).toMatchObject([{ orderId: order.id, failure: 'TERMINATED', status: 'PENDING' }]);

    const skipped = await ops.json('skip', order.id, '--reason', 'paid by hand', '--yes');
    expect(skipped.code).toBe(1);
    expect(skipped.document.items).toMatchObject([
      { outcome: 'refused', message: expect.stringContaining('`retry` starts it anew') },
    ]);

    const retried = await ops.json('retry', order.id, '--yes');
    expect(retried.document.items).toMatchObject([{ outcome: 'done', state: 'COMPLETED' }]);
    expect(retried.code).toBe(0);
    expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
    expect((await ops.json('stuck')).document.count).toBe(0);
    const shown = await ops.json('order', order.id);
    expect(shown.document.decisions).toMatchObject([
      { by: 'op-test', what: 'retry', detail: expect.stringContaining('was TERMINATED') },
    ]);
    // What the first run tried, and why it failed, is no less true since.
    expect(shown.document.earlierRuns).toMatchObject([{ workflowId: `order-${order.id}`, execution: 'TERMINATED' }]);
    const [first] = shown.document.earlierRuns as [{ steps: { name: string }[] }];
    const failed = first.steps.find(({ name }) => name === 'chargePayment');
    expect(failed).toMatchObject({ status: 'parked', lastError: expect.stringContaining('payment gateway') });
    expect((await ops('order', order.id)).stdout).toMatch(
      /Earlier run of order-.* TERMINATED: another run has followed it/,
    );
  });
});

describe('deciding', () => {
  test('retry tells that it does not help while the gateway is down, and confirms the order after the repair', async () => {
    const { order, result } = await park();
    const early = await ops.json('retry', order.id, '--yes');
    expect(early.code).toBe(1);
    expect(early.document.items).toMatchObject([
      { outcome: 'failed', message: expect.stringContaining('chargePayment') },
    ]);
    // Healed before, it would succeed by itself, and leave nothing to retry.
    await eventually('it has parked again', async () => (await progressOf(order.id)).state === 'NEEDS_ATTENTION');
    await s.heal();
    const { code, document } = await ops.json('retry', order.id, '--yes');
    expect(document).toMatchObject({
      action: 'retry',
      operator: 'op-test',
      summary: { done: 1 },
      items: [{ state: 'COMPLETED' }],
    });
    expect(code).toBe(0);
    expect(await result()).toEqual({ status: 'CONFIRMED' });
  });

  test('retry tells of a payment that the gateway is still processing that it waits, and goes on to the next', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    // Longer than the 2 s that it takes the sandbox, or they would park again.
    const slow = { policy: { stepRetryBudgetMs: 5_000 }, paymentMethod: 'pm_sandbox_processing' };
    const placed = [await s.place({ PLENTY: 1 }, slow), await s.place({ PLENTY: 1 }, slow)];
    for (const { order } of placed) await listed(order.id);
    await s.heal();
    const { document } = await ops.json('retry', '--all', '--canary', '1', '--yes');
    expect(document.summary).toMatchObject({ waits: 2, failed: 0, 'not-tried': 0 });
    expect(document.items[0].message).toContain(STILL_PROCESSED);
    for (const { result } of placed) expect(await result()).toEqual({ status: 'CONFIRMED' });
  });

  test('retry restarts a saga that was completed by hand, and nothing else that has ended', async () => {
    const { order: other, result } = await s.place({ PLENTY: 1 });
    await result();
    const order = await accept(s.db, { PLENTY: 1 });
    await s.client.workflow.execute(ORDER_SAGA, {
      workflowId: orderSagaId(order.id),
      taskQueue: TASK_QUEUE,
      args: [{ orderId: other.id, policy: PATIENT, planVersion: PLAN_VERSION }],
    });
    expect((await ops.json('retry', other.id, '--yes')).document.items).toMatchObject([{ outcome: 'gone' }]);
    expect((await ops.json('retry', order.id, '--yes')).document.items).toMatchObject([
      { outcome: 'done', state: 'COMPLETED' },
    ]);
    expect(await statusOf(order.id)).toBe('CONFIRMED');
  });

  test('skip vouches for the step in the operator’s name', async () => {
    const { order, result } = await park();
    const { code } = await ops('skip', order.id, '--operator', 'op-9', '--reason', 'paid by bank transfer', '--yes');
    expect(code).toBe(0);
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    const { document } = await ops.json('order', `order-${order.id}`);
    expect(document.payment.status).toBe('SETTLED_OUTSIDE');
    expect(document.decisions).toMatchObject([
      { by: 'op-9', what: 'skip', detail: expect.stringContaining('paid by bank transfer') },
      { by: 'op-9', what: 'chargePayment: skipped' },
    ]);
  });

  test('compensate gives the order up', async () => {
    const { order, result } = await park();
    const { code, document } = await ops.json('compensate', order.id, '--reason', 'ticket 1', '--yes');
    expect(document.items).toMatchObject([{ outcome: 'done', state: 'COMPENSATED' }]);
    expect(code).toBe(0);
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
  });

  test('on an order that is final says so, and is not a success', async () => {
    const { order, result } = await s.place({ PLENTY: 1 });
    await result();
    const { code, document } = await ops.json('compensate', order.id, '--reason', 'ticket 1', '--yes');
    expect(code).toBe(1);
    expect(document.items).toMatchObject([{ outcome: 'gone', message: expect.stringContaining('CONFIRMED') }]);
  });
});

describe('order', () => {
  test('tells the timeline with attempts, errors and times, the money, and the events', async () => {
    const { order, result } = await park();
    const { document } = await ops.json('order', order.id);
    expect(document).toMatchObject({
      order: { id: order.id, status: 'PENDING' },
      payment: { status: null },
      sagas: [{ workflowId: `order-${order.id}`, execution: 'RUNNING', source: 'saga', state: 'NEEDS_ATTENTION' }],
    });
    const steps = (document.sagas[0].steps as { name: string }[]).filter(({ name }) =>
      ['reserveInventory', 'chargePayment', 'confirmOrder'].includes(name),
    );
    expect(steps).toMatchObject([
      { name: 'reserveInventory', status: 'completed', attempts: 1, finishedAt: expect.any(String) },
      { name: 'chargePayment', status: 'parked', lastError: expect.stringContaining('payment gateway') },
      { name: 'confirmOrder', status: 'pending' },
    ]);
    await s.heal();
    await ops('compensate', order.id, '--reason', 'ticket 2', '--yes');
    await result();
    const { code, stdout } = await ops('order', order.id);
    expect(code).toBe(0);
    expect(stdout).toMatch(/CANCELLED \(OPERATOR\) +10\.00 USD/);
    expect(stdout).toMatch(/- +releaseInventory +undone +1/);
    expect(stdout).toMatch(/op-test +compensate +chargePayment, NEEDS_ATTENTION: ticket 2/);
    expect(stdout).toMatch(/\d +\S+ \S+ +order\.cancelled/);
  });

  test('tells what the log knows while Temporal is away', async () => {
    const { order, result } = await s.place({ PLENTY: 1 });
    await result();
    const away = cliOf(s, { TEMPORAL_ADDRESS: '127.0.0.1:1' });
    const { code, document, stderr } = await away.json('order', order.id);
    expect(code).toBe(0);
    expect(stderr).toContain('Temporal does not answer at 127.0.0.1:1');
    expect(document.sagas).toMatchObject([{ source: 'log', state: 'COMPLETED', execution: null }]);
  });
});

describe('cancel', () => {
  test('unwinds a pending order', async () => {
    const { order, result } = await park();
    const { code, document } = await ops.json('cancel', order.id, '--reason', 'recalled', '--yes');
    expect(document.items).toMatchObject([{ outcome: 'done', state: 'COMPENSATED' }]);
    expect(code).toBe(0);
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
    expect(await readOrder(s.db, order.id)).toMatchObject({
      cancellation: { reason: 'OPERATOR', message: 'recalled' },
    });
  });

  test('takes a confirmed order back: refund, release, cancelled', async () => {
    const { order, result } = await s.place({ PLENTY: 2 });
    await result();
    const { code, document } = await ops.json('cancel', order.id, '--reason', 'recalled', '--yes');
    expect(document.items).toMatchObject([
      { workflowId: `order-${order.id}-cancel`, outcome: 'done', state: 'COMPENSATED' },
    ]);
    expect(code).toBe(0);
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 1 });
    expect((await eventTypes(s.db, order.id)).slice(-ALL_UNDONE.length)).toEqual(ALL_UNDONE);
    const again = await ops.json('cancel', order.id, '--reason', 'recalled', '--yes');
    expect(again.document.items).toMatchObject([
      { outcome: 'gone', message: expect.stringContaining('cancelled before') },
    ]);
  });

  test('while Temporal is away is recorded, and honoured by the saga afterwards', async () => {
    const { order, result } = await park();
    const away = cliOf(s, { TEMPORAL_ADDRESS: '127.0.0.1:1' });
    const { code, document } = await away.json('cancel', order.id, '--reason', 'recalled', '--yes');
    expect(code).toBe(0);
    expect(document.items).toMatchObject([{ outcome: 'done', message: expect.stringContaining('recorded') }]);
    expect(await statusOf(order.id)).toBe('PENDING');
    await s.heal();
    expect((await ops('retry', order.id, '--yes')).code).toBe(0);
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'OPERATOR' });
  });

  test('restarts the saga of an order whose saga was terminated', async () => {
    const { order } = await park();
    await terminate(order.id);
    const { code } = await ops('cancel', order.id, '--reason', 'recalled', '--yes');
    expect(code).toBe(0);
    expect(await statusOf(order.id)).toBe('CANCELLED');
  });
});

describe('stock', () => {
  test('shows a SKU, and that its stock and reservations agree', async () => {
    const { code, document } = await ops.json('stock', 'PLENTY');
    expect(code).toBe(0);
    expect(document.items).toMatchObject([{ sku: 'PLENTY', onHand: 1_000, agrees: true }]);
  });

  test('names what is not sold for its price, and shows it alone if asked', async () => {
    const { db, url, drop } = await createTestDatabase();
    try {
      await stock(db, 'SOLD', 10);
      const old = { name: 'x', onHandTotal: 0, available: 0 };
      await db.inventory.create({ data: { ...old, sku: 'OLD-ZZZ', unitPrice: 100, currency: 'ZZZ' } });
      await db.inventory.create({ data: { ...old, sku: 'OLD-KWD', unitPrice: 5_124, currency: 'KWD' } });
      const cli = cliOf({ ...s, databaseUrl: url });
      const whole = await cli.json('stock');
      expect([whole.code, whole.document.items.length]).toEqual([0, 3]);
      const { code, document } = await cli.json('stock', '--unsellable');
      expect([code, document.unsellable]).toEqual([0, ['OLD-KWD', 'OLD-ZZZ']]);
      expect(document.items).toMatchObject([
        { sku: 'OLD-KWD', unsellable: expect.stringContaining('5120 or 5130') },
        { sku: 'OLD-ZZZ', unsellable: expect.stringContaining('ZZZ') },
      ]);
    } finally {
      await drop();
    }
  });

  test('ends with 1 and names the SKU whose reservations do not agree', async () => {
    const { db, url, drop } = await createTestDatabase();
    try {
      await stock(db, 'LOST', 10);
      const order = await accept(db, { LOST: 1 });
      await db.reservation.create({ data: { orderId: order.id, sku: 'LOST', quantity: 1, state: 'RESERVED' } });
      const { code, document } = await cliOf({ ...s, databaseUrl: url }).json('stock');
      expect(code).toBe(1);
      expect(document.broken).toEqual(['LOST']);
    } finally {
      await drop();
    }
  });
});

describe('the exit code', () => {
  const unknownOrder = '00000000-0000-7000-8000-000000000000';
  test.each([
    ['0 for --help', ['--help'], 0, 'Exit codes'],
    ['2 for an unknown command', ['explode'], 2, 'unknown command'],
    ['2 for what is not an id', ['order', 'x'], 2, 'is not the id of an order'],
    ['2 for a decision on nothing', ['retry'], 2, 'Which?'],
    ['2 for a skip without a reason', ['skip', unknownOrder, '--yes'], 2, '--reason is needed'],
    [
      '2 for an operator with a name',
      ['retry', unknownOrder, '--operator', 'Jane Doe', '--yes'],
      2,
      'opaque subject id',
    ],
    ['3 for an order that does not exist', ['order', unknownOrder], 3, 'There is no order'],
    ['3 for a filter that matches nothing', ['retry', '--step', 'cancelOrder', '--yes'], 3, 'No stuck saga matches'],
    ['3 for an unknown SKU', ['stock', 'NONE'], 3, 'There is no SKU NONE'],
  ])('is %s', async (_, args, code, text) => {
    const answer = await ops(...args);
    expect(answer.stdout + answer.stderr).toContain(text);
    expect(answer.code).toBe(code);
  });

  test('is 4, and nothing is done, where there is no terminal to ask on and --yes is missing', async () => {
    const { order, result } = await park();
    const answer = await ops.json('compensate', order.id, '--reason', 'ticket 3');
    expect(answer.code).toBe(4);
    expect(answer.document.error.message).toContain('--yes');
    expect(await statusOf(order.id)).toBe('PENDING');
    await s.heal();
    expect((await ops('retry', order.id, '--yes')).code).toBe(0);
    await result();
  });

  test('is 69 where Temporal or Postgres does not answer, and where there is no installation', async () => {
    const noTemporal = await cliOf(s, { TEMPORAL_ADDRESS: '127.0.0.1:1' })('stuck');
    expect(noTemporal).toMatchObject({
      code: 69,
      stderr: expect.stringContaining('Temporal does not answer at 127.0.0.1:1'),
    });
    const noPostgres = await cliOf({ ...s, databaseUrl: 'postgresql://nobody@127.0.0.1:1/none' })('stock');
    expect(noPostgres).toMatchObject({
      code: 69,
      stderr: expect.stringContaining('Postgres at 127.0.0.1:1 does not answer'),
    });
    const nothing = await runCli(['stock'], { ...cleanEnv(), DATA_DIR: '/nowhere' });
    expect(nothing).toMatchObject({ code: 69, stderr: expect.stringContaining('/nowhere/database-url') });
  });
});

describe('the installation', () => {
  test('on a laptop is found by its data folder', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'order-saga-ops-'));
    try {
      await writeFile(join(dataDir, 'database-url'), `${s.databaseUrl}\n`);
      expect(await runCli(['stock'], { ...cleanEnv(), DATA_DIR: dataDir })).toMatchObject({ code: 0, stderr: '' });
    } finally {
      await rm(dataDir, { recursive: true });
    }
  });

  test('is not put together from a server’s half and a laptop’s', async () => {
    const env = { ...cleanEnv(), DATABASE_URL: 'postgresql://app@db.example.com/orders?sslmode=verify-full' };
    expect(await runCli(['stuck'], env)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('TEMPORAL_ADDRESS is not set'),
    });
  });
});

test('a reader that has seen enough ends nothing with an error', async () => {
  const child = spawn(process.execPath, ['dist/ops/main.js', '--help'], {
    env: cleanEnv(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  child.stdout.destroy();
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(stderr).toBe('');
});
