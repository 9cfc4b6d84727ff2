/** What `ops stuck` and `ops order` say while orders stand still: never that all is well, and what happens next by itself. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { listedAsStuck } from '../support/decisions.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

let s: SagaStack;
let ops: Cli;
beforeAll(async () => {
  s = await startSagaStack();
  ops = cliOf(s, { PAYMENTS_URL: s.sandboxUrl, STRIPE_API_KEY: 'sk_test_saga' });
  await stock(s.db, 'A', 1_000);
});
afterEach(() => s.heal());
afterAll(() => s.stop());

const age = (orderId: string, seconds: number) =>
  s.db.$executeRaw`
    UPDATE orders SET created_at = created_at - ${seconds}::int * interval '1 s' WHERE id = ${orderId}::uuid`;

test('says of orders that have waited for 10 s what they wait for, although none needs a decision yet', async () => {
  expect((await ops('stuck')).stdout).toBe('No saga is stuck.\n');
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const early = await s.place({ A: 1 }); // with minutes of retrying ahead
  await age(early.order.id, 11);
  const standing = await eventually('its charge has been tried as an activity', async () => {
    const { document } = await ops.json('stuck');
    return document.standing[0]?.lastError ? document : undefined;
  });
  expect(standing).toMatchObject({
    count: 0,
    slow: { count: 1, oldest: { orderId: early.order.id } },
    standing: [{ step: 'chargePayment', count: 1, lastError: expect.stringContaining('payment gateway') }],
  });
  const { stdout } = await ops('stuck');
  expect(stdout).not.toContain('No saga is stuck');
  expect(stdout).toMatch(
    /^No saga waits for a decision yet, but not all is well:\n1 order is open for more than 10 s\./,
  );
  expect(stdout).toMatch(new RegExp(`The oldest, for \\S+.*: ops order ${early.order.id}`));
  await s.heal();
  await early.result();
  expect((await ops('stuck')).stdout).toBe('No saga is stuck.\n');
}, 90_000);

test('says that an order waits for a worker, before anybody can know that none comes', async () => {
  await s.dismiss();
  const { order, result } = await s.place({ A: 1 });
  await age(order.id, 11);
  const { document } = await ops.json('stuck');
  expect(document).toMatchObject({ count: 0, standing: [{ waitsFor: 'worker', count: 1 }] });
  const { stdout } = await ops('stuck');
  expect(stdout).not.toContain('No saga is stuck');
  expect(stdout).toMatch(/1 +a worker that takes its task/);
  const shown = await ops.json('order', order.id);
  expect(shown.document.next[0]).toMatchObject({ what: expect.stringContaining('as soon as a worker takes it') });
  await s.engage();
  await result();
}, 90_000);

test('tells how many orders are open even where Temporal does not answer', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const { order, result } = await s.place({ A: 1 });
  await age(order.id, 11);
  const away = await cliOf(s, { TEMPORAL_ADDRESS: '127.0.0.1:1' })('stuck');
  expect(away).toMatchObject({ code: 69, stdout: expect.stringContaining(`ops order ${order.id}`) });
  await s.heal();
  await result();
}, 90_000);

test('an order says what the gateway holds, who placed it, and when it unwinds by itself', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const { order, saga, result } = await s.place(
    { A: 2 },
    { policy: { stepRetryBudgetMs: 1_200, sagaDeadlineMs: 77_000 } },
  );
  await listedAsStuck(s.client, order.id);
  const { code, document } = await ops.json('order', order.id);
  expect({ code, error: document.error }).toEqual({ code: 0 });
  expect(document.order.correlationId).toBe(order.correlationId);
  expect(document.gateway).toMatchObject({ asked: true, holds: 0, charges: [] });
  const { startTime } = await saga.describe();
  expect(document.next).toEqual([
    { what: expect.stringContaining('chargePayment is tried again within 30 s'), at: null },
    {
      what: expect.stringContaining('the order is CANCELLED'),
      at: new Date(startTime.getTime() + 77_000).toISOString(),
    },
  ]);
  await s.heal();
  await ops('retry', order.id, '--yes');
  expect(await result()).toEqual({ status: 'CONFIRMED' });
  const charged = await ops.json('order', order.id);
  expect(charged).toMatchObject({ code: 0 }); // else the document is of an error
  const { gatewayReference } = charged.document.payment;
  expect(charged.document).toMatchObject({
    next: [],
    gateway: {
      asked: true,
      holds: 2_000,
      charges: [{ reference: gatewayReference, state: 'succeeded', received: 2_000, refunded: 0 }],
    },
  });
  const { stdout } = await ops('order', order.id);
  expect(stdout).toContain('gateway  holds 20.00 USD');
  expect(stdout).toContain(`correlation id  ${order.correlationId}`);
  expect(stdout).toContain('next     nothing: the order is final');
  await ops('cancel', order.id, '--reason', 'a test', '--yes');
  expect((await ops('order', order.id)).stdout).toMatch(
    /gateway {2}holds 0\.00 USD\n.*20\.00 USD taken, 20\.00 USD given back/,
  );
}, 120_000);

test('a step that is being retried says when its next try is', async () => {
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const { order, result } = await s.place({ A: 1 });
  const next = await eventually('it backs off', async () => {
    const { document } = await ops.json('order', order.id);
    return (document.next as { what: string; at: string }[]).find(({ what }) =>
      /^try \d+ of chargePayment;/.test(what),
    );
  });
  expect(Date.parse(next.at)).not.toBeNaN();
  await s.heal();
  await result();
}, 90_000);

test('the Web UI says of a running saga that terminating it undoes nothing', async () => {
  const { order, result } = await s.place({ A: 1 });
  const { userMetadata } = await s.client.workflowService
    .describeWorkflowExecution({ namespace: 'default', execution: { workflowId: `order-${order.id}` } })
    .then(({ executionConfig }) => ({ userMetadata: executionConfig?.userMetadata }));
  expect(Buffer.from(userMetadata?.details?.data ?? []).toString()).toContain('Terminating it undoes nothing');
  await result();
});
