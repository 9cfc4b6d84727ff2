/** The role that the service has where it is deployed (deploy/postgres/roles.sql) may do what the service's loops do. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { claimSpending, engageBrake, purgeSpending, releaseBrake } from '../../domain/brakes.js';
import { identityKeyOf } from '../../domain/customers.js';
import { eraseOrders } from '../../domain/erasure/parts.js';
import { purgeErasedKeys } from '../../domain/erasure/tombstones.js';
import { act } from '../../domain/audit/acts.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { takeLease } from '../../domain/leases.js';
import { operationStarted, operationTold } from '../../domain/operations/acts.js';
import {
  beginNext,
  concludeItem,
  followItems,
  listOperationsToRun,
  noteSending,
  OPERATIONS_LEASE,
  pauseByItself,
  purgeOperations,
  settleOperations,
  takeOperations,
} from '../../domain/operations/carrying-out.js';
import { countUnended, listOperationItems, readOperation } from '../../domain/operations/listing.js';
import { freezeSelection } from '../../domain/operations/preview.js';
import { blankOldDeadLetters, blankOldErasures, blankOldOrders } from '../../domain/personal-retention.js';
import { advancePass, beginSealing, nextPass } from '../../domain/sealing/passes.js';
import { PASS_START, replaceBatch } from '../../domain/replacement.js';
import { purgeKeys } from '../../domain/retention.js';
import { type AppRole, openAsApp } from '../support/app-role.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
let role: AppRole;
let app: AppRole['db'];
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 100);
  role = await openAsApp(t);
  app = role.db;
});
afterAll(async () => {
  await app?.$disconnect();
  await t?.drop();
  await role?.close();
});

const PAGE = 100;

test('replaces clients’ ids in old orders and their events', async () => {
  const { id } = await accept(t.db, { A: 1 }, { customerId: 'cus_of_before' });
  await t.db.$executeRaw`UPDATE orders SET customer_id = 'cus_of_before' WHERE id = ${id}::uuid`;
  await t.db
    .$executeRaw`UPDATE outbox SET data = jsonb_set(data, '{customerId}', '"cus_of_before"') WHERE order_id = ${id}::uuid`;
  await replaceBatch(app, await identityKeyOf(app), PASS_START, PAGE);
  const [row] = await t.db.$queryRaw<{ order: string; event: string }[]>`
    SELECT o.customer_id AS "order", e.data->>'customerId' AS event FROM orders o JOIN outbox e ON e.order_id = o.id AND e.sequence = 1
    WHERE o.id = ${id}::uuid`;
  expect(row?.order).toMatch(/^[0-9a-f]{8}-/);
  expect(row?.event).toBe(row?.order);
});

test.each<[string, () => Promise<unknown>]>([
  ['Idempotency-Keys', () => purgeKeys(app, PAGE)],
  ['tombstones of keys', () => purgeErasedKeys(app, PAGE)],
  ['what counted against a limit', () => purgeSpending(app, PAGE)],
  [
    'what is personal of old orders',
    () => app.$transaction((tx) => blankOldOrders(tx, { olderThanMs: 0, limit: PAGE })),
  ],
  ['what was said of dead letters', () => blankOldDeadLetters(app, 0, PAGE)],
  ['reasons of erasures', () => blankOldErasures(app, 0, PAGE)],
])('removes %s', async (_, work) => {
  await work();
});

test('erases what is personal of a customer who is being erased, in orders and their texts, and of nobody else', async () => {
  const { id, customer } = await accept(t.db, { A: 1 }, { customerId: 'cus_erased' });
  const identityKey = await identityKeyOf(app);
  await t.db.$executeRaw`UPDATE orders SET status = 'CONFIRMED' WHERE id = ${id}::uuid`;
  const erase = () => app.$transaction((tx) => eraseOrders(tx, identityKey, customer, { place: null, limit: PAGE }));
  expect((await erase()).counts).toMatchObject({ orders: 1, events: 0 });
  await t.db.$executeRaw`UPDATE orders SET payment_method = 'pm_1' WHERE id = ${id}::uuid`;
  await t.db.$executeRaw`UPDATE customers SET erasing_since = now() WHERE reference = ${customer}::uuid`;
  expect((await erase()).counts).toMatchObject({ orders: 1, events: 1 });
});

test('previews, starts, carries out, pauses and aborts an operation, and lists it', async () => {
  const { id: orderId, total } = await accept(t.db, { A: 1 });
  const [seen, told] = [{ state: 'NEEDS_ATTENTION', step: 'chargePayment', failure: 'GatewayUnknown' }, 'op-7'];
  const candidates = [{ orderId, total, workflowId: `order-${orderId}`, deadLetterId: null, seen }];
  const preview = { action: 'retry', selection: { orderIds: 1 }, previewedBy: told, candidates } as const;
  const id = await freezeSelection(app, preview as never);
  const word = { id, operator: told, reason: 'ticket 4711' };
  const actor = { subject: told, route: 'test', correlationId: 'test', source: null };
  const started = operationStarted({ ...word, expectedCount: 1, canary: [1], ratePerSecond: 5 });
  expect((await act(app, auditKeys([]), actor, started)).result).toEqual({ outcome: 'started' });
  const runner = 'runner-a';
  await takeLease(app, OPERATIONS_LEASE, { owner: runner, leaseMs: 60_000 });
  await takeOperations(app, runner);
  expect(await listOperationsToRun(app, runner)).toHaveLength(1);
  expect(await beginNext(app, { id, runner }, 1)).toMatchObject({ no: 1 });
  await noteSending(app, { id, runner }, 1, randomUUID());
  for (const next of ['pause', 'resume'] as const)
    expect((await act(app, auditKeys([]), actor, operationTold(next, word))).result).toBe('done');
  await takeOperations(app, runner);
  await concludeItem(app, { id, runner }, { no: 1, state: 'failed', outcome: null, message: 'm' });
  await pauseByItself(app, { id, runner }, 'the canary has failed');
  await act(app, auditKeys([]), actor, operationTold('abort', word));
  for (const work of [followItems, settleOperations, purgeOperations, countUnended]) await work(app);
  expect(await readOperation(app, id)).toMatchObject({ state: 'aborted', counts: { failed: 1, open: 0 } });
  expect(await listOperationItems(app, id, {}, PAGE)).toHaveLength(1);
});

test('begins to seal, and goes on with it', async () => {
  await beginSealing(app);
  const pass = await nextPass(app);
  expect(pass).toMatchObject({ name: 'customers' });
  if (pass) await advancePass(app, pass, { place: randomUUID(), looked: 1, sealed: 0 });
});

test('engages a limit, counts against it, adds a currency to it, and releases it', async () => {
  const { id: orderId } = await accept(t.db, { A: 1 });
  const word = { brake: 'spending', operator: 'op-7', reason: 'ticket 4711' } as const;
  await app.$transaction((tx) => engageBrake(tx, { ...word, limits: { USD: 1_500 } }));
  const due = { orderId, currency: 'USD', amount: 1_000 };
  expect(await claimSpending(app, due)).toBe(true);
  expect(await claimSpending(app, { ...due, orderId: (await accept(t.db, { A: 1 })).id })).toBe(false);
  await app.$transaction((tx) => engageBrake(tx, { ...word, limits: { USD: 1_500, EUR: 1_500 } }));
  expect(await app.$transaction((tx) => releaseBrake(tx, word))).toBe(true);
});

test('a charge that waits while the limit is changed is held against the new one', async () => {
  const { id: orderId } = await accept(t.db, { A: 1 });
  const engaging = { brake: 'spending', operator: 'op-7', reason: 'fraud wave' } as const;
  await engageBrake(t.db, { ...engaging, limits: { USD: 1_000_000 } });
  let claiming: Promise<boolean> | undefined;
  await t.db.$transaction(async (tx) => {
    await engageBrake(tx, { ...engaging, limits: { USD: 0 } });
    claiming = claimSpending(app, { orderId, currency: 'USD', amount: 1_000 });
    await expect(
      Promise.race([claiming, new Promise((resolve) => setTimeout(resolve, 300, 'it waits'))]),
    ).resolves.toBe('it waits');
  });
  expect(await claiming).toBe(false);
  await releaseBrake(t.db, engaging);
});
