/** A gateway whose answers are well-formed and about something else: another program's charge, another list, another time. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { GatewayMismatch, GatewayUnknown } from '../../gateways/payments.js';
import { type TestLedgers, openLedgers } from '../reconciliation/support.js';
import { json, type OddGateway, startOddGateway } from './odd-gateway.js';

let b: TestLedgers;
let odd: OddGateway;
beforeAll(async () => {
  [b, odd] = await Promise.all([openLedgers(), startOddGateway(1_000)]);
});
afterAll(() => Promise.all([b.stop(), odd.stop()]));

const nowS = () => Math.floor(Date.now() / 1_000);
const intent = (id: string, metadata: Record<string, string>, created = nowS()) => ({
  id,
  object: 'payment_intent',
  amount: 1_000,
  amount_received: 1_000,
  currency: 'usd',
  status: 'succeeded',
  created,
  latest_charge: null,
  last_payment_error: null,
  metadata,
});
const orderId = randomUUID();
const marks = () => ({ orderId, installationId: b.installationId, purpose: 'order' });

test.each([
  ['without metadata', () => ({})],
  ['another application’s', () => ({ orderId: 'WEB-1001' })],
  ['of another order of ours', () => ({ ...marks(), orderId: randomUUID() })],
  ['of another installation', () => ({ ...marks(), installationId: 'another-shop' })],
  ['without our marks', () => ({ orderId })],
  ['for another purpose', () => ({ ...marks(), purpose: 'gift' })],
])('an order is not paid by an answer about a charge %s, though the money fits', async (_, metadata) => {
  odd.answer = (_request, response) => json(response, intent('pi_1', metadata()));
  await expect(odd.gateway.charge(b.request(orderId))).rejects.toBeInstanceOf(GatewayMismatch);
  odd.answer = (_request, response) => json(response, intent('pi_1', marks()));
  expect(await odd.gateway.charge(b.request(orderId))).toEqual({ outcome: 'charged', reference: 'pi_1' });
});

test('an answer about another charge is not taken for this one’s, nor by another one’s refunds', async () => {
  odd.answer = (_request, response) => json(response, intent('pi_2', marks()));
  await expect(odd.gateway.readCharge('pi_1')).rejects.toBeInstanceOf(GatewayUnknown);
  const made = { id: 're_1', object: 'refund', payment_intent: 'pi_2', amount: 1_000, status: 'succeeded' };
  const refunds = { object: 'list', has_more: false, data: [{ ...made, metadata: marks(), created: nowS() }] };
  odd.answer = (_request, response) => json(response, refunds);
  expect(await odd.gateway.readRefunds('pi_1')).toEqual([]);
});

test('a list whose pages alternate ends', async () => {
  const page = (name: string, created: number) => ({
    object: 'list',
    has_more: true,
    data: [intent(`pi_${name}`, {}, created)],
  });
  const [young, old] = [page('young', nowS()), page('old', nowS() - 100)];
  odd.answer = (request, response) => json(response, request.url?.includes('pi_young') ? old : young);
  odd.asked.length = 0;
  const { dbNow, spans } = await b.request(orderId).lookUp();
  const { due } = b.request(orderId);
  await expect(odd.gateway.settleOpenCharges({ due, spans, dbNow })).rejects.toBeInstanceOf(GatewayUnknown);
  expect(odd.asked.length).toBeLessThan(6);
});
