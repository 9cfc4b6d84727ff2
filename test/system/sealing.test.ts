/**
 * Keys are rotated, and lost for a while, while orders are placed and cancelled: one process with all roles, a key file, and the operators'
 * CLI beside it. No request fails, every order ends, and every text is read as it was said.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '../../local/processes/ports.js';
import { type Cli, cliOf } from '../ops/cli.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { keyLine, writeKeyFile } from '../support/keys.js';
import { isServing, type Surroundings, startSurroundings } from '../support/surroundings.js';

const LIMIT_MS = 120_000;
const CROWD = 3;
const ORDERS_BETWEEN = process.env['FULL'] === '1' ? 200 : 6;
const [OLD, NEW] = [keyLine('old'), keyLine('new')];
const keyFile = writeKeyFile([OLD]);
const KEYS = { KEY_ENCRYPTION: `file:${keyFile}`, KEY_CACHE_TTL: '200ms' };

let around: Surroundings;
let api: string;
let ops: Cli;
beforeAll(async () => {
  around = await startSurroundings();
  await stock(around.database.db, 'A', 100_000);
  const [port, metricsPort] = [await freePort(), await freePort()];
  api = `http://127.0.0.1:${port}`;
  ops = cliOf({ databaseUrl: around.database.url, env: around.temporal }, KEYS);
  await around.start(
    {
      ...{ ROLE: 'all', PORT: `${port}`, METRICS_PORT: `${metricsPort}`, TEMPORAL_ADDRESS: around.temporal.address },
      ...{ DATABASE_URL: around.database.url, PAYMENTS_URL: around.sandbox.url, STRIPE_API_KEY: 'sk_test_1', ...KEYS },
    },
    () => isServing(api),
  );
}, LIMIT_MS);
afterAll(() => around?.stop(), 60_000);

type Order = { id: string; status: string; cancellation?: { message: string } };
const send = async (method: string, path: string, body?: object, headers: object = {}) => {
  const response = await fetch(`${api}${path}`, {
    method,
    headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, order: (await response.json()) as Order };
};

/** A few customers order and cancel without a pause. */
function startLoad() {
  const said = new Map<string, string>();
  const failures: string[] = [];
  const note = (what: string, ok: boolean, status: number) => void (ok || failures.push(`${what}: ${status}`));
  let stopped = false;
  const once = async (customer: number) => {
    const order = { customerId: `cus_${customer}`, items: [{ sku: 'A', quantity: 1 }], paymentMethod: 'pm_card_visa' };
    const key = { 'idempotency-key': randomUUID(), prefer: 'wait=20' };
    const placed = await send('POST', '/orders', order, key);
    note('place', placed.status === 201 && placed.order.status === 'CONFIRMED', placed.status);
    const reason = `Grund ${randomUUID()}`;
    const cancelled = await send('POST', `/orders/${placed.order.id}/cancel`, { reason });
    note('cancel', cancelled.status === 202, cancelled.status);
    said.set(placed.order.id, reason);
    const earlier = [...said.keys()][Math.floor(Math.random() * said.size)] as string;
    const read = await send('GET', `/orders/${earlier}`);
    note('read', read.status === 200, read.status);
  };
  const loops = Array.from({ length: CROWD }, async (_, customer) => {
    while (!stopped) await once(customer);
  });
  return {
    said,
    failures,
    more: async (count = ORDERS_BETWEEN) => {
      const wanted = said.size + count;
      await eventually(`${count} more orders`, () => said.size >= wanted || failures.length > 0, 60_000);
    },
    stop: async () => {
      stopped = true;
      await Promise.all(loops);
    },
  };
}

test(
  'both kinds of keys are rotated under load, and no order, cancellation or reading fails for it',
  async () => {
    const load = startLoad();
    await load.more();
    writeKeyFile([NEW, OLD], keyFile);
    await load.more();
    expect((await ops.json('keys', 'rewrap', '--yes')).document).toMatchObject({ current: 'file:new', failed: 0 });
    expect((await ops.json('keys')).document.keys).toMatchObject([{ key: 'file:new' }]);
    writeKeyFile([NEW], keyFile);
    await load.more();
    expect((await ops.json('keys', 'rotate', '--all', '--yes')).document).toEqual({ renewed: CROWD });
    await load.more();
    await load.stop();
    expect(load.failures).toEqual([]);
    for (const [id, reason] of load.said) {
      const read = () => send('GET', `/orders/${id}`);
      const { order } = await eventually('it is cancelled', async () => {
        const answer = await read();
        return answer.order.status === 'CANCELLED' && answer;
      });
      expect(order.cancellation?.message).toBe(reason);
    }
    const stored = (await around.database.db.$queryRaw`SELECT cancellation_message AS text FROM orders`) as {
      text: string;
    }[];
    expect(stored.filter(({ text }) => !/^sealed:v1:[12]:/.test(text))).toEqual([]);
    expect(new Set(stored.map(({ text }) => text.split(':')[2]))).toEqual(new Set(['1', '2']));
  },
  LIMIT_MS,
);
