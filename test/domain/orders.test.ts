import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { acceptOrder, listUnstarted, markStarted } from '../../domain/acceptance.js';
import { listLockedSkus, putSku, readSku, releaseInventory, reserveInventory } from '../../domain/inventory.js';
import { confirmOrder, finishOrder } from '../../domain/confirmation.js';
import { beginUnwinding, cancelOrder, listOrders, readOrder, requestCancellation } from '../../domain/orders.js';
import { recordCharge, recordDecline, recordRefund, shutPayment } from '../../domain/payments.js';
import { countSlowOrders, listWaitingOrders } from '../../domain/stuck-sagas.js';
import { eventually } from '../support/conditions.js';
import {
  accept,
  assertStockConserved,
  createTestDatabase,
  eventTypes,
  stock,
  type TestDatabase,
} from '../support/database.js';

let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
});
afterAll(() => t.drop());

const done = { outcome: 'done' };
const refused = (reason: string) => ({ outcome: 'refused', reason });

async function readyToConfirm(sku: string): Promise<string> {
  const { db } = t;
  const { id } = await accept(db, { [sku]: 1 });
  expect(await reserveInventory(db, id)).toEqual(done);
  expect(await recordCharge(db, id, `pi_${id}`)).toEqual(done);
  return id;
}

describe('a confirmed order', () => {
  test('has exactly its four events, its stock sold, and every step may be run again', async () => {
    const { db } = t;
    await stock(db, 'HAPPY', 5);
    const { id } = await accept(db, { HAPPY: 2 });
    for (const step of [
      reserveInventory,
      reserveInventory,
      (d: typeof db, o: string) => recordCharge(d, o, `pi_${o}`),
      (d: typeof db, o: string) => recordCharge(d, o, `pi_${o}`),
      confirmOrder,
      confirmOrder,
    ]) {
      expect(await step(db, id)).toEqual(done);
    }
    expect(await eventTypes(db, id)).toEqual([
      'order.created',
      'inventory.reserved',
      'payment.charged',
      'order.confirmed',
    ]);
    expect(await readSku(db, 'HAPPY')).toMatchObject({ available: 3, reserved: 0, sold: 2, onHand: 5 });
    expect(await readOrder(db, id)).toMatchObject({ status: 'CONFIRMED' });
    await assertStockConserved(db);
  });

  test('may be charged and confirmed in one transaction, which writes both events in their order', async () => {
    const { db } = t;
    await stock(db, 'ATONCE', 5);
    const { id } = await accept(db, { ATONCE: 2 });
    await reserveInventory(db, id);
    const atOnce = () => recordCharge(db, id, `pi_${id}`, undefined, { confirm: true });
    expect(await atOnce()).toEqual({ outcome: 'done', confirmed: true });
    expect(await atOnce()).toEqual({ outcome: 'done', confirmed: true });
    expect(await confirmOrder(db, id)).toEqual(done);
    const events = await db.event.findMany({ where: { orderId: id }, orderBy: { feedPosition: 'asc' } });
    expect(events.map(({ sequence, type }) => [sequence, type])).toEqual([
      [1, 'order.created'],
      [2, 'inventory.reserved'],
      [3, 'payment.charged'],
      [4, 'order.confirmed'],
    ]);
    expect(events[3]?.feedXid).toBe(events[2]?.feedXid);
    expect(events[3]?.data).toEqual({ orderId: id, total: { amount: 2_000, currency: 'USD' } });
    const log = await db.sagaLogEntry.findMany({ where: { orderId: id }, orderBy: { id: 'asc' } });
    expect(log.map(({ step, outcome }) => [step, outcome])).toEqual([
      ['reserveInventory', 'completed'],
      ['chargePayment', 'completed'],
      ['confirmOrder', 'completed'],
    ]);
    expect(await readSku(db, 'ATONCE')).toMatchObject({ available: 3, reserved: 0, sold: 2, onHand: 5 });
    expect(await readOrder(db, id)).toMatchObject({ status: 'CONFIRMED' });
    await assertStockConserved(db);
  });

  test('is never confirmed without a charge', async () => {
    const { db } = t;
    await stock(db, 'UNPAID', 5);
    const { id } = await accept(db, { UNPAID: 1 });
    await reserveInventory(db, id);
    await expect(confirmOrder(db, id)).rejects.toThrow('What chargePayment did');
    expect(await readOrder(db, id)).toMatchObject({ status: 'PENDING' });
  });

  test('is final: the database itself refuses to take it back to pending', async () => {
    const { db } = t;
    await stock(db, 'FINAL', 5);
    const id = await readyToConfirm('FINAL');
    await confirmOrder(db, id);
    await expect(db.$executeRaw`UPDATE orders SET status = 'PENDING' WHERE id = ${id}::uuid`).rejects.toThrow(
      'cannot go from CONFIRMED to PENDING',
    );
  });
});

test('a charge that waits for something holds no stock yet: other orders have it meanwhile', async () => {
  const { db } = t;
  await stock(db, 'FREE', 5);
  const { id } = await accept(db, { FREE: 1 });
  await reserveInventory(db, id);
  const other = new pg.Client({ connectionString: t.url });
  await other.connect();
  try {
    // As another run of the same step, which is slower to end.
    await other.query('BEGIN');
    await other.query(
      "INSERT INTO payments (order_id, status, amount, currency, gateway_reference) VALUES ($1, 'CHARGED', 1, 'USD', 'pi_other')",
      [id],
    );
    const charged = recordCharge(db, id, `pi_${id}`, undefined, { confirm: true });
    await eventually('it waits', async () => {
      const [row] = await db.$queryRaw<{ waits: boolean }[]>`
        SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'
          AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())) AS waits`;
      return row?.waits;
    });
    expect(await listLockedSkus(db, ['FREE'])).toEqual([]);
    await other.query('ROLLBACK');
    expect(await charged).toEqual({ outcome: 'done', confirmed: true });
    expect(await readSku(db, 'FREE')).toMatchObject({ available: 4, reserved: 0, sold: 1 });
  } finally {
    await other.end();
  }
});

describe('a reservation', () => {
  test('is all or nothing: one short line leaves every SKU as it was, and the refusal is final', async () => {
    const { db } = t;
    await stock(db, 'PLENTY', 5);
    await stock(db, 'SHORT', 1);
    const { id } = await accept(db, { PLENTY: 1, SHORT: 2 });
    expect(await reserveInventory(db, id)).toEqual(refused('OUT_OF_STOCK'));
    await stock(db, 'SHORT', 10);
    expect(await reserveInventory(db, id)).toEqual(refused('OUT_OF_STOCK'));
    expect(await eventTypes(db, id)).toEqual(['order.created', 'inventory.reservation.failed']);
    expect(await readSku(db, 'PLENTY')).toMatchObject({ available: 5, reserved: 0 });
    await assertStockConserved(db);
  });

  test('of a SKU that has left the catalogue is refused as unknown', async () => {
    const { db } = t;
    await stock(db, 'LEAVING', 5);
    const { id } = await accept(db, { LEAVING: 1 });
    await db.inventory.delete({ where: { sku: 'LEAVING' } });
    expect(await reserveInventory(db, id)).toEqual(refused('UNKNOWN_SKU'));
  });

  test('never oversells: 40 orders at once for 25 pieces sell exactly 25', async () => {
    const { db } = t;
    await stock(db, 'RUSH', 25);
    const orders = await Promise.all(Array.from({ length: 40 }, () => accept(db, { RUSH: 1 })));
    const outcomes = await Promise.all(orders.map((order) => reserveInventory(db, order.id)));
    expect(outcomes.filter((o) => o.outcome === 'done')).toHaveLength(25);
    expect(await readSku(db, 'RUSH')).toMatchObject({ available: 0, reserved: 25 });
    await assertStockConserved(db);
  });

  test('run many times at once by the same order takes its pieces once', async () => {
    const { db } = t;
    await stock(db, 'TWICE', 10);
    const { id } = await accept(db, { TWICE: 3 });
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => reserveInventory(db, id)));
    expect(outcomes).toEqual(Array.from({ length: 8 }, () => done));
    expect(await readSku(db, 'TWICE')).toMatchObject({ available: 7, reserved: 3 });
    expect(await eventTypes(db, id)).toEqual(['order.created', 'inventory.reserved']);
  });

  test('of the same SKUs in opposite orders does not deadlock', async () => {
    const { db } = t;
    await stock(db, 'LEFT', 1_000);
    await stock(db, 'RIGHT', 1_000);
    const orders = await Promise.all(
      Array.from({ length: 30 }, (_, i) => accept(db, i % 2 === 0 ? { LEFT: 1, RIGHT: 1 } : { RIGHT: 1, LEFT: 1 })),
    );
    const finish = async (id: string) => {
      expect(await reserveInventory(db, id)).toEqual(done);
      expect(await recordCharge(db, id, `pi_${id}`)).toEqual(done);
      expect(await confirmOrder(db, id)).toEqual(done);
    };
    await Promise.all(orders.map((order) => finish(order.id)));
    expect(await readSku(db, 'LEFT')).toMatchObject({ sold: 30 });
    await assertStockConserved(db);
  });
});

describe('unwinding', () => {
  test('refuses every step that arrives late', async () => {
    const { db } = t;
    await stock(db, 'LATE', 5);
    const { id } = await accept(db, { LATE: 1 });
    expect(await beginUnwinding(db, id, { reason: 'OPERATOR' })).toEqual({ outcome: 'unwinding', reason: 'OPERATOR' });
    expect(await reserveInventory(db, id)).toEqual(refused('OPERATOR'));
    expect(await recordCharge(db, id, `pi_${id}`)).toEqual(refused('OPERATOR'));
    expect(await recordDecline(db, id, 'card_declined')).toEqual(refused('OPERATOR'));
    expect(await confirmOrder(db, id)).toEqual(refused('OPERATOR'));
    expect(await eventTypes(db, id)).toEqual(['order.created']);
    expect(await readSku(db, 'LATE')).toMatchObject({ available: 5 });
  });

  test('keeps the first reason given, whatever later requests say', async () => {
    const { db } = t;
    await stock(db, 'FIRST', 5);
    const { id } = await accept(db, { FIRST: 1 });
    await beginUnwinding(db, id, { reason: 'CANCELLED_BY_CUSTOMER' });
    expect(await beginUnwinding(db, id, { reason: 'OPERATOR' })).toEqual({
      outcome: 'unwinding',
      reason: 'CANCELLED_BY_CUSTOMER',
    });
  });

  const reserved = async (sku: string) => {
    const { id } = await accept(t.db, { [sku]: 1 });
    await reserveInventory(t.db, id);
    return id;
  };

  test.each([
    { what: 'confirming', ready: readyToConfirm, confirm: (id: string) => confirmOrder(t.db, id) },
    {
      what: 'charging and confirming in one',
      ready: reserved,
      confirm: (id: string) => recordCharge(t.db, id, `pi_${id}`, undefined, { confirm: true }),
    },
  ])('and $what at the same moment have exactly one winner', async ({ ready, confirm }) => {
    const { db } = t;
    await stock(db, 'RACE', 100);
    const ids = await Promise.all(Array.from({ length: 20 }, () => ready('RACE')));
    for (const id of ids) {
      const [confirmed, unwound] = await Promise.all([confirm(id), beginUnwinding(db, id, { reason: 'OPERATOR' })]);
      const winner = confirmed.outcome === 'done' ? 'confirmed' : 'unwinding';
      expect(unwound.outcome).toBe(winner);
      expect((await readOrder(db, id))?.status).toBe(winner === 'confirmed' ? 'CONFIRMED' : 'PENDING');
    }
    await assertStockConserved(db);
  });

  test('gives back stock and money once, however often its undos run, and then cancels', async () => {
    const { db } = t;
    await stock(db, 'BACK', 5);
    const id = await readyToConfirm('BACK');
    await beginUnwinding(db, id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await expect(cancelOrder(db, id)).rejects.toThrow('still holding reservations');
    expect(await shutPayment(db, id)).toBe('REFUNDING');
    expect(await shutPayment(db, id)).toBe('REFUNDING');
    await recordRefund(db, id, { charge: `pi_${id}`, refund: 're_1', gaveBack: 100 });
    await recordRefund(db, id, { charge: `pi_${id}`, refund: 're_1', gaveBack: 100 });
    expect(await Promise.all([releaseInventory(db, id), releaseInventory(db, id)])).toEqual(['done', 'done']);
    expect(await cancelOrder(db, id)).toBe('done');
    expect(await cancelOrder(db, id)).toBe('done');
    expect(await eventTypes(db, id)).toEqual([
      'order.created',
      'inventory.reserved',
      'payment.charged',
      'payment.refunded',
      'inventory.released',
      'order.cancelled',
    ]);
    expect(await readSku(db, 'BACK')).toMatchObject({ available: 5, reserved: 0, sold: 0 });
    await assertStockConserved(db);
  });

  test('with nothing to undo leaves tombstones and no event', async () => {
    const { db } = t;
    await stock(db, 'NOTHING', 5);
    const { id } = await accept(db, { NOTHING: 1 });
    await beginUnwinding(db, id, { reason: 'OPERATOR' });
    expect(await shutPayment(db, id)).toBe('VOIDED');
    expect(await releaseInventory(db, id)).toBe('nothing');
    expect(await db.reservation.findMany({ where: { orderId: id } })).toEqual([
      { orderId: id, sku: 'NOTHING', quantity: 1, state: 'RELEASED' },
    ]);
    expect(await eventTypes(db, id)).toEqual(['order.created']);
  });

  test('is required before an undo: stock and money of a healthy order cannot be taken from it', async () => {
    const { db } = t;
    await stock(db, 'HEALTHY', 5);
    const id = await readyToConfirm('HEALTHY');
    await expect(releaseInventory(db, id)).rejects.toThrow('not unwinding');
    await expect(shutPayment(db, id)).rejects.toThrow('not unwinding');
  });
});

describe('accepting', () => {
  beforeAll(() => stock(t.db, 'X', 1_000, 5));
  const claim = (key: string, fingerprint = 1) => ({
    caller: 'me',
    route: 'POST /orders',
    key,
    fingerprint: new Uint8Array([fingerprint]),
    ttlMs: 60_000,
    response: `{"first":"${key}"}`,
  });
  const order = (externalOrderId?: string) => {
    const now = new Date().toISOString();
    const id = uuidv7();
    const items = [{ sku: 'X', quantity: 1, unitPrice: 5 }];
    return {
      order: {
        id,
        status: 'PENDING' as const,
        customerId: 'cus_a',
        items,
        total: { amount: 5, currency: 'USD' },
        createdAt: now,
        updatedAt: now,
        correlationId: 'c',
        ...(externalOrderId && { externalOrderId }),
      },
      paymentMethod: 'pm_card_visa',
    };
  };

  test('fifty racers on one Idempotency-Key make one order and see one answer', async () => {
    const { db } = t;
    const before = await db.order.count();
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => acceptOrder(db, order(), claim('race'))));
    expect(outcomes.filter((o) => o.outcome === 'accepted')).toHaveLength(1);
    const answers = outcomes.flatMap((o) => (o.outcome === 'replayed' ? [o.response] : []));
    expect([answers.length, new Set(answers).size]).toEqual([49, 1]);
    expect(await db.order.count()).toBe(before + 1);
  });

  test('refuses a key that was used for another request, and takes one whose time is over', async () => {
    const { db } = t;
    await acceptOrder(db, order(), claim('reuse'));
    expect(await acceptOrder(db, order(), claim('reuse', 2))).toEqual({ outcome: 'key-reused' });
    await db.idempotencyKey.updateMany({ where: { key: 'reuse' }, data: { expiresAt: new Date(0) } });
    expect(await acceptOrder(db, order(), claim('reuse', 2))).toMatchObject({ outcome: 'accepted' });
  });

  test('refuses a second order with the customer’s externalOrderId, names the first, and does not burn the key', async () => {
    const { db } = t;
    const first = order('web-1');
    await acceptOrder(db, first);
    expect(await acceptOrder(db, order('web-1'), claim('ext'))).toEqual({
      outcome: 'external-id-taken',
      orderId: first.order.id,
    });
    expect(await acceptOrder(db, order('web-2'), claim('ext'))).toMatchObject({ outcome: 'accepted' });
  });

  test.each([
    ['another price', { unitPrice: 6 }],
    ['another currency', { currency: 'EUR' }],
    ['no such SKU', undefined],
  ])('does nothing if the catalogue has %s by now, and does not burn the key', async (_, changed) => {
    const { db } = t;
    const where = { sku: 'X' };
    const before = await db.inventory.findUniqueOrThrow({ where });
    await (changed ? db.inventory.update({ where, data: changed }) : db.inventory.delete({ where }));
    const orders = await db.order.count();
    expect(await acceptOrder(db, order(), claim('stale'))).toEqual({ outcome: 'prices-changed' });
    expect(await acceptOrder(db, order())).toEqual({ outcome: 'prices-changed' });
    expect([await db.order.count(), await db.idempotencyKey.count({ where: { key: 'stale' } })]).toEqual([orders, 0]);
    await db.inventory.upsert({ where, create: before, update: before });
  });

  test('leaves an order on the sweep’s list until its saga is seen', async () => {
    const { db } = t;
    await stock(db, 'SWEEP', 5);
    const { id } = await accept(db, { SWEEP: 1 });
    const isListed = async () => (await listUnstarted(db, -60_000, 1_000)).some((o) => o.id === id);
    expect(await isListed()).toBe(true);
    await reserveInventory(db, id);
    expect(await isListed()).toBe(false);
  });
});

describe('a mark that comes late', () => {
  test('for the order’s start does not swallow the cancellation that has become due since', async () => {
    const { db } = t;
    await stock(db, 'MARK', 5);
    const id = await readyToConfirm('MARK');
    await confirmOrder(db, id);
    await requestCancellation(db, id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await markStarted(db, [{ id, kind: 'order' }]);
    const due = async () => (await listUnstarted(db, -60_000, 1_000)).find((saga) => saga.id === id);
    expect(await due()).toMatchObject({ kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' });
    await markStarted(db, [{ id, kind: 'cancellation' }]);
    expect(await due()).toBeUndefined();
  });
});

test('an order with steps left after its confirmation waits, and is seen to, until they are done', async () => {
  const { db } = t;
  await stock(db, 'FORWARD', 5);
  const id = await readyToConfirm('FORWARD');
  await confirmOrder(db, id, undefined, { forward: true });
  await db.$executeRaw`UPDATE orders SET updated_at = now() - interval '2 hours' WHERE id = ${id}::uuid`;
  const limits = { sagaDeadlineMs: 60_000, compensationAttentionAfterMs: 60_000 };
  const waits = async () => (await listWaitingOrders(db, limits, 1_000)).find(({ orderId }) => orderId === id);
  const slow = async () => (await countSlowOrders(db, 1_000)).oldest?.orderId;
  expect(await waits()).toMatchObject({ takingBack: false, isOpenTooLong: true, isLate: true });
  expect(await slow()).toBe(id);
  await finishOrder(db, id);
  expect(await waits()).toBeUndefined();
  expect(await slow()).not.toBe(id);
});

describe('lists and stock', () => {
  test('orders come newest first, by status and customer, in pages without overlap', async () => {
    const { db } = t;
    const ids = [];
    for (let i = 0; i < 5; i++) ids.push((await accept(db, { X: 1 }, { customerId: 'cus_pages' })).id);
    const first = await listOrders(db, { customerId: 'cus_pages', status: 'PENDING' }, 3);
    const rest = await listOrders(db, { customerId: 'cus_pages', beforeId: first.at(-1)?.id ?? '' }, 3);
    expect([...first, ...rest].map((o) => o.id)).toEqual(ids.reverse());
  });

  test('onHand cannot go below what is reserved and sold', async () => {
    const { db } = t;
    await stock(db, 'FLOOR', 5);
    const { id } = await accept(db, { FLOOR: 3 });
    await reserveInventory(db, id);
    const entry = { name: 'FLOOR', unitPrice: 1_000, currency: 'USD' };
    expect(await putSku(db, 'FLOOR', { ...entry, onHand: 2 })).toBeNull();
    expect(await putSku(db, 'FLOOR', { ...entry, onHand: 3 })).toMatchObject({ onHand: 3, available: 0, reserved: 3 });
  });
});
