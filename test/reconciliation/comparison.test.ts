import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { releaseInventory } from '../../domain/inventory.js';
import { cancelOrder, requestCancellation } from '../../domain/orders.js';
import { recordCharge, recordRefund, shutPayment } from '../../domain/payments.js';
import { listFindings } from '../../domain/reconciliation-findings.js';
import { GatewayUnknown, type LedgerCharge, type PageRequest, type RefundOutcome } from '../../gateways/payments.js';
import { reconcileOnce } from '../../reconciliation/pass.js';
import { createWaker } from '../../reconciliation/waker.js';
import { eventually } from '../support/conditions.js';
import { eventTypes } from '../support/database.js';
import { keepLog } from '../support/log.js';
import { type TestLedgers, findingsOf, openLedgers } from './support.js';

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers();
});
afterEach(() => b.heal());
afterAll(() => b.stop());

describe('money that must not be kept', () => {
  test('lands after the order was unwound: it goes back, and the finding says so, without an event', async () => {
    const order = await b.cancelled();
    const reference = await b.takeMoney(order.id);
    expect(await b.reconcile()).toMatchObject({ leased: true, refunded: 1, reported: 0 });
    expect(await b.ledger(order.id)).toMatchObject({ captured: 1_000, net: 0, refunds: { length: 1 } });
    expect(await b.db.payment.findUnique({ where: { orderId: order.id } })).toMatchObject({
      status: 'REFUNDED',
      gatewayReference: reference,
      refundReference: expect.stringMatching(/^re_/),
    });
    expect(await findingsOf(b.db, order.id)).toEqual([['LATE_CHARGE', reference, 'refunded']]);
    expect(await b.db.sagaLogEntry.findMany({ where: { orderId: order.id, actor: 'reconciler' } })).toMatchObject([
      { step: 'reconciliation', outcome: 'refunded', detail: `LATE_CHARGE ${reference}` },
    ]);
    expect(await eventTypes(b.db, order.id)).toEqual([
      'order.created',
      'inventory.reserved',
      'inventory.released',
      'order.cancelled',
    ]);
    expect(await b.reconcile()).toMatchObject({ refunded: 0, reported: 0 });
  });

  test('was taken twice for one confirmed order: the surplus goes back, the recorded charge stays', async () => {
    const { order, reference } = await b.confirmed();
    const surplus = await b.takeMoney(order.id);
    expect(await b.reconcile()).toMatchObject({ refunded: 1 });
    expect(await b.ledger(order.id)).toMatchObject({ captured: 2_000, net: 1_000 });
    expect(await findingsOf(b.db, order.id)).toEqual([['DOUBLE_CHARGE', surplus, 'refunded']]);
    expect((await b.gateway.readCharge(reference))?.refunded).toBe(0);
    expect(await eventTypes(b.db, order.id)).toHaveLength(4);
  });

  test('is marked as ours, and there is no such order: it is reported at once, and not touched', async () => {
    const ghost = randomUUID();
    const reference = await b.takeMoney(ghost);
    expect(await b.reconcile()).toMatchObject({ refunded: 0, reported: 1 });
    expect(await b.ledger(ghost)).toMatchObject({ net: 1_000 });
    expect(await findingsOf(b.db, ghost)).toEqual([['ORPHAN_CHARGE', reference, 'reported']]);
  });

  test('still waits for its customer’s bank: it is called off, so that it cannot be completed', async () => {
    const order = await b.cancelled();
    const reference = await b.leaveOpen(order.id);
    expect(await b.reconcile()).toMatchObject({ cancelled: 1 });
    expect((await b.gateway.readCharge(reference))?.state).toBe('over');
    expect(await findingsOf(b.db, order.id)).toEqual([['OPEN_INTENT', reference, 'cancelled']]);
  });

  test('was being processed until after the last look-up: it goes back when it arrives', async () => {
    const order = await b.cancelled();
    const reference = await b.takeMoney(order.id, { paymentMethod: 'pm_sandbox_processing' });
    b.setClock(10 * 60_000); // from now on the gateway lists younger charges only
    await b.takeMoney(randomUUID(), { paymentMethod: 'pm_card_chargeDeclined' });
    await b.reconcile();
    expect(await findingsOf(b.db, order.id)).toEqual([['UNDECIDED', reference, 'waiting']]);
    await eventually(
      'the money has arrived',
      async () => (await b.gateway.readCharge(reference))?.state === 'succeeded',
    );
    expect(await b.reconcile()).toMatchObject({ refunded: 1 });
    expect(await findingsOf(b.db, order.id)).toEqual([['LATE_CHARGE', reference, 'refunded']]);
    expect(await b.ledger(order.id)).toMatchObject({ net: 0 });
  });
});

const NEVER: RefundOutcome = { outcome: 'failed', isListed: false, disputed: false, why: 'it was sent back' };

describe('a refund that the gateway does not show', () => {
  test('is made again', async () => {
    const { order, reference } = await b.confirmed();
    await b.db
      .$executeRaw`UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'OPERATOR' WHERE id = ${order.id}::uuid`;
    await b.db
      .$executeRaw`UPDATE payments SET status = 'REFUNDED', refund_reference = 're_lost' WHERE order_id = ${order.id}::uuid`;
    expect(await b.reconcile()).toMatchObject({ refunded: 1 });
    expect(await b.ledger(order.id)).toMatchObject({ net: 0 });
    expect(await findingsOf(b.db, order.id)).toEqual([['LOST_REFUND', reference, 'refunded']]);
  });

  test('is reported if the gateway only repeats its answer', async () => {
    const order = await b.cancelled();
    const reference = await b.takeMoney(order.id);
    const repeating = { ...b.gateway, refund: async () => NEVER };
    await b.db
      .$executeRaw`UPDATE payments SET status = 'REFUNDED', gateway_reference = ${reference}, refund_reference = 're_of_old' WHERE order_id = ${order.id}::uuid`;
    expect(await b.reconcile({ gateway: repeating })).toMatchObject({ refunded: 0, reported: 1 });
    expect(await findingsOf(b.db, order.id)).toEqual([['LOST_REFUND', reference, 'reported']]);
    expect(await b.reconcile({ gateway: repeating })).toMatchObject({ reported: 0, known: 1 }); // said once
  });
});

describe('what only an operator can decide is reported once, and not touched', () => {
  test('a confirmed order whose money was given back by hand at the gateway', async () => {
    const { order, reference } = await b.confirmed();
    await b.byHand(reference);
    expect(await b.reconcile()).toMatchObject({ reported: 1, refunded: 0 });
    expect(await b.reconcile()).toMatchObject({ reported: 0 });
    expect(await findingsOf(b.db, order.id)).toEqual([['REFUNDED_AT_GATEWAY', reference, 'reported']]);
  });

  test('… even if the charge is older than any list that is read', async () => {
    const { order, reference } = await b.confirmed();
    await b.db
      .$executeRaw`UPDATE payments SET created_at = now() - interval '1 day' WHERE order_id = ${order.id}::uuid`;
    await b.reconcile();
    b.setClock(40 * 3_600_000);
    await b.takeMoney(randomUUID(), { paymentMethod: 'pm_card_chargeDeclined' });
    await b.reconcile();
    await b.byHand(reference);
    await b.reconcile();
    expect(await findingsOf(b.db, order.id)).toEqual([['REFUNDED_AT_GATEWAY', reference, 'reported']]);
  });

  test('a charge of another amount than the order’s', async () => {
    const order = await b.pending();
    const reference = await b.takeMoney(order.id, { amount: 999 });
    await recordCharge(b.db, order.id, reference);
    await b.db.$executeRaw`UPDATE orders SET status = 'CONFIRMED' WHERE id = ${order.id}::uuid`;
    expect(await b.reconcile()).toMatchObject({ reported: 1, refunded: 0 });
    expect(await findingsOf(b.db, order.id)).toEqual([['AMOUNT_MISMATCH', reference, 'reported']]);
    expect(await b.ledger(order.id)).toMatchObject({ net: 999 });
  });

  test('a confirmed order whose charge the gateway does not have, and then no other charge of it is called surplus', async () => {
    const { order, reference } = await b.confirmed();
    await b.db
      .$executeRaw`UPDATE payments SET gateway_reference = ${`${reference}gone`}, created_at = now() - interval '30 seconds' WHERE order_id = ${order.id}::uuid`;
    const { logger, lines } = keepLog();
    await b.reconcile({ logger });
    expect(lines.map(({ kind, correlationId }) => [kind, correlationId]).toSorted()).toEqual([
      ['DOUBLE_CHARGE', order.correlationId],
      ['MISSING_CHARGE', order.correlationId],
    ]);
    const findings = await findingsOf(b.db, order.id);
    expect(findings).toContainEqual(['MISSING_CHARGE', `${reference}gone`, 'reported']);
    expect(findings).toContainEqual(['DOUBLE_CHARGE', reference, 'reported']);
    expect(await b.ledger(order.id)).toMatchObject({ net: 1_000 });
  });

  test('an order that an operator has settled outside, and that the gateway charged as well', async () => {
    const order = await b.pending();
    await recordCharge(b.db, order.id, null, { attempts: 3, skippedBy: 'op-1' });
    await b.db.$executeRaw`UPDATE orders SET status = 'CONFIRMED' WHERE id = ${order.id}::uuid`;
    const listed = async () => (await listFindings(b.db, { orderId: order.id })).map((f) => [f.kind, f.reference]);
    expect(await listed()).toEqual([['SETTLED_OUTSIDE', '']]);
    const reference = await b.takeMoney(order.id);
    expect(await b.reconcile()).toMatchObject({ reported: 1, refunded: 0 });
    expect(await listed()).toEqual([['SETTLED_OUTSIDE', reference]]);
    expect(await b.ledger(order.id)).toMatchObject({ net: 1_000 });
  });
});

describe('an order that is still pending', () => {
  test('is left to its saga, which is woken once if it does not know of the charge', async () => {
    const order = await b.pending();
    await b.takeMoney(order.id);
    const calls: string[] = [];
    const { logger, lines } = keepLog();
    const wake = createWaker(async (orderId) => void calls.push(orderId), logger);
    const reconciler = b.reconciler({ wake });
    await b.db.$executeRaw`UPDATE orders SET created_at = now() - interval '90 seconds' WHERE id = ${order.id}::uuid`;
    await b.db.$executeRaw`UPDATE reconciliation_cursors SET lease_owner = NULL`;
    expect(await reconcileOnce(reconciler)).toMatchObject({ woken: 1, refunded: 0 });
    expect(await reconcileOnce(reconciler)).toMatchObject({ woken: 0, refunded: 0 });
    expect(calls).toEqual([order.id]);
    expect(lines).toMatchObject([{ orderId: order.id, correlationId: order.correlationId }]);
    expect(await b.ledger(order.id)).toMatchObject({ net: 1_000 });
  });
});

describe('trouble', () => {
  test.each(['before', 'after'])(
    'of looking while a saga gives the money back is no finding: the charge is read %s it',
    async (moment) => {
      const { order, reference } = await b.confirmed();
      await b.byHand(reference, 100); // by which it is told from a charge that agrees
      const cancelled = async () => {
        await requestCancellation(b.db, order.id, { reason: 'OPERATOR' });
        await shutPayment(b.db, order.id);
        await b.giveBack(order.id, reference);
        await recordRefund(b.db, order.id, { charge: reference, refund: 're_1', gaveBack: 900 });
        await releaseInventory(b.db, order.id);
        await cancelOrder(b.db, order.id);
      };
      const racing = {
        ...b.gateway,
        listCharges: async (request: PageRequest) => {
          const page = await b.gateway.listCharges(request);
          return { ...page, items: page.items.filter((charge) => charge.reference === reference).map(age) };
        },
        // The order was confirmed when it was looked at first, and is cancelled at the second look.
        readCharge: async (asked: string) => {
          if (asked !== reference) return b.gateway.readCharge(asked);
          if (moment === 'after') await cancelled();
          const seen = await b.gateway.readCharge(asked);
          if (moment === 'before') await cancelled();
          return seen;
        },
      };
      // Old enough not to be listed again: it must be looked at now.
      const age = (charge: LedgerCharge) => ({ ...charge, createdAt: new Date(Date.now() - 3_600_000) });
      expect(await b.reconcile({ gateway: racing })).toMatchObject({ reported: 0, refunded: 0 });
      expect(await findingsOf(b.db, order.id)).toEqual([['UNDECIDED', reference, 'waiting']]);
      await b.reconcile();
      expect(await findingsOf(b.db, order.id)).toEqual([]);
      expect(await b.ledger(order.id)).toMatchObject({ net: 0, refunds: { length: 2 } });
    },
  );

  test('with a refund leaves it in hand with its reason, hinders no other, and is settled by a later pass', async () => {
    const [stuck, fine] = [await b.cancelled(), await b.cancelled()];
    const before = (await b.db.reconciliationCursor.findFirstOrThrow()).chargesNewest.getTime();
    b.setClock(41 * 3_600_000);
    await b.takeMoney(stuck.id);
    await b.takeMoney(fine.id);
    await b.fault({ mode: 'down', route: 'refund', orderId: stuck.id });
    const other = await b.cancelled();
    const inHand = await b.takeMoney(other.id);
    await b.db.reconciliationFinding.create({ data: { ...unfinished, orderId: other.id, gatewayReference: inHand } });
    await expect(b.reconcile()).rejects.toBeInstanceOf(GatewayUnknown);
    expect(await findingsOf(b.db, other.id)).toEqual([['LATE_CHARGE', inHand, 'refunded']]);
    expect((await b.db.reconciliationCursor.findFirstOrThrow()).chargesNewest.getTime()).toBeGreaterThan(before);
    expect(await b.ledger(fine.id)).toMatchObject({ net: 0 });
    expect(await listFindings(b.db, { orderId: stuck.id, open: true })).toMatchObject([
      { kind: 'LATE_CHARGE', action: 'refunding', detail: expect.stringContaining('answered 503') },
    ]);
    await b.heal();
    expect(await b.reconcile()).toMatchObject({ refunded: 1 });
    expect(await b.ledger(stuck.id)).toMatchObject({ net: 0, refunds: { length: 1 } });
  });

  test('between the refund and its record leaves no gap in the record', async () => {
    const order = await b.cancelled();
    const reference = await b.takeMoney(order.id);
    const dying = {
      ...b.gateway,
      refund: async (...args: Parameters<typeof b.gateway.refund>) => {
        await b.gateway.refund(...args);
        throw new Error('the process died');
      },
    };
    await expect(b.reconcile({ gateway: dying })).rejects.toThrow('the process died');
    expect(await findingsOf(b.db, order.id)).toEqual([['LATE_CHARGE', reference, 'refunding']]);
    await b.reconcile();
    expect(await findingsOf(b.db, order.id)).toEqual([['LATE_CHARGE', reference, 'refunded']]);
    expect(await b.ledger(order.id)).toMatchObject({ net: 0, refunds: { length: 1 } });
    expect(await b.db.payment.findUnique({ where: { orderId: order.id } })).toMatchObject({ status: 'REFUNDED' });
  });

  test('of two reconcilers at once ends in one refund, also if both take the lease for theirs', async () => {
    const order = await b.cancelled();
    const reference = await b.takeMoney(order.id);
    await b.db.$executeRaw`UPDATE reconciliation_cursors SET lease_owner = NULL`;
    const passes = await Promise.all([1, 2, 3].map(() => reconcileOnce(b.reconciler())));
    expect(passes.filter((counts) => counts.leased)).toHaveLength(1);
    expect(await b.ledger(order.id)).toMatchObject({ net: 0, refunds: { length: 1 } });

    const other = await b.cancelled();
    await b.takeMoney(other.id);
    const overtaken = {
      ...b.gateway,
      refund: async (...args: Parameters<typeof b.gateway.refund>) => {
        await b.reconcile(); // paused here for so long that another has taken over, and finished
        return b.gateway.refund(...args);
      },
    };
    await expect(b.reconcile({ gateway: overtaken })).rejects.toThrow('taken over');
    await b.reconcile();
    expect(await b.ledger(other.id)).toMatchObject({ net: 0, refunds: { length: 1 } });
    expect(await b.db.sagaLogEntry.count({ where: { orderId: other.id, actor: 'reconciler' } })).toBe(1);
    expect(await findingsOf(b.db, order.id)).toEqual([['LATE_CHARGE', reference, 'refunded']]);
  });

  test('of a kind is settled at a rate only: what is beyond it is reported, and settled in the next hour', async () => {
    const ledgers = await openLedgers();
    try {
      const orders = await Promise.all(Array.from({ length: 5 }, () => ledgers.cancelled()));
      for (const order of orders) await ledgers.takeMoney(order.id);
      const counts = await ledgers.reconcile({ actionsPerHourMax: 2 });
      // Those that are refunded side by side may be a few more.
      expect(counts.refunded).toBeLessThan(5);
      expect(counts.refunded + counts.reported).toBe(5);
      await ledgers.db.$executeRaw`UPDATE reconciliation_findings SET at = at - interval '61 minutes'`;
      await ledgers.reconcile({ actionsPerHourMax: 5 });
      for (const order of orders) expect(await ledgers.ledger(order.id)).toMatchObject({ net: 0 });
    } finally {
      await ledgers.stop();
    }
  });
});

/** As a process leaves it that dies before the refund. */
const unfinished = { kind: 'LATE_CHARGE', action: 'refunding', amount: 1_000n, currency: 'USD' };
