import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import Stripe from 'stripe';
import { cleanUp, errorOf, intervene, newDataDir, order, setFault, startSandbox, until } from '../support.js';

const SECRET = 'whsec_test_secret';
const { webhooks } = new Stripe('sk_test_1');

let server: Server;
let url: string;
/** Requests that have no answer yet. */
let waiting: number;
let received: { body: string; signature: string }[];
/** How the endpoint answers; `undefined` = not at all, `cut` = it closes the connection instead. */
let answer: (attempt: number) => number | 'cut' | undefined;
let connections: number;

beforeEach(async () => {
  received = [];
  waiting = 0;
  answer = () => 200;
  server = createServer(async (request, response) => {
    waiting += 1;
    response.on('close', () => {
      waiting -= 1;
    });
    let body = '';
    for await (const chunk of request) body += chunk;
    received.push({ body, signature: String(request.headers['stripe-signature']) });
    const status = answer(received.length);
    if (status === 'cut') request.socket.destroy();
    else if (status !== undefined) response.writeHead(status).end();
  });
  connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks/payments`;
});
afterEach(async () => {
  await cleanUp();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const events = () => received.map(({ body, signature }) => webhooks.constructEvent(body, signature, SECRET));
const eventCount = (count: number) => until(() => (received.length >= count ? events() : undefined));
const start = (options: { attemptsMax?: number; dataDir?: string; refundSettlesAfterMs?: number } = {}) => {
  const { attemptsMax, ...rest } = options;
  const bounded = attemptsMax === undefined ? {} : { attemptsMax };
  return startSandbox({ webhook: { url, secret: SECRET, backoffMs: 5, ...bounded }, ...rest });
};

it('announces payments, declines and refunds in events that the official client verifies', async () => {
  const { stripe } = await start();
  const paid = await stripe.paymentIntents.create(order('o1'), { idempotencyKey: 'k1' });
  await errorOf(stripe.paymentIntents.create(order('o2', 'pm_card_chargeDeclined')));
  const refund = await stripe.refunds.create({ payment_intent: paid.id });
  const all = await eventCount(4);
  const subjects = Object.fromEntries(all.map(({ type, data }) => [type, data.object]));
  expect(subjects).toMatchObject({
    'payment_intent.succeeded': { id: paid.id, metadata: { orderId: 'o1' }, amount_received: 9_800 },
    'payment_intent.payment_failed': { metadata: { orderId: 'o2' }, amount_received: 0 },
    'charge.refunded': { id: paid.latest_charge, amount_refunded: 9_800 },
    'refund.created': { id: refund.id, payment_intent: paid.id },
  });
  expect(new Set(all.map(({ id }) => id)).size).toBe(4);
  expect(all[0]?.request?.idempotency_key).toBe('k1');
});

it('is signed: a changed body or another secret does not verify', async () => {
  const { stripe } = await start();
  await stripe.paymentIntents.create(order('o1'));
  await eventCount(1);
  const { body, signature } = received[0] as { body: string; signature: string };
  expect(() => webhooks.constructEvent(body.replace('9800', '9801'), signature, SECRET)).toThrow(/signature/i);
  expect(() => webhooks.constructEvent(body, signature, 'whsec_other')).toThrow(/signature/i);
});

it('comes again until it is accepted, and then no more', async () => {
  answer = (attempt) => (attempt < 3 ? 500 : 200);
  const { stripe } = await start();
  await stripe.paymentIntents.create(order('o1'));
  const all = await eventCount(3);
  expect(new Set(all.map(({ id }) => id)).size).toBe(1);
  await stripe.paymentIntents.create(order('o2'));
  await eventCount(4);
  expect(new Set(events().map(({ id }) => id)).size).toBe(2);
});

it('is accepted by any 2xx, and by nothing else', async () => {
  const answers = [204, 302, 299, 404, 200];
  answer = (attempt) => answers[attempt - 1];
  const { stripe } = await start();
  for (const orderId of ['o1', 'o2', 'o3']) {
    const before = received.length;
    await stripe.paymentIntents.create(order(orderId));
    await eventCount(before + (orderId === 'o1' ? 1 : 2));
  }
  const ids = events().map(({ id }) => id);
  expect(ids).toEqual([ids[0], ids[1], ids[1], ids[3], ids[3]]);
  expect(new Set(ids).size).toBe(3);
});

it('goes over a connection that is kept; if the endpoint has closed or cuts it, the event comes over another', async () => {
  const cutAt = 4;
  answer = (attempt) => (attempt === cutAt ? 'cut' : 200);
  const { stripe } = await start();
  const announce = async (orderId: string, count: number) => {
    await stripe.paymentIntents.create(order(orderId));
    await eventCount(count);
  };
  await announce('o1', 1);
  await announce('o2', 2);
  expect(connections).toBe(1);
  server.closeIdleConnections();
  await announce('o3', 3);
  expect(connections).toBe(2);
  await announce('o4', cutAt + 1);
  expect(connections).toBe(3);
  const ids = events().map(({ id }) => id);
  expect(ids[cutAt]).toBe(ids[cutAt - 1]);
  expect(new Set(ids).size).toBe(4);
});

it('gives up after its last attempt, so a dead endpoint costs nothing for ever', async () => {
  answer = (attempt) => (attempt <= 2 ? 500 : 200);
  const dataDir = await newDataDir();
  const first = await start({ attemptsMax: 2, dataDir });
  await first.stripe.paymentIntents.create(order('o1'));
  const [given] = await eventCount(2);
  // The second refusal has been sent; that it arrived, the ledger says.
  await until(
    async () => (await readFile(join(dataDir, 'sandbox', 'ledger.jsonl'), 'utf8')).includes('closedEvent') || undefined,
  );
  await first.close();
  const second = await start({ dataDir });
  await second.stripe.paymentIntents.create(order('o2'));
  await eventCount(3);
  expect(events()[2]?.id).not.toBe(given?.id);
});

it('survives a restart: what was not delivered is sent again', async () => {
  answer = () => 500;
  const first = await start();
  const paid = await first.stripe.paymentIntents.create(order('o1'));
  await eventCount(1);
  await first.close();
  answer = () => 200;
  const before = received.length;
  await start({ dataDir: first.dataDir });
  const all = await eventCount(before + 1);
  expect(all.at(-1)?.data.object).toMatchObject({ id: paid.id });
  expect(all.at(-1)?.id).toBe(all[0]?.id);
});

it('never holds up an answer, not even when the endpoint hangs', async () => {
  answer = () => undefined;
  const sandbox = await start();
  const paid = await Promise.all(
    Array.from({ length: 40 }, (_, n) => sandbox.stripe.paymentIntents.create(order(`o${n}`))),
  );
  expect(paid).toHaveLength(40);
  await until(() => waiting > 0 || undefined);
  const before = Date.now();
  await sandbox.close();
  await until(() => waiting === 0 || undefined);
  expect(Date.now() - before).toBeLessThan(2_000);
});

it('tells of a refund that settles, and of one that fails, with what it was before', async () => {
  const { stripe, ...sandbox } = await start({ refundSettlesAfterMs: 20 });
  const paid = await stripe.paymentIntents.create(order('o1', 'pm_card_pendingRefund'));
  const refund = await stripe.refunds.create({ payment_intent: paid.id });
  const settled = (await eventCount(5)).slice(3);
  expect(settled.map(({ type }) => type).sort()).toEqual(['charge.refund.updated', 'refund.updated']);
  expect(settled[0]?.data).toMatchObject({
    object: { id: refund.id, status: 'succeeded' },
    previous_attributes: { status: 'pending' },
  });
  await intervene(sandbox, `refunds/${refund.id}/fail`);
  const failed = (await eventCount(8)).slice(5);
  expect(failed.map(({ type }) => type).sort()).toEqual(['charge.refund.updated', 'refund.failed', 'refund.updated']);
  for (const { data } of failed)
    expect(data).toMatchObject({
      object: { object: 'refund', id: refund.id, status: 'failed', failure_reason: 'expired_or_canceled_card' },
      previous_attributes: { status: 'succeeded' },
    });
});

it('tells of a dispute, and of its end', async () => {
  const { stripe, ...sandbox } = await start();
  const paid = await stripe.paymentIntents.create(order('o1'));
  const { body } = await intervene(sandbox, `payment_intents/${paid.id}/dispute`);
  await eventCount(3);
  await intervene(sandbox, `disputes/${String(body['id'])}/win`);
  const all = await eventCount(5);
  const announced = Object.fromEntries(all.map(({ type, data }) => [type, data.object]));
  expect(announced).toMatchObject({
    'charge.dispute.created': { object: 'dispute', charge: paid.latest_charge, status: 'needs_response' },
    'charge.dispute.funds_withdrawn': { id: body['id'] },
    'charge.dispute.closed': { id: body['id'], status: 'won' },
    'charge.dispute.funds_reinstated': { id: body['id'] },
  });
});

it('is lost on request, and only what was to be lost', async () => {
  const sandbox = await start();
  await setFault(sandbox, { mode: 'webhook_lost', event: 'payment_intent.succeeded', orderId: 'o1' });
  for (const orderId of ['o1', 'o2', 'o1', 'o3']) await sandbox.stripe.paymentIntents.create(order(orderId));
  const orders = (await eventCount(2)).map(({ data }) => (data.object as Stripe.PaymentIntent).metadata['orderId']);
  expect(orders.sort()).toEqual(['o2', 'o3']);
  await sandbox.close();
  const restarted = await start({ dataDir: sandbox.dataDir });
  await restarted.stripe.paymentIntents.create(order('o4'));
  const ordersTold = () => events().map(({ data }) => (data.object as Stripe.PaymentIntent).metadata['orderId']);
  // What was delivered, and not noted before the end, may come again; what was to be lost does not.
  const told = await until(() => (ordersTold().includes('o4') ? ordersTold() : undefined));
  expect(new Set(told)).toEqual(new Set(['o2', 'o3', 'o4']));
});

it('comes again on request although it was taken', async () => {
  const sandbox = await start();
  await setFault(sandbox, { mode: 'webhook_repeated', count: 1 });
  await sandbox.stripe.paymentIntents.create(order('o1'));
  const all = await eventCount(2);
  expect(all[1]?.id).toBe(all[0]?.id);
  await sandbox.stripe.paymentIntents.create(order('o2'));
  expect((await eventCount(3))[2]?.id).not.toBe(all[0]?.id);
});

it('comes behind the next one on request, or late when none comes', async () => {
  const sandbox = await start();
  await setFault(sandbox, { mode: 'webhook_out_of_order', orderId: 'o1' });
  await sandbox.stripe.paymentIntents.create(order('o1'));
  await sandbox.stripe.paymentIntents.create(order('o2'));
  const orders = (await eventCount(2)).map(({ data }) => (data.object as Stripe.PaymentIntent).metadata['orderId']);
  expect(orders).toEqual(['o2', 'o1']);
  for (const mode of ['webhook_out_of_order', 'webhook_late']) {
    await setFault(sandbox, { mode, orderId: mode, delayMs: 100 });
    const [before, count] = [Date.now(), received.length];
    await sandbox.stripe.paymentIntents.create(order(mode));
    await eventCount(count + 1);
    expect(Date.now() - before).toBeGreaterThanOrEqual(100);
  }
});
