/** The attacks: what a stranger, or a customer with one token, can ask for. Each is tried beside customers who order. */
import { randomUUID } from 'node:crypto';
import { ATTACKER, LARGE_ORDER_SKUS, type Scene, SKU } from './scene.js';
import { type Asked, type Attack, closedLoop, pipelined, silent, streams, unfinished } from './traffic.js';

type Declared = { what: string; start: (scene: Scene) => Attack };

const bearer = ({ token }: Scene): Record<string, string> => ({ authorization: `Bearer ${token}` });
const json = { 'content-type': 'application/json' };
const pick = (ids: string[], n: number): string => ids[n % ids.length] ?? '';

const order = (lines: number): string =>
  JSON.stringify({
    customerId: ATTACKER,
    items: (lines === 1 ? [SKU] : LARGE_ORDER_SKUS.slice(0, lines)).map((sku) => ({ sku, quantity: 1 })),
    paymentMethod: 'pm_card_visa',
  });

/** 64 KiB in which as much as possible is wrong. */
const WRONG_BODY = `{"items":[${'{"a":1},'.repeat(8_000)}{}]}`;

const head = (lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`;

export const ATTACKS: Record<string, Declared> = {
  lists: {
    what: 'one token, 16 connections: `GET /orders?limit=1000` of large orders',
    start: (scene) => closedLoop(scene.api, 16, () => ({ path: '/orders?limit=1000', headers: bearer(scene) })),
  },
  pipelining: {
    what: 'one token, 6 connections that pipeline 20 `GET /orders/{id}` each',
    start: (scene) =>
      pipelined(
        scene.api,
        6,
        20,
        head([
          `GET /orders/${pick(scene.largeIds, 0)} HTTP/1.1`,
          `Host: ${new URL(scene.api).host}`,
          `Authorization: Bearer ${scene.token}`,
        ]),
      ),
  },
  streams: {
    what: 'one token, 1,000 event streams of its confirmed orders',
    start: (scene) =>
      streams(scene.api, 1_000, (n) => ({
        path: `/orders/${pick(scene.confirmedIds, n)}/events`,
        headers: { ...bearer(scene), accept: 'text/event-stream' },
      })),
  },
  waits: {
    what: 'one token, 300 connections: `POST /orders` with `Prefer: wait=30` and a slow card',
    start: (scene) =>
      closedLoop(scene.api, 300, () => ({
        path: '/orders',
        method: 'POST',
        headers: { ...bearer(scene), ...json, prefer: 'wait=30' },
        body: order(1).replace('pm_card_visa', 'pm_sandbox_slow'),
      })),
  },
  sagas: {
    what: 'one token, 16 connections: `GET /orders/{id}/saga`',
    start: (scene) =>
      closedLoop(scene.api, 16, (n) => ({
        path: `/orders/${pick(scene.confirmedIds, n)}/saga`,
        headers: bearer(scene),
      })),
  },
  cancellations: {
    what: 'one token, 16 connections: cancelling one order with a fresh key each time',
    start: (scene) =>
      closedLoop(scene.api, 16, () => ({
        path: `/orders/${pick(scene.confirmedIds, 0)}/cancel`,
        method: 'POST',
        headers: { ...bearer(scene), ...json, 'idempotency-key': randomUUID() },
        body: '{"reason":"again"}',
      })),
  },
  orders: {
    what: 'one token, 16 connections: `POST /orders` with 100 lines',
    start: (scene) =>
      closedLoop(scene.api, 16, () => ({
        path: '/orders',
        method: 'POST',
        headers: { ...bearer(scene), ...json },
        body: order(100),
      })),
  },
  'wrong bodies': {
    what: 'one token, 16 connections: `POST /orders` with 64 KiB of mistakes',
    start: (scene) =>
      closedLoop(scene.api, 16, () => ({
        path: '/orders',
        method: 'POST',
        headers: { ...bearer(scene), ...json },
        body: WRONG_BODY,
      })),
  },
  documents: {
    what: 'no token, 32 connections: `GET /openapi.json`',
    start: (scene) => closedLoop(scene.api, 32, () => ({ path: '/openapi.json' })),
  },
  'bad tokens': {
    what: 'no token, 100 connections: `GET /orders` with a signature that is wrong',
    start: (scene) => {
      const asked: Asked = {
        path: '/orders',
        headers: { authorization: `Bearer ${scene.token.slice(0, -8)}AAAAAAAA` },
      };
      return closedLoop(scene.api, 100, () => asked);
    },
  },
  slowloris: {
    what: 'no token, 500 connections that never finish their request',
    start: ({ api }) =>
      unfinished(
        api,
        500,
        `POST /orders HTTP/1.1\r\nHost: ${new URL(api).host}\r\nContent-Type: application/json\r\n`,
        'X-Slow: 1\r\n',
      ),
  },
  connections: {
    what: 'no token, twice as many connections as the service takes, on which nothing is said',
    start: ({ api }) => silent(api, 2 * CONNECTIONS_MAX),
  },
};

/** What the besieged service is set to: every connection of it can be taken by one process. */
export const CONNECTIONS_MAX = 1_500;
