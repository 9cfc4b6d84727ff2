/** Limits: whatever a gateway does, an attempt ends in time, and no request of it goes on afterwards. */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { deadlineIn } from '../../gateways/deadline.js';
import { GatewayUnknown } from '../../gateways/payments.js';
import { charge, failureOf, refund, unwind } from '../activities/undo.js';
import { eventually } from '../support/conditions.js';
import { type TestLedgers, openLedgers } from '../reconciliation/support.js';
import { json, type OddGateway, startOddGateway } from './odd-gateway.js';

let b: TestLedgers;
let odd: OddGateway;
beforeAll(async () => {
  [b, odd] = await Promise.all([openLedgers(), startOddGateway(1_000)]);
});
afterEach(() => {
  odd.asked.length = 0;
  return b.heal();
});
afterAll(() => Promise.all([b.stop(), odd.stop()]));

/** Of one request and what surrounds it, on a busy machine. */
const IN_TIME_MS = 8_000;
async function unknownInTime(ask: () => Promise<unknown>): Promise<void> {
  const began = performance.now();
  await expect(ask()).rejects.toBeInstanceOf(GatewayUnknown);
  expect(performance.now() - began).toBeLessThan(IN_TIME_MS);
  await eventually('no request waits for it any more', () => odd.open() === 0, 1_000);
}

/** Every way of asking; each takes the answer of another route for granted. */
const ASKING: [string, () => Promise<unknown>][] = [
  ['a charge', () => odd.gateway.charge(b.request(randomUUID()))],
  ['a look-up', () => odd.gateway.settleOpenCharges(lookUp())],
  ['a list', () => odd.gateway.listCharges({ since: new Date(0) })],
  ['a list of refunds', () => odd.gateway.listRefunds({ since: new Date(0) })],
  ['a list of disputes', () => odd.gateway.listDisputes({ since: new Date(0) })],
  ['one charge', () => odd.gateway.readCharge('pi_1')],
  ['a refund', () => odd.gateway.refund(refundOf('pi_1'))],
  ['the marker', () => odd.gateway.readMarker('cus_1')],
  ['the search for a marker', () => odd.gateway.findMarker('shop')],
];
const refundOf = (chargeReference: string) => ({
  due: { orderId: randomUUID(), installationId: b.installationId },
  chargeReference,
  idempotencyKey: randomUUID(),
});
const lookUp = (deadline = deadlineIn(2_000)) => {
  const dbNow = new Date();
  const spans = [{ from: new Date(dbNow.getTime() - 60_000), until: dbNow }];
  return { due: b.request(randomUUID()).due, spans, dbNow, deadline };
};

describe.each(ASKING)('%s', (_what, ask) => {
  test.each([
    ['null', 'null'],
    ['an array', '[]'],
    ['a number', '7'],
    ['no JSON', '<html>'],
    ['nothing', ''],
    ['half of it', '{"id": "pi_1", "amou'],
    ['an object of another kind', '{"object": "balance", "data": [{"id": 7}], "metadata": 7}'],
    ['an error that is none', '{"error": 7}'],
  ])('that is answered with %s has an unknown outcome', async (_name, body) => {
    for (const status of [200, 404, 500]) {
      odd.answer = (_request, response) => json(response, body, status);
      await unknownInTime(ask);
    }
  });

  test('whose answer drips for ever ends in time', async () => {
    odd.answer = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const drip = setInterval(() => response.write(' '), 50);
      response.once('close', () => clearInterval(drip));
    };
    await unknownInTime(ask);
  });

  test('whose answer is as large as can be ends early', async () => {
    let sent = 0;
    odd.answer = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const pour = (): void => {
        if (sent === 20 || response.destroyed) return void response.end();
        sent++;
        if (response.write(MEGABYTE)) pour();
        else response.once('drain', pour);
      };
      sent = 0;
      pour();
    };
    await unknownInTime(ask);
    expect(sent).toBeLessThan(20);
  });

  test('on a kept connection that is cut late is not asked again for as long', async () => {
    const warm = (response: ServerResponse) => json(response, { object: 'list', data: [], has_more: false });
    odd.answer = (_request, response) => warm(response);
    await odd.gateway.listDisputes({ since: new Date(0) });
    odd.asked.length = 0;
    odd.answer = (request) => void setTimeout(() => request.socket.resetAndDestroy(), 600);
    await unknownInTime(ask);
    const asked = odd.asked.map(({ method, path }) => `${method} ${path}`);
    expect(asked).toEqual([...new Set(asked)]);
  });
});
const MEGABYTE = Buffer.alloc(1024 * 1024, ' ');

describe('a list that does not end', () => {
  test.each(['repeat_page', 'empty_page'])('%s: ends with an unknown outcome, asked for a few pages', async (mode) => {
    await b.takeMoney(randomUUID());
    await b.fault({ mode, route: 'list' });
    await b.requests();
    await expect(b.gateway.settleOpenCharges(lookUp())).rejects.toBeInstanceOf(GatewayUnknown);
    expect((await b.requests())['GET /v1/payment_intents']).toBeLessThan(4);
  });

  test('whose pages go round in a circle ends with the attempt, for every caller', async () => {
    const pages = ['a', 'b', 'c'].map((name) => ({
      object: 'list',
      has_more: true,
      data: [stranger(`pi_${name}`)],
    }));
    odd.answer = (request, response) => {
      if (request.url?.includes('/search')) return json(response, { object: 'search_result', data: [] });
      const at = pages.findIndex(({ data: [last] }) => request.url?.endsWith(`starting_after=${last?.id}`));
      return json(response, pages[(at + 1) % pages.length]);
    };
    await unknownInTime(() => odd.gateway.settleOpenCharges(lookUp(deadlineIn(500))));
  });
});
const stranger = (id: string) => ({
  id,
  object: 'payment_intent',
  amount: 1_000,
  amount_received: 1_000,
  currency: 'usd',
  status: 'succeeded',
  created: Math.floor(Date.now() / 1_000),
  metadata: {},
});

describe('one deadline for all that an attempt asks', () => {
  test.each([
    ['charge of a day ago', () => charge, "created_at = now() - interval '21 hours'"],
    ['refund that has to look the charge up', () => refund, 'updated_at = now()'],
  ])('%s: at 0.7 s a request it ends within its limit, and asks nothing more', async (_name, act, change) => {
    const order = await b.pending();
    await b.db.$executeRawUnsafe(`UPDATE orders SET ${change} WHERE id = '${order.id}'::uuid`);
    if (act() === refund) await unwind(b, order.id);
    odd.answer = (request, response) =>
      void setTimeout(() => {
        const object = request.url?.includes('/search') ? 'search_result' : 'list';
        const last = request.url?.includes('starting_after') ? 'pi_b' : 'pi_a';
        json(response, { object, data: [stranger(`${last}${odd.asked.length}`)], has_more: true });
      }, 700);
    const began = performance.now();
    await failureOf(act()(b, order.id, { gateway: odd.gateway, limitMs: 3_000 }));
    const endedAt = performance.now();
    expect(endedAt - began).toBeLessThan(IN_TIME_MS);
    expect(odd.asked.length).toBeGreaterThan(2);
    await eventually('no request waits for it any more', () => odd.open() === 0, 1_000);
    expect(odd.asked.filter(({ at }) => at > endedAt)).toEqual([]);
  });

  test('counts what is left of the step’s budget, where that is less', async () => {
    const order = await b.pending();
    odd.answer = () => undefined; // silence
    const began = performance.now();
    const left = { gateway: odd.gateway, limitMs: 10_000, budgetMs: 700 };
    await failureOf(charge(b, order.id, left));
    expect(performance.now() - began).toBeLessThan(5_000); // far below what the limit alone would allow
  });
});
