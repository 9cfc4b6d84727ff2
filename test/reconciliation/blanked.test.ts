/** What was said of an order's findings leaves them with the person; what the reconciler goes by stays. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { closeReported } from '../../domain/finding-closures.js';
import { TOO_MANY } from '../../domain/finding-details.js';
import { listFindings } from '../../domain/reconciliation-findings.js';
import { blankOnce } from '../../relay/personal-retention.js';
import { finish, refund, unwind } from '../activities/undo.js';
import { type Stage, startStage } from '../erasure/stage.js';
import { type TestLedgers, openLedgers } from './support.js';

const DAY_MS = 86_400_000;
let b: TestLedgers;
let s: Stage;
beforeAll(async () => {
  b = await openLedgers({ refundFailsAfterMs: 3 * DAY_MS });
  s = await startStage({ db: b.db, databaseUrl: b.databaseUrl });
});
afterAll(async () => {
  await s.stop();
  await b.stop();
});
let days = 0;
const daysPass = (more: number) => {
  days += more;
  b.setClock(days * DAY_MS + 1_000);
};

const finding = async (orderId: string) => (await listFindings(b.db, { orderId }))[0];
const seen = async (orderId: string) => {
  const { kind, action } = (await finding(orderId)) ?? {};
  return [kind, action];
};
/** As whoever looks at the order's refunds does. */
const pass = async (orderId: string) => {
  await b.db.$executeRaw`UPDATE reconciliation_cursors SET refunds_from = now() + interval '1 year'`;
  return b.reconcile({}, [orderId]);
};
const erase = async () => {
  const { body } = await s.ask('cus_test');
  await s.until(body.id, 'done');
};
const grownOld = async () => {
  await blankOnce(b.db, { ordersMs: 1, deadLettersMs: 0, erasuresMs: 0 }, { batchMax: 1_000 });
};
/** As releases before have left them. */
const blankedBefore = async (orderId: string) => {
  await erase();
  await b.db.$executeRaw`UPDATE reconciliation_findings SET detail = NULL WHERE order_id = ${orderId}`;
};

const ways: [string, (orderId: string) => Promise<void>][] = [
  ['its customer was erased', erase],
  ['its order has grown old', grownOld],
  ['a release before had blanked it', blankedBefore],
];

describe.each(ways)('a finding that has closed itself, after %s,', (_how, blank) => {
  test('opens again when the ledgers differ again, by the same amount', async () => {
    const { order, reference } = await b.confirmed();
    const made = await b.byHand(reference, 300);
    await pass(order.id);
    await b.intervene(`/sandbox/refunds/${made}/fail`);
    await pass(order.id);
    expect(await seen(order.id)).toEqual(['REFUNDED_AT_GATEWAY', 'cancelled']);
    await blank(order.id);
    expect((await b.db.order.findUnique({ where: { id: order.id } }))?.paymentMethod).toBe('[erased]');
    await b.byHand(reference, 300);
    expect(await pass(order.id)).toMatchObject({ reported: 1 });
    expect(await finding(order.id)).toMatchObject({
      action: 'reported',
      detail: expect.stringContaining('300 of 1000'),
    });
  });

  test('tells of a refund by hand that failed, too: the customer’s money is not kept in silence', async () => {
    const { order, reference } = await b.confirmed({ paymentMethod: 'pm_card_refundFail' });
    await unwind(b, order.id);
    await refund(b, order.id);
    await finish(b, order.id);
    for (let failed = 0; failed < 2; failed++) {
      daysPass(4);
      await pass(order.id);
    }
    expect(await seen(order.id)).toEqual(['REFUND_FAILED', 'reported']);
    await b.byHand(reference);
    await pass(order.id);
    expect(await seen(order.id)).toEqual(['REFUND_FAILED', 'cancelled']);
    await blank(order.id);
    daysPass(4);
    expect(await pass(order.id)).toMatchObject({ reported: 1 });
    expect(await seen(order.id)).toEqual(['REFUND_FAILED', 'reported']);
  });
});

describe.each(ways)('a finding that an operator has closed for good, after %s,', (_how, blank) => {
  test('stays closed, without a word of what was said', async () => {
    const { order, reference } = await b.confirmed();
    await b.byHand(reference, 300);
    await pass(order.id);
    const { id } = (await finding(order.id)) ?? { id: null };
    const word = { as: 'cancelled', operator: 'op-1', reason: 'goodwill' } as const;
    expect(await closeReported(b.db, id ?? '', word)).toBe(true);
    await blank(order.id);
    for (let again = 0; again < 2; again++) expect(await pass(order.id)).toMatchObject({ reported: 0 });
    expect(await finding(order.id)).toMatchObject({ action: 'cancelled', detail: null });
  });
});

test('what waits for the next hour goes on by itself, of an order that has grown old as well', async () => {
  const order = await b.cancelled();
  const reference = await b.takeMoney(order.id);
  expect(await b.reconcile({ actionsPerHourMax: 0 }, [order.id])).toMatchObject({ reported: 1 });
  await grownOld();
  expect(await finding(order.id)).toMatchObject({ reference, action: 'reported', detail: TOO_MANY });
  expect(await pass(order.id)).toMatchObject({ refunded: 1 });
});
