import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { leaseReconciliation } from '../../domain/reconciliation-cursor.js';
import { requestReconciliation } from '../../domain/reconciliation-findings.js';
import type { Gateway } from '../../gateways/payments.js';
import { startReconciler } from '../../reconciliation/reconciler.js';
import { eventually } from '../support/conditions.js';
import { eventTypes, stock } from '../support/database.js';
import { startSagaStack } from '../support/saga.js';
import { type TestLedgers, openLedgers, SILENT } from './support.js';

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers();
});
afterAll(() => b.stop());

/** One that a test which failed has left running would settle the next one's charges. */
const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of running.splice(0)) await stop();
});
const start = (changed: Partial<Parameters<typeof startReconciler>[0]> = {}) => {
  const stop = startReconciler({
    db: b.db,
    databaseUrl: b.databaseUrl,
    gateway: b.gateway,
    everyMs: 60_000,
    logger: SILENT,
    ...changed,
  });
  running.push(stop);
  return stop;
};
const isPaidBack = async (orderId: string) => (await b.ledger(orderId)).net === 0;

describe('the reconciler', () => {
  test('works on a schedule of its own', async () => {
    start({ everyMs: 100 });
    const order = await b.cancelled();
    await b.takeMoney(order.id);
    await eventually('the money went back', () => isPaidBack(order.id));
  });

  test('comes at once when it is asked to, and looks up the order that was named, however old its charge is', async () => {
    b.setClock(50 * 3_600_000);
    const order = await b.cancelled();
    const reference = await b.takeMoney(order.id);
    b.setClock(100 * 3_600_000); // the charge is two days old now, beyond every list
    await b.takeMoney(randomUUID(), { paymentMethod: 'pm_card_chargeDeclined' });
    start();
    await eventually('its first pass is over', () =>
      b.db.reconciliationScan.findFirst({ where: { scan: 'charges-day', dueAt: { gt: new Date() } } }),
    );
    expect((await b.gateway.readCharge(reference))?.refunded).toBe(0);
    await requestReconciliation(b.db, order.id);
    await eventually('the money went back', () => isPaidBack(order.id), 5_000);
  });

  test('leaves its work to the others when it stops, at once, and when it is paused, after its lease', async () => {
    const stop = start();
    await eventually('it has the lease', async () => (await b.db.reconciliationCursor.findFirst())?.leaseOwner);
    expect(await leaseReconciliation(b.db, { owner: 'next', leaseMs: 1 })).toBeNull();
    await stop();
    expect(await leaseReconciliation(b.db, { owner: 'paused', leaseMs: 50 })).not.toBeNull();
    await eventually('the lease is over', () => leaseReconciliation(b.db, { owner: 'next', leaseMs: 30_000 }));
    expect(await leaseReconciliation(b.db, { owner: 'paused', leaseMs: 50 })).toBeNull();
  });

  test('survives a gateway that is away, and settles what has come up meanwhile', async () => {
    await b.db.$executeRaw`UPDATE reconciliation_cursors SET lease_owner = NULL`;
    const order = await b.cancelled();
    await b.takeMoney(order.id);
    await b.fault({ mode: 'reset', route: 'lookup' });
    let asked = 0;
    const counting = {
      ...b.gateway,
      listCharges: (...args: Parameters<Gateway['listCharges']>) => {
        asked++;
        return b.gateway.listCharges(...args);
      },
    };
    start({ everyMs: 50, gateway: counting });
    await eventually('it has tried more than once', () => asked > 2);
    await b.heal();
    await eventually('the money went back', () => isPaidBack(order.id));
  });
});

test('a charge that lands when its saga has long unwound is found and given back, although the saga had found none', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let real: Gateway | undefined;
  let landed: Promise<unknown> = Promise.resolve();
  const s = await startSagaStack({
    gateway: (gateway) => {
      real = gateway as Gateway;
      return {
        ...gateway,
        // The request is lost on its way, as far as we know; it arrives when everything is over.
        charge: (request) => {
          const { deadline: _, ...sent } = request; // of which the network knows nothing
          landed = held.then(() => gateway.charge(sent));
          throw new Error('no answer');
        },
      };
    },
  });
  try {
    await stock(s.db, 'A', 10);
    const { order, result } = await s.place({ A: 1 }, { policy: { stepRetryBudgetMs: 500, sagaDeadlineMs: 2_000 } });
    expect(await result()).toEqual({ status: 'CANCELLED', reason: 'DEADLINE_EXCEEDED' });
    expect(await s.money(order.id)).toEqual({ net: 0, charges: 0 });
    release();
    await landed;
    expect(await s.money(order.id)).toEqual({ net: order.total.amount, charges: 1 });
    if (!real) throw new Error('there is no gateway');
    const settings = { db: s.db, databaseUrl: s.databaseUrl, gateway: real, everyMs: 200, logger: SILENT };
    const stop = startReconciler(settings);
    await eventually('the money went back', async () => (await s.money(order.id)).net === 0).finally(stop);
    const events = await eventTypes(s.db, order.id);
    expect(events).not.toContain('payment.refunded'); // it was told to be cancelled before, and that is its last word
    expect(events.at(-1)).toBe('order.cancelled');
  } finally {
    await s.stop();
  }
});
