/**
 * `after-restore`, on a real installation whose sides disagree as they do after a restore: a database that is older than Temporal, one that is
 * newer, a Temporal that has lost everything, and a gateway that has charged for orders which neither knows. Each difference is listed,
 * nothing that is well is; and after `--apply` every order comes to its end, with its money, stock and events right.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Worker } from '@temporalio/worker';
import pg from 'pg';
import { pino } from 'pino';
import { chargeKey, cancelOrderSagaId, orderSagaId } from '../../contracts/ids.js';
import type { StoredOrder } from '../../contracts/orders.js';
import { sagaStart } from '../../contracts/saga.js';
import { markStarted } from '../../domain/acceptance.js';
import type { Database } from '../../domain/database.js';
import { readStanding } from '../../domain/installation.js';
import { readOrder, requestCancellation } from '../../domain/orders.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { type Difference, type DifferenceKind, differenceOf } from '../../ops/after-restore/difference.js';
import { settleDifference } from '../../ops/after-restore/settle.js';
import { readSides } from '../../ops/after-restore/sides.js';
import { reconcileOnce } from '../../reconciliation/pass.js';
import type { DatabaseClient } from '../../runtime/database.js';
import { describeRun } from '../../sagas/describe.js';
import { listUnknownOrders } from '../../verification/sources/standings.js';
import { createActivities, createWorker } from '../../workers/worker.js';
import { eventually } from '../support/conditions.js';
import {
  accept,
  assertStockConserved,
  copyDatabase,
  createTestDatabase,
  stock,
  type TestDatabase,
} from '../support/database.js';
import { workflowBundle } from '../support/histories.js';
import { expectRight } from '../support/invariants.js';
import { readCharges, readFacts, readSagas } from '../support/ledgers.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

const LIMIT_MS = 90_000;
const SILENT = pino({ level: 'silent' });

let s: SagaStack;
/** The database that goes on after the restore. */
let restored: TestDatabase;
let cli: Cli;
let worker: { worker: Worker; running: Promise<void> } | undefined;
/** A charge's order that no side has. */
const nowhere = randomUUID();
/** Orders that are gone, with their sagas. */
const lost = new Set<string>();

beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 1_000);
}, LIMIT_MS);
afterEach(() => s.heal());
afterAll(async () => {
  await dismiss();
  await restored?.drop();
  await s?.stop();
}, 60_000);

const gateway = () => createPaymentGateway({ url: s.sandboxUrl, apiKey: 'sk_test_saga', timeoutMs: 5_000 });

/** A worker on the restored database. */
async function engage(): Promise<void> {
  const made = await createWorker({
    connection: s.env.nativeConnection,
    namespace: 'default',
    activities: createActivities({ db: restored.db, gateway: gateway() }),
    workflowBundle: workflowBundle(),
    logger: SILENT,
  });
  worker = { worker: made, running: made.run() };
}

async function dismiss(): Promise<void> {
  const was = worker;
  worker = undefined;
  was?.worker.shutdown();
  await was?.running;
}

async function listed(): Promise<Record<string, { kind: DifferenceKind; does: string; held: number }>> {
  const { document } = await cli.json('after-restore', '--since', '1h');
  const all = document.differences as {
    orderId: string;
    kind: DifferenceKind;
    remedy: { do: string };
    held: unknown[];
  }[];
  return Object.fromEntries(
    all.map(({ orderId, kind, remedy, held }) => [orderId, { kind, does: remedy.do, held: held.length }]),
  );
}

const apply = async (...more: string[]) => {
  const { code, document } = await cli.json(
    'after-restore',
    '--since',
    '1h',
    '--apply',
    '--yes',
    '--reason',
    'drill',
    ...more,
  );
  return { code, items: document.items as { orderId: string; outcome: string }[] };
};

/** Visibility trails. */
const shows = (query: string, count: number) =>
  eventually(
    `visibility shows ${count} of ${query}`,
    async () => (await s.client.workflow.count(query)).count === count,
  );

const statusOf = async (db: Database, id: string) => (await readOrder(db, id))?.status;

/** Every saga has ended, but those of lost orders, and what is left is right. */
async function expectAllRight(): Promise<void> {
  const isKnown = (workflowId: string) => ![...lost].some((id) => workflowId.includes(id));
  const sagas = await eventually(
    'all sagas have ended',
    async () => {
      const newest = new Map((await readSagas(s.client)).reverse().map((saga) => [saga.workflowId, saga]));
      const all = [...newest.values()].filter(({ workflowId }) => isKnown(workflowId));
      return all.every(({ status }) => status === 'COMPLETED') && all;
    },
    30_000,
  );
  const facts = await readFacts((sql) => restored.db.$queryRawUnsafe(sql));
  const charges = await readCharges(s.sandboxUrl);
  const ofLost = charges.filter(({ orderId }) => orderId !== null && lost.has(orderId));
  expect(ofLost.filter(({ holds }) => holds !== 0)).toEqual([]);
  expectRight({ ...facts, sagas, charges: charges.filter((charge) => !ofLost.includes(charge)) });
}

async function takeBack(id: string): Promise<void> {
  const why = { reason: 'CANCELLED_BY_CUSTOMER' } as const;
  await requestCancellation(s.db, id, why);
  const order = await readOrder(s.db, id);
  if (!order) throw new Error('there is no such order');
  const { type, options } = sagaStart({ ...order, kind: 'cancellation', ...why }, PATIENT);
  await (await s.client.workflow.start(type, options)).result();
}

test(
  'a database that is older than Temporal and the gateway: each order ends as its caller was told, or is named, and no charge is kept',
  async () => {
    const ended = async () => {
      const { order, result } = await s.place({ A: 1 });
      await result();
      return order.id;
    };
    const untouched = await ended();
    const takenBack = await ended();
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const placeOpen = (paymentMethod = 'pm_card_visa') => s.place({ A: 1 }, { paymentMethod });
    const [confirmed, declined, cancelled] = [
      await placeOpen(),
      await placeOpen('pm_card_chargeDeclined'),
      await placeOpen(),
    ];
    const reserved = async (id: string) => (await s.db.reservation.count({ where: { orderId: id } })) === 1;
    for (const { order } of [confirmed, declined, cancelled])
      await eventually('it is reserved', () => reserved(order.id));
    const ahead = await accept(s.db, { A: 1 });
    const none = await accept(s.db, { A: 1 }); // the sweep's: no saga was begun yet

    // The moment that is restored to. What follows is forgotten by the database alone.
    restored = await copyDatabase(s.databaseUrl);
    cli = cliOf({ databaseUrl: restored.url, env: s.env }, { PAYMENTS_URL: s.sandboxUrl });

    await requestCancellation(s.db, cancelled.order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await s.heal();
    for (const { result } of [confirmed, declined, cancelled]) await result();
    expect(await statusOf(s.db, confirmed.order.id)).toBe('CONFIRMED');
    await takeBack(takenBack);
    const lostPaid = await ended();
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { type, options } = sagaStart({ ...ahead, kind: 'order' }, PATIENT);
    await s.client.workflow.start(type, options);
    await eventually('it is reserved', () => reserved(ahead.id));
    const lostOpen = (await placeOpen()).order.id;
    await eventually('it is reserved', () => reserved(lostOpen));
    await s.dismiss();
    await s.heal();
    const { id: installationId } = await readStanding(s.db);
    const due = { orderId: nowhere, installationId, amount: 1_000, currency: 'USD' };
    const since = new Date();
    const made = await gateway().charge({
      ...{ due, paymentMethod: 'pm_card_visa', idempotencyKey: chargeKey(nowhere), since },
      lookUp: async () => ({ spans: [], dbNow: since }),
    });
    expect(made.outcome).toBe('charged');
    await shows('ExecutionStatus="Running"', 2);
    await shows('ExecutionStatus="Completed"', 7);

    const differs = {
      [confirmed.order.id]: { kind: 'ORDER_BEHIND', does: 'restart', held: 1 },
      [declined.order.id]: { kind: 'ORDER_BEHIND', does: 'unwind', held: 0 },
      [cancelled.order.id]: { kind: 'ORDER_BEHIND', does: 'unwind', held: 0 },
      [ahead.id]: { kind: 'SAGA_AHEAD', does: 'restart', held: 0 },
      [none.id]: { kind: 'SAGA_MISSING', does: 'restart', held: 0 },
      [takenBack]: { kind: 'CANCELLATION_LOST', does: 'unwind', held: 0 },
      [lostPaid]: { kind: 'ORDER_LOST', does: 'nothing', held: 1 },
      [lostOpen]: { kind: 'ORDER_LOST', does: 'end-saga', held: 0 },
      [nowhere]: { kind: 'ORDER_LOST', does: 'nothing', held: 1 },
    };
    expect(await listed()).toEqual(differs);
    const gone = [lostPaid, lostOpen, nowhere];
    const unknown = () => listUnknownOrders(restored.db as DatabaseClient, gone);
    expect((await unknown()).sort()).toEqual(gone.toSorted());
    for (const id of [lostPaid, lostOpen, nowhere]) lost.add(id);

    const { code, items } = await apply('--refund-lost');
    expect([code, items.length, items.filter(({ outcome }) => outcome !== 'done')]).toEqual([0, 9, []]);
    // A saga that Temporal knows for days is a known difference from here on.
    expect(await unknown()).toEqual([]);
    await engage();
    await reconcileOnce({ db: restored.db, gateway: gateway(), installationId, owner: 'test', logger: SILENT });
    await expectAllRight();
    const ends = await Promise.all(
      [untouched, takenBack, confirmed.order.id, declined.order.id, cancelled.order.id, ahead.id, none.id].map((id) =>
        statusOf(restored.db, id),
      ),
    );
    expect(ends).toEqual(['CONFIRMED', 'CANCELLED', 'CONFIRMED', 'CANCELLED', 'CANCELLED', 'CONFIRMED', 'CONFIRMED']);
    expect(await s.money(takenBack)).toEqual({ net: 0, charges: 1 });
    expect(await s.money(confirmed.order.id)).toEqual({ net: 1_000, charges: 1 });
    const acts = await restored.db.$queryRaw<{ n: bigint }[]>`
    SELECT count(DISTINCT resource) AS n FROM audit_acts WHERE route = 'ops after-restore --apply' AND reason = 'drill'`;
    expect(Number(acts[0]?.n)).toBeGreaterThanOrEqual(8);
    await dismiss();
  },
  LIMIT_MS,
);

test(
  'a Temporal that is older, or has lost everything: what is open is begun anew, what is final stays as it is, nothing is charged twice',
  async () => {
    const { db } = restored;
    const start = async (id: string) => {
      const order = await readOrder(db, id);
      if (!order) throw new Error('there is no such order');
      const { type, options } = sagaStart({ ...order, kind: 'order' }, PATIENT);
      await markStarted(db, [{ id, kind: 'order' }]);
      return s.client.workflow.start(type, options);
    };
    await engage();
    const older = await accept(db, { A: 1 });
    const charged = await accept(db, { A: 1 });
    const takenBack = await accept(db, { A: 1 });
    for (const { id } of [older, charged, takenBack]) await (await start(id)).result();
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const open = await accept(db, { A: 1 });
    await start(open.id);
    await eventually('it is reserved', async () => (await db.reservation.count({ where: { orderId: open.id } })) === 1);
    await dismiss();
    await s.heal();
    await requestCancellation(db, takenBack.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await markStarted(db, [{ id: takenBack.id, kind: 'cancellation' }]);
    // Temporal forgets what it has seen of one since it was begun, and all of the others.
    const { events } = await s.client.workflow.getHandle(orderSagaId(older.id)).fetchHistory();
    const first = events?.find((event) => event.workflowTaskCompletedEventAttributes)?.eventId;
    await s.client.workflowService.resetWorkflowExecution({
      ...{ namespace: 'default', requestId: randomUUID(), reason: 'older', workflowTaskFinishEventId: first ?? null },
      workflowExecution: { workflowId: orderSagaId(older.id) },
    });
    const forget = async (id: string) => {
      const workflowExecution = { workflowId: orderSagaId(id) };
      await s.client.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution });
      const isGone = async () => (await describeRun(s.client, orderSagaId(id))) === null;
      await eventually('Temporal has lost it', isGone, 40_000);
    };
    await Promise.all([charged.id, takenBack.id, open.id].map(forget));
    await shows('ExecutionStatus="Running"', 1);
    // Lost orders are named for as long as Temporal knows their sagas.
    const differs = Object.fromEntries(Object.entries(await listed()).filter(([id]) => !lost.has(id)));
    expect(differs).toEqual({
      [older.id]: { kind: 'SAGA_BEHIND', does: 'nothing', held: 1 },
      [takenBack.id]: { kind: 'SAGA_MISSING', does: 'restart', held: 1 },
      [open.id]: { kind: 'SAGA_MISSING', does: 'restart', held: 0 },
    });
    const { code, items } = await apply();
    expect([code, items.map(({ orderId }) => orderId).sort()]).toEqual([0, [takenBack.id, open.id].sort()]);
    await engage();
    await s.client.workflow.getHandle(cancelOrderSagaId(takenBack.id)).result();
    await s.client.workflow.getHandle(orderSagaId(open.id)).result();
    await s.client.workflow.getHandle(orderSagaId(older.id)).result();
    const ends = await Promise.all([older, charged, takenBack, open].map(({ id }) => statusOf(db, id)));
    expect(ends).toEqual(['CONFIRMED', 'CONFIRMED', 'CANCELLED', 'CONFIRMED']);
    for (const { id } of [older, charged, open]) expect(await s.money(id)).toEqual({ net: 1_000, charges: 1 });
    expect(await s.money(takenBack.id)).toEqual({ net: 0, charges: 1 });
  },
  LIMIT_MS,
);

test(
  'what goes on while it is looked at: a saga that ends meanwhile is no difference, and an order that is there is not ended as lost',
  async () => {
    const { db } = restored;
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { id } = await accept(db, { A: 1 });
    const order = await readOrder(db, id);
    if (!order) throw new Error('there is no such order');
    const { type, options } = sagaStart({ ...order, kind: 'order' }, PATIENT);
    const saga = await s.client.workflow.start(type, options);
    await eventually('it is reserved', async () => (await db.reservation.count({ where: { orderId: id } })) === 1);

    const lost: Difference = { orderId: id, kind: 'ORDER_LOST', says: '', remedy: { do: 'end-saga' }, held: [] };
    const signature = { operator: 'op-test', reason: 'drill' };
    const recorder = { act: unrecorded, announce: unrecorded, conclude: unrecorded };
    const settling = { db, client: s.client, policy: PATIENT, recorder, signature, refundLost: true };
    expect((await settleDifference(settling, lost)).outcome).toBe('failed');
    expect((await saga.describe()).status.name).toBe('RUNNING');

    // The order was read by then; the saga is asked for once it has ended.
    const ended = async <T>(deadline: number | Date, ask: () => Promise<T>) => {
      await s.heal();
      await saga.result();
      return s.client.withDeadline(deadline, ask);
    };
    const client = new Proxy(s.client, {
      get: (of, name) => (name === 'withDeadline' ? ended : Reflect.get(of, name)),
    });
    const { id: installationId } = await readStanding(db);
    const sides = await readSides({ db, client, ledger: gateway(), installationId }, new Date());
    const side = sides.find(({ orderId }) => orderId === id);
    expect(side?.saga?.status).toBe('COMPLETED');
    expect(side && differenceOf(side)).toBeUndefined();
  },
  LIMIT_MS,
);

test('of a database that has none of the orders that Temporal knows nothing is settled', async () => {
  const other = await createTestDatabase();
  try {
    const { code, stderr } = await cliOf(
      { databaseUrl: other.url, env: s.env },
      { PAYMENTS_URL: s.sandboxUrl },
    )(...['after-restore', '--since', '1h', '--apply', '--yes', '--reason', 'the wrong shell']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('is DATABASE_URL the right one?')]);
  } finally {
    await other.drop();
  }
});

const unrecorded = async () => undefined as never;

test(
  'workers that run on over a database that lost an order’s tail charge and confirm nothing, say why, and what is settled ends right',
  async () => {
    const before = restored;
    const { db } = before;
    await stock(db, 'B', 10);
    const [unconfirmed, uncharged] = [await accept(db, { B: 1 }), await accept(db, { A: 1 })];
    const standby = await copyDatabase(before.url); // what follows never reaches it
    const begin = async (order: StoredOrder) => {
      await s.fault({ route: 'charge', mode: 'down', count: null });
      const { type, options } = sagaStart({ ...order, kind: 'order' }, PATIENT);
      await s.client.workflow.start(type, options);
      const hasTried = async () =>
        (await db.$queryRaw<[]>`SELECT FROM charge_attempts WHERE order_id = ${order.id}::uuid`).length > 0;
      await eventually('its first charge has failed', hasTried, 30_000);
    };
    const locking = new pg.Client({ connectionString: before.url });
    locking.on('error', () => undefined); // where the test fails first, it goes with its database
    await locking.connect();
    await begin(unconfirmed);
    await locking.query("BEGIN; SELECT FROM inventory WHERE sku = 'B' FOR UPDATE");
    await s.heal();
    await eventually(
      'it is charged',
      async () => (await db.payment.count({ where: { orderId: unconfirmed.id } })) === 1,
      30_000,
    );
    await begin(uncharged);
    await dismiss();
    await locking.end();
    await s.heal();

    restored = standby;
    await before.drop();
    cli = cliOf({ databaseUrl: standby.url, env: s.env }, { PAYMENTS_URL: s.sandboxUrl });
    await engage();
    const ids = [unconfirmed.id, uncharged.id].sort();
    await eventually('both wait for an operator, and say why', async () => {
      const { document } = await cli.json('stuck');
      const sagas = document.sagas as { orderId: string; failure: string; step: string }[];
      const lost = sagas.filter(({ failure }) => failure === 'HoldingLost');
      return JSON.stringify(lost.map(({ orderId }) => orderId).sort()) === JSON.stringify(ids);
    });
    for (const id of ids) expect(await statusOf(standby.db, id)).toBe('PENDING');
    expect(await s.money(uncharged.id)).toEqual({ net: 0, charges: 0 });
    const differs = await listed();
    expect(differs[uncharged.id]).toEqual({ kind: 'SAGA_AHEAD', does: 'restart', held: 0 });
    expect(differs[unconfirmed.id]).toEqual({ kind: 'SAGA_AHEAD', does: 'restart', held: 1 });
    const { code, items } = await apply();
    expect([code, items.map(({ orderId }) => orderId).sort()]).toEqual([0, ids]);
    for (const id of ids) {
      await s.client.workflow.getHandle(orderSagaId(id)).result();
      expect(await standby.db.reservation.count({ where: { orderId: id, state: 'SOLD' } })).toBe(1);
      expect(await statusOf(standby.db, id)).toBe('CONFIRMED');
      expect(await s.money(id)).toEqual({ net: 1_000, charges: 1 });
    }
    await assertStockConserved(standby.db);
  },
  LIMIT_MS,
);
