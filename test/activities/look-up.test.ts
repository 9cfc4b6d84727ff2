/** The look-up of a charge whose answer was lost: bounded, in the gateway's own time, and gone on with. */

import { afterEach, describe, expect, test } from '@jest/globals';
import { beginAttempt, readAttempts } from '../../domain/charge-attempts.js';
import { readOrder } from '../../domain/orders.js';
import { shutPayment } from '../../domain/payments.js';
import type { ChargeRequest } from '../../gateways/payments.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { eventually } from '../support/conditions.js';
import { type OddGateway, startOddGateway } from '../gateways/odd-gateway.js';
import { type TestLedgers, openLedgers, type Setting } from '../reconciliation/support.js';
import { charge, failureOf, finish, refund, refundEvents, unwind } from './undo.js';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const LIST = 'GET /v1/payment_intents';

let b: TestLedgers;
const open = async (setting?: Setting) => {
  b = await openLedgers(setting);
  return b;
};
afterEach(() => b.stop());

/** An attempt takes the money, and its answer is lost. */
async function chargedUnheard(): Promise<string> {
  const order = await b.pending();
  await b.fault({ mode: 'reset_after', route: 'charge', count: 1 });
  await failureOf(charge(b, order.id));
  return order.id;
}

const reservedAnHourAgo = (orderId: string) =>
  b.db.$transaction(async (tx) => {
    await tx.$executeRaw`SET LOCAL session_replication_role = replica`; // the log takes no change from anyone else
    await tx.$executeRaw`UPDATE saga_log SET at = at - interval '1 hour' WHERE order_id = ${orderId}::uuid`;
  });

/** What was done until now was done an hour ago: by our books, whose clock is not to be set. */
async function anHourPasses(orderId: string): Promise<void> {
  await b.db.$executeRaw`UPDATE charge_attempts
    SET began_at = began_at - interval '1 hour', ended_at = ended_at - interval '1 hour' WHERE order_id = ${orderId}::uuid`;
  await reservedAnHourAgo(orderId);
  await b.db.$executeRaw`UPDATE orders SET created_at = created_at - interval '1 hour' WHERE id = ${orderId}::uuid`;
}

/** Others sell as well. */
async function strangersCharge(count: number): Promise<void> {
  for (let made = 0; made < count; made += 50)
    await Promise.all(Array.from({ length: Math.min(50, count - made) }, (_, i) => b.charged({ cart: `${made + i}` })));
}
/** Late as it may be, it is of no help. */
const searchIsLate = () => b.fault({ mode: 'empty_page', route: 'search' });

describe.each([
  ['the same time', 0, 1_500],
  ['4 minutes ahead', 4 * MINUTE_MS, 0],
  ['4 minutes behind', -4 * MINUTE_MS, 0],
])('where the gateway’s clock shows %s', (_name, aheadMs, strangers) => {
  test('what came after the attempts is not looked through, and the charge is found', async () => {
    await open({ aheadMs: aheadMs - HOUR_MS });
    const orderId = await chargedUnheard();
    await anHourPasses(orderId);
    b.setClock(aheadMs - HOUR_MS / 2);
    await strangersCharge(strangers);
    b.setClock(aheadMs);
    await searchIsLate();
    await unwind(b, orderId);
    await b.requests();
    expect((await refund(b, orderId)).undone).toBe('done');
    expect((await b.requests())[LIST]).toBe(2); // the last minutes, and the attempt's
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 0 });
  });
});

describe('where the clocks have drifted, so that the gateway dates the charge outside the noted times, it is found', () => {
  test.each([
    ['after', -40],
    ['before', 40],
  ])('40 s %s them', async (_name, seconds) => {
    await open();
    const orderId = await chargedUnheard();
    await b.db.$executeRaw`UPDATE charge_attempts SET began_at = began_at + ${seconds}::int * interval '1 s',
      ended_at = ended_at + ${seconds}::int * interval '1 s' WHERE order_id = ${orderId}::uuid`;
    await b.db
      .$executeRaw`UPDATE orders SET created_at = created_at + ${seconds}::int * interval '1 s' WHERE id = ${orderId}::uuid`;
    await searchIsLate();
    await unwind(b, orderId);
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 0 });
  });

  test.each([
    ['after', 4 * MINUTE_MS],
    ['before', -4 * MINUTE_MS],
  ])('4 minutes %s them, by a gateway that never says what time it is', async (_name, aheadMs) => {
    await open({ aheadMs });
    const orderId = await chargedUnheard();
    await searchIsLate();
    await unwind(b, orderId);
    const timeless = await startOddGateway(2_000);
    try {
      withoutDate(timeless);
      expect((await refund(b, orderId, { gateway: timeless.gateway })).undone).toBe('done');
      expect(timeless.gateway.nowMs()).toBeUndefined();
    } finally {
      await timeless.stop();
    }
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 0 });
  });
});

describe('where a proxy rewrites the Date header, and the gateway dates its charges truly', () => {
  test.each([
    ['10 minutes behind', { aheadMs: -10 * MINUTE_MS }],
    ['10 minutes ahead', { aheadMs: 10 * MINUTE_MS }],
    ['a day behind', { aheadMs: -24 * HOUR_MS }],
    ['a day ahead', { aheadMs: 24 * HOUR_MS }],
    ['of 1970, which is not believed', { date: 'Thu, 01 Jan 1970 00:00:00 GMT' }],
    ['a number, which is not believed', { date: '7' }],
    ['junk, which is not believed', { date: 'junk' }],
  ])('the charge is found with one list for each clock (%s)', async (_name, wrong) => {
    await open();
    const orderId = await chargedUnheard();
    await b.heal();
    await b.fault({ mode: 'wrong_date', ...wrong });
    await searchIsLate();
    await unwind(b, orderId);
    await b.requests();
    // A process that has never heard of the gateway before.
    const gateway = createPaymentGateway({ url: b.url, apiKey: 'sk_test_anew', timeoutMs: 2_000 });
    expect((await refund(b, orderId, { gateway })).undone).toBe('done');
    expect((await b.requests())[LIST]).toBeLessThanOrEqual(2);
    expect(gateway.nowMs() !== undefined).toBe('aheadMs' in wrong);
    expect(await finish(b, orderId)).toBe('CANCELLED');
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 0 });
    expect(await refundEvents(b, orderId)).toHaveLength(1);
  });

  test('what was charged between the two times is not looked through', async () => {
    await open({ aheadMs: -HOUR_MS });
    const orderId = await chargedUnheard();
    await anHourPasses(orderId);
    b.setClock(-HOUR_MS / 2);
    await strangersCharge(1_500);
    b.setClock(0);
    await b.fault({ mode: 'wrong_date', aheadMs: HOUR_MS });
    await searchIsLate();
    await unwind(b, orderId);
    await b.requests();
    const gateway = createPaymentGateway({ url: b.url, apiKey: 'sk_test_anew', timeoutMs: 2_000 });
    expect((await refund(b, orderId, { gateway })).undone).toBe('done');
    expect((await b.requests())[LIST]).toBeLessThanOrEqual(4); // the last minutes, too
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 0 });
  });

  test('a look-up that was cut off within one of the times goes on there', async () => {
    await open();
    const orderId = await chargedUnheard();
    await strangersCharge(300);
    await b.fault({ mode: 'wrong_date', aheadMs: 30 * MINUTE_MS });
    await searchIsLate();
    await unwind(b, orderId);
    await b.fault({ mode: 'down', route: 'page', count: 1 });
    const gateway = createPaymentGateway({ url: b.url, apiKey: 'sk_test_anew', timeoutMs: 2_000 });
    expect((await failureOf(refund(b, orderId, { gateway }))).failure.type).toBe('GatewayUnknown');
    await b.requests();
    expect((await refund(b, orderId, { gateway })).undone).toBe('done');
    expect((await b.requests())[LIST]).toBeLessThanOrEqual(4);
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 0 });
  });
});

describe('a charge that arrived long after its attempt is found, although its search is late', () => {
  /** By our books its attempt began an hour ago. */
  async function arrived(beforeMs: number, ended: string): Promise<string> {
    await open({ aheadMs: -beforeMs });
    const orderId = await chargedUnheard();
    await b.db.$executeRawUnsafe(
      `UPDATE charge_attempts SET began_at = now() - interval '60 minutes', ended_at = ${ended}`,
    );
    await reservedAnHourAgo(orderId);
    await b.db.$executeRaw`UPDATE orders SET created_at = now() - interval '1 hour' WHERE id = ${orderId}::uuid`;
    b.setClock(0);
    await searchIsLate();
    await unwind(b, orderId);
    return orderId;
  }

  test.each([
    ['after its worker had slept for half an hour', 30 * MINUTE_MS, 'NULL'],
    ['4 minutes after it was given up', 56 * MINUTE_MS, "now() - interval '60 minutes'"],
    ['a minute before the undo, whenever it was given up', MINUTE_MS, "now() - interval '60 minutes'"],
  ])('%s', async (_name, beforeMs, ended) => {
    const orderId = await arrived(beforeMs, ended);
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await finish(b, orderId)).toBe('CANCELLED');
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 0 });
  });
});

/** The sandbox's answers, less the time of day. */
function withoutDate(odd: OddGateway): void {
  odd.answer = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.once('end', () => {
      const { authorization = '', 'content-type': type, 'idempotency-key': key } = request.headers;
      const { method = 'GET', url = '' } = request;
      const headers = {
        authorization,
        ...(type !== undefined && { 'content-type': type }),
        ...(typeof key === 'string' && { 'idempotency-key': key }),
      };
      const body = chunks.length > 0 ? Buffer.concat(chunks).toString('utf8') : null;
      fetch(`${b.url}${url}`, { method, headers, body }).then(
        async (answer) => {
          response.sendDate = false;
          response.writeHead(answer.status, { 'content-type': 'application/json' });
          response.end(await answer.text());
        },
        () => response.destroy(),
      );
    });
  };
}

test('a look-up that takes longer than an attempt goes on where the last one was, each within its limit', async () => {
  await open();
  const orderId = await chargedUnheard();
  await strangersCharge(700); // while attempts may have run
  await b.db
    .$executeRaw`UPDATE charge_attempts SET ended_at = now() + interval '1 minute' WHERE order_id = ${orderId}::uuid`;
  await searchIsLate();
  await b.fault({ mode: 'slow', route: 'list', delayMs: 300 });
  await unwind(b, orderId);
  await b.requests();
  let attempts = 0;
  for (let undone: unknown; undone !== 'done'; attempts++) {
    const began = performance.now();
    const result = await refund(b, orderId, { limitMs: 1_500 }).catch(async (err: unknown) => {
      expect((await failureOf(Promise.reject(err))).failure.type).toBe('GatewayUnknown');
      return undefined;
    });
    expect(performance.now() - began).toBeLessThan(1_500);
    undone = result?.undone;
    if (attempts > 10) throw new Error('it does not end');
  }
  expect(attempts).toBeGreaterThan(1);
  // Eight pages, and the one that each attempt was cut off at.
  expect((await b.requests())[LIST]).toBeLessThanOrEqual(8 + attempts);
  expect(await b.ledger(orderId)).toMatchObject({ net: 0 });
});

test.each(['down', 'busy'])(
  'a search that is ill (%s) keeps nothing from being found: the list is the truth',
  async (mode) => {
    await open();
    const orderId = await chargedUnheard();
    await b.fault({ mode, route: 'search' });
    await unwind(b, orderId);
    expect((await refund(b, orderId)).undone).toBe('done');
    expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 0 });
  },
);

test('a place in the list that is gone is no end: it begins that list again', async () => {
  await open();
  const orderId = await chargedUnheard();
  await searchIsLate();
  await unwind(b, orderId);
  await shutPayment(b.db, orderId);
  const { at } = await b.db.sagaLogEntry.findFirstOrThrow({ where: { orderId, step: 'reserveInventory' } });
  await b.db.payment.update({ where: { orderId }, data: { lookUpSince: at, lookUpAfter: 'pi_gone' } });
  expect((await failureOf(refund(b, orderId))).failure.type).toBe('GatewayUnknown');
  expect((await refund(b, orderId)).undone).toBe('done');
  expect(await b.ledger(orderId)).toMatchObject({ captured: 1_000, net: 0 });
});

describe('an attempt that may still be at the gateway', () => {
  test('keeps "no charge" from being concluded, until its limit is over', async () => {
    await open();
    const order = await b.pending();
    const id = await beginAttempt(b.db, order.id);
    await unwind(b, order.id);
    const { failure } = await failureOf(refund(b, order.id));
    expect(failure.message).toContain('may still be running');
    expect(failure.nextRetryDelay).toBeGreaterThan(5_000);
    expect(failure.nextRetryDelay).toBeLessThanOrEqual(15_000);
    await b.db.$executeRaw`UPDATE charge_attempts SET began_at = now() - interval '16 seconds' WHERE id = ${id}`;
    expect((await refund(b, order.id)).undone).toBe('nothing');
  });

  test('is known of although its worker died, if it is a later one: its times are looked through', async () => {
    await open();
    const order = await b.pending();
    let hasArrived = false;
    const dead = {
      ...b.gateway,
      charge: () => {
        hasArrived = true;
        return new Promise<never>(() => undefined);
      },
    };
    charge(b, order.id, { gateway: dead, attempt: 2 }).catch(() => undefined);
    await eventually('it is at the gateway', () => hasArrived);
    expect((await readAttempts(b.db, order.id)).mayRunUntil).not.toBeNull();
    await unwind(b, order.id);
    expect((await failureOf(refund(b, order.id))).failure.message).toContain('may still be running');
  });

  test.each([1, 2])('and wakes when its order is cancelled (attempt %i): the money goes back', async (attempt) => {
    await open();
    const order = await b.pending();
    let wake = (): void => undefined;
    const asleep = new Promise<void>((resolve) => {
      wake = resolve;
    });
    let hasArrived = false;
    const sleepy = {
      ...b.gateway,
      charge: async ({ deadline: _, ...request }: ChargeRequest) => {
        hasArrived = true;
        await asleep;
        return b.gateway.charge(request);
      },
    };
    const charging = failureOf(charge(b, order.id, { gateway: sleepy, attempt }));
    await eventually('it is past the guard', () => hasArrived);
    await unwind(b, order.id);
    await b.db.$executeRaw`UPDATE charge_attempts SET began_at = now() - interval '1 minute'`;
    expect((await refund(b, order.id)).undone).toBe('nothing');
    expect(await finish(b, order.id)).toBe('CANCELLED');
    wake();
    expect((await charging).failure.type).toBe('Refusal');
    expect(await b.ledger(order.id)).toMatchObject({ captured: 1_000, net: 0 });
    expect((await readOrder(b.db, order.id))?.status).toBe('CANCELLED');
  });
});

test('a charge that waits for its customer is called off when its order is undone', async () => {
  await open();
  const order = await b.pending();
  const reference = await b.leaveOpen(order.id);
  await searchIsLate();
  await unwind(b, order.id);
  expect((await refund(b, order.id)).undone).toBe('nothing');
  expect((await b.gateway.readCharge(reference))?.state).toBe('over');
});
