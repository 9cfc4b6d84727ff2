import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type Stripe from 'stripe';
import {
  cleanUp,
  errorOf,
  intervene,
  ledgerOf,
  order,
  type Running,
  setFault,
  startSandbox,
  until,
} from '../support.js';

const WEEK = 7 * 24 * 3_600_000;

let now: number;
let sandbox: Running;
let stripe: Stripe;
const start = async (dataDir?: string) => {
  const clock = { now: () => now, refundSettlesAfterMs: WEEK, refundFailsAfterMs: 3 * WEEK };
  sandbox = await startSandbox({ ...clock, ...(dataDir === undefined ? {} : { dataDir }) });
  stripe = sandbox.stripe;
};
beforeEach(async () => {
  now = Date.UTC(2030, 0, 1);
  await start();
});
afterEach(cleanUp);

async function refunded(card = 'pm_card_visa', amount?: number) {
  const intent = await stripe.paymentIntents.create(order('o1', card));
  const refund = await stripe.refunds.create({
    payment_intent: intent.id,
    ...(amount === undefined ? {} : { amount }),
  });
  return { intent, refund, charge: () => stripe.charges.retrieve(intent.latest_charge as string) };
}

describe('pm_card_pendingRefund', () => {
  it('gives a refund that is pending, counts as refunded meanwhile, and succeeds in its time', async () => {
    const { refund, charge } = await refunded('pm_card_pendingRefund');
    expect(refund).toMatchObject({ status: 'pending', pending_reason: 'processing' });
    expect(await charge()).toMatchObject({ amount_refunded: 9_800, refunded: true });
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ refunded: 9_800, pending: 9_800, net: 0 });
    now += WEEK - 1_000;
    expect((await stripe.refunds.retrieve(refund.id)).status).toBe('pending');
    now += 2_000;
    const settled = await stripe.refunds.retrieve(refund.id);
    expect(settled).toMatchObject({ id: refund.id, status: 'succeeded', created: refund.created });
    expect(settled.pending_reason).toBeUndefined();
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ refunded: 9_800, pending: 0, net: 0 });
  });

  it('settles by itself, without a request, when the time has passed on this machine', async () => {
    const hasty = await startSandbox({ refundSettlesAfterMs: 20 });
    const { id } = await hasty.stripe.paymentIntents.create(order('o1', 'pm_card_pendingRefund'));
    const refund = await hasty.stripe.refunds.create({ payment_intent: id });
    const file = join(hasty.dataDir, 'sandbox/ledger.jsonl');
    await until(async () => {
      const last = (await readFile(file, 'utf8')).trim().split('\n').at(-1) ?? '{}';
      return (JSON.parse(last) as { refund?: { status: string } }).refund?.status === 'succeeded' || undefined;
    });
    expect(refund.status).toBe('pending');
  });

  it('settles after a restart, at the time that was set before it', async () => {
    const { refund } = await refunded('pm_card_pendingRefund');
    await sandbox.close();
    now += WEEK - 1_000;
    await start(sandbox.dataDir);
    expect((await stripe.refunds.retrieve(refund.id)).status).toBe('pending');
    await sandbox.close();
    now += WEEK;
    await start(sandbox.dataDir);
    expect((await stripe.refunds.retrieve(refund.id)).status).toBe('succeeded');
  });
});

describe('pm_card_refundFail', () => {
  it('gives a refund that looks done and fails weeks later: the charge holds its money again', async () => {
    const { refund, charge } = await refunded('pm_card_refundFail');
    expect(refund.status).toBe('succeeded');
    expect(await charge()).toMatchObject({ amount_refunded: 9_800, refunded: true });
    now += 3 * WEEK;
    expect(await stripe.refunds.retrieve(refund.id)).toMatchObject({
      status: 'failed',
      failure_reason: 'expired_or_canceled_card',
      failure_balance_transaction: expect.stringMatching(/^txn_/),
    });
    expect(await charge()).toMatchObject({ amount_refunded: 0, refunded: false });
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ captured: 9_800, refunded: 0, failed: 9_800, net: 9_800 });
    const again = await stripe.refunds.create({ payment_intent: refund.payment_intent as string });
    expect(again.amount).toBe(9_800);
  });

  it('of a partial refund gives back to the charge that part only', async () => {
    const { intent, charge } = await refunded('pm_card_refundFail', 500);
    now += WEEK;
    await stripe.refunds.create({ payment_intent: intent.id, amount: 300 });
    now += 2 * WEEK;
    expect(await charge()).toMatchObject({ amount_refunded: 300, refunded: false });
  });

  it('repeats the first answer to the key, whatever has become of the refund', async () => {
    const { intent } = await refunded('pm_card_refundFail', 100);
    const ask = () => stripe.refunds.create({ payment_intent: intent.id, amount: 50 }, { idempotencyKey: 'k1' });
    const first = await ask();
    expect((await intervene(sandbox, `refunds/${first.id}/fail`)).status).toBe(200);
    expect(await ask()).toEqual(first);
  });
});

describe('on request a refund', () => {
  it('fails for the reason that is given, however long ago it succeeded', async () => {
    const { refund, charge } = await refunded();
    const failed = await intervene(sandbox, `refunds/${refund.id}/fail`, { reason: 'lost_or_stolen_card' });
    expect(failed).toMatchObject({ status: 200, body: { status: 'failed', failure_reason: 'lost_or_stolen_card' } });
    expect(await charge()).toMatchObject({ amount_refunded: 0 });
    expect(await intervene(sandbox, `refunds/${refund.id}/settle`)).toMatchObject({
      status: 400,
      body: { error: { type: 'invalid_request_error' } },
    });
  });

  it('that was to fail succeeds for good when it is settled', async () => {
    const { refund } = await refunded('pm_card_refundFail');
    expect((await intervene(sandbox, `refunds/${refund.id}/settle`)).body['status']).toBe('succeeded');
    now += 4 * WEEK;
    expect((await stripe.refunds.retrieve(refund.id)).status).toBe('succeeded');
  });

  it('waits for its customer, and is canceled through the provider’s API, then only', async () => {
    const { refund, charge } = await refunded('pm_card_pendingRefund');
    expect((await errorOf(stripe.refunds.cancel(refund.id))).statusCode).toBe(400);
    await intervene(sandbox, `refunds/${refund.id}/require_action`);
    expect(await stripe.refunds.retrieve(refund.id)).toMatchObject({ status: 'requires_action' });
    expect(await charge()).toMatchObject({ amount_refunded: 9_800 });
    expect(await stripe.refunds.cancel(refund.id)).toMatchObject({
      status: 'canceled',
      failure_reason: 'merchant_request',
    });
    expect(await charge()).toMatchObject({ amount_refunded: 0 });
    expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ canceled: 9_800, refunded: 0, net: 9_800 });
  });

  it('that was never made, an unknown verb and a reason that is none are refused', async () => {
    const { refund } = await refunded();
    expect((await intervene(sandbox, 'refunds/re_none/fail')).status).toBe(404);
    expect((await intervene(sandbox, `refunds/${refund.id}/lose`)).status).toBe(404);
    expect((await intervene(sandbox, `refunds/${refund.id}/fail`, { reason: 'mood' })).status).toBe(400);
  });
});

describe('as a fault', () => {
  it.each([
    ['refund_pending', 'pending', 9_800],
    ['refund_requires_action', 'requires_action', 9_800],
    ['refund_failed', 'failed', 0],
  ])('%s makes a new refund come out as %s', async (mode, status, amount_refunded) => {
    await setFault(sandbox, { mode, count: 1 });
    const { refund, intent, charge } = await refunded();
    expect(refund.status).toBe(status);
    expect(await charge()).toMatchObject({ amount_refunded, refunded: amount_refunded > 0 });
    now += 52 * WEEK;
    expect((await stripe.refunds.retrieve(refund.id)).status).toBe(status);
    if (status !== 'failed') await intervene(sandbox, `refunds/${refund.id}/fail`);
    expect(await stripe.refunds.create({ payment_intent: intent.id })).toMatchObject({ status: 'succeeded' });
  });

  it('what becomes of it can be set too', async () => {
    await setFault(sandbox, { mode: 'refund_pending', delayMs: 60_000, orderId: 'o1', count: 1 });
    await setFault(sandbox, { mode: 'refund_fails_later', delayMs: 60_000, orderId: 'o1', count: 1 });
    const first = await refunded();
    const second = await refunded();
    expect([first.refund.status, second.refund.status]).toEqual(['pending', 'succeeded']);
    now += 61_000;
    expect((await stripe.refunds.retrieve(first.refund.id)).status).toBe('succeeded');
    expect((await stripe.refunds.retrieve(second.refund.id)).status).toBe('failed');
  });
});

it('a journal of a build that knew no states is read: its refunds have succeeded', async () => {
  const { refund } = await refunded();
  await sandbox.close();
  const file = join(sandbox.dataDir, 'sandbox/ledger.jsonl');
  const old = (await readFile(file, 'utf8')).split('\n');
  const lines = old.map((line) => {
    if (line === '') return line;
    const entry = JSON.parse(line) as { refund?: { status?: string } };
    delete entry.refund?.status;
    return JSON.stringify(entry);
  });
  await writeFile(file, lines.join('\n'));
  await start(sandbox.dataDir);
  expect(await stripe.refunds.retrieve(refund.id)).toEqual(refund);
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ refunded: 9_800, net: 0 });
  await intervene(sandbox, `refunds/${refund.id}/fail`);
  expect(await ledgerOf(sandbox, 'o1')).toMatchObject({ refunded: 0, net: 9_800 });
});
