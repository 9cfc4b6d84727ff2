/** The connections to the gateway: kept, closed in time, and what a charge comes to whose connection had died. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { ChargeRequest } from '../../gateways/payments.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { eventually } from '../support/conditions.js';
import { json } from './odd-gateway.js';

let server: Server;
let gateway: ReturnType<typeof createPaymentGateway>;
/** All that were ever opened by the gateway's client of this test. */
let connections = 0;
/** The idempotency keys of all requests for a charge, in their order. */
const keys: unknown[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

beforeAll(async () => {
  server = createServer((request, response) => {
    keys.push(request.headers['idempotency-key']);
    request.resume();
    answer(request, response);
  });
  server.keepAliveTimeout = 0; // it closes none by itself
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});
afterEach(() => server.closeAllConnections());

function newGateway(): void {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  gateway = createPaymentGateway({ url, apiKey: 'sk_test_kept', timeoutMs: 2_000 });
  connections = 0;
  keys.length = 0;
}

function request(): ChargeRequest {
  const orderId = randomUUID();
  return {
    due: { orderId, installationId: 'shop', amount: 1_000, currency: 'USD' },
    paymentMethod: 'pm_card_visa',
    idempotencyKey: `${orderId}/charge`,
    since: new Date(),
    lookUp: () => Promise.reject(new Error('its answer was heard')),
  };
}

/** Takes the money of whichever order asks last. */
const charged = ({ due: { orderId } }: ChargeRequest, response: ServerResponse): void => {
  const metadata = { orderId, installationId: 'shop', purpose: 'order' };
  const money = { amount: 1_000, amount_received: 1_000, currency: 'usd', status: 'succeeded' };
  json(response, { id: `pi_${orderId}`, object: 'payment_intent', created: 1_700_000_000, ...money, metadata });
};

const countOpen = () =>
  new Promise<number>((resolve, reject) => server.getConnections((err, count) => (err ? reject(err) : resolve(count))));

async function pay(): Promise<string> {
  const wanted = request();
  answer = (_request, response) => charged(wanted, response);
  const outcome = await gateway.charge(wanted);
  return outcome.outcome;
}

test('charges one after the other share one connection', async () => {
  newGateway();
  for (let i = 0; i < 5; i++) expect(await pay()).toBe('charged');
  expect(connections).toBe(1);
});

test('a connection that dies as it is used again is no unknown charge: the same key is sent over another one', async () => {
  newGateway();
  await pay();
  const wanted = request();
  answer = (first) => {
    answer = (_second, response) => charged(wanted, response);
    first.socket.resetAndDestroy();
  };
  expect(await gateway.charge(wanted)).toEqual({ outcome: 'charged', reference: `pi_${wanted.due.orderId}` });
  expect(keys.slice(-2)).toEqual([wanted.idempotencyKey, wanted.idempotencyKey]);
  expect(connections).toBe(2);
});

test('a connection that is idle for as long as the gateway keeps it is closed from here', async () => {
  newGateway();
  const wanted = request();
  answer = (_request, response) => {
    response.setHeader('keep-alive', 'timeout=3');
    charged(wanted, response);
  };
  await gateway.charge(wanted);
  expect(connections).toBe(1);
  await eventually('it is closed', async () => (await countOpen()) === 0, 10_000);
});
