/**
 * Real processes with PAYLOAD_CODEC: what they leave in Temporal is in clear nowhere, and `ops` reads it; one that cannot have the key
 * accepts orders, says what it lacks, and loses none.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '../../local/processes/ports.js';
import type { Running } from '../../local/processes/program.js';
import { cliOf } from '../ops/cli.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { writeKeyFile } from '../support/keys.js';
import { rawHistory } from '../support/payloads.js';
import { isServing, type Surroundings, startSurroundings } from '../support/surroundings.js';

const LIMIT_MS = 120_000;
const KEYS = { KEY_ENCRYPTION: `file:${writeKeyFile()}`, PAYLOAD_CODEC: 'on' };
const AWAY = {
  ...{ KEY_ENCRYPTION: 'vault', VAULT_ADDR: 'http://127.0.0.1:1', VAULT_TOKEN: 'none', KEY_STORE_TIMEOUT: '300ms' },
  PAYLOAD_CODEC: 'on',
};
const CORRELATION = 'canary-correlation-4';

let around: Surroundings;
let api: string;
let metrics: string;
let running: Running;
beforeAll(async () => {
  around = await startSurroundings();
  await stock(around.database.db, 'A', 1_000);
}, LIMIT_MS);
afterAll(() => around?.stop(), 60_000);

async function start(keys: Record<string, string>): Promise<Running> {
  const [port, metricsPort] = [await freePort(), await freePort()];
  api = `http://127.0.0.1:${port}`;
  metrics = `http://127.0.0.1:${metricsPort}`;
  return around.start(
    {
      ...{ ROLE: 'all', PORT: `${port}`, METRICS_PORT: `${metricsPort}`, TEMPORAL_ADDRESS: around.temporal.address },
      DATABASE_URL: around.database.url,
      ...{ PAYMENTS_URL: around.sandbox.url, STRIPE_API_KEY: 'sk_test_1', ...keys },
    },
    () => isServing(api),
  );
}

type Order = { id: string; status: string };
async function place(customerId = 'cus_1'): Promise<Order> {
  const response = await fetch(`${api}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-correlation-id': CORRELATION },
    body: JSON.stringify({ customerId, items: [{ sku: 'A', quantity: 1 }], paymentMethod: 'pm_card_visa' }),
  });
  expect(response.status).toBe(201);
  return (await response.json()) as Order;
}
const isConfirmed = (id: string) =>
  eventually('the order is confirmed', async () => {
    const order = (await (await fetch(`${api}/orders/${id}`)).json()) as Order;
    return order.status === 'CONFIRMED';
  });
const readyz = async () => JSON.stringify(await (await fetch(`${metrics}/readyz`)).json());

test(
  'orders are accepted while the key cannot be had, the worker says what it lacks, and they end when it is there',
  async () => {
    const without = await start(AWAY);
    const { id, status } = await place();
    expect(status).toBe('PENDING');
    await eventually('the worker says so', async () => (await readyz()).includes('"payloadKey":"missing"'));
    expect((await fetch(`${metrics}/readyz`)).status).toBe(503);
    await without.stop(20_000);

    running = await start(KEYS);
    await isConfirmed(id);
    expect(await readyz()).toContain('"payloadKey":"at hand"');
    expect(await around.database.db.order.count({ where: { status: 'CONFIRMED' } })).toBe(1);
  },
  LIMIT_MS,
);

test(
  'the payload key is rotated under load by the operators’ CLI: every order ends, nothing is in clear, and ops reads it',
  async () => {
    const ops = cliOf({ databaseUrl: around.database.url, env: around.temporal }, KEYS);
    const before = await Promise.all(Array.from({ length: 5 }, () => place()));
    const rotated = await ops.json('keys', 'rotate', '--customer', '00000000-0000-0000-0000-000000000000', '--yes');
    expect(rotated.document).toEqual({ renewed: 1 });
    const after = await Promise.all(Array.from({ length: 5 }, () => place()));
    for (const { id } of [...before, ...after]) await isConfirmed(id);
    expect(await around.database.db.order.count({ where: { status: 'CONFIRMED' } })).toBe(11);
    const texts = await Promise.all(
      [...before, ...after].map(({ id }) => rawHistory(around.temporal.client, `order-${id}`)),
    );
    for (const text of texts) expect(text).toContain('binary/encrypted');
    expect(texts.filter((text) => /canary|stepRetryBudgetMs|CONFIRMED/.test(text))).toEqual([]);
    const checked = await ops.json('replay-check', '--since', '1h', '--bundle', 'dist/workflow-bundle.js');
    expect(checked).toMatchObject({ code: 0, document: { replayed: 11, incompatible: [] } });
  },
  LIMIT_MS,
);

test(
  'a process that starts and cannot have the key cancels, tells references in events, and is scraped; who stands behind one it says when it can',
  async () => {
    const { id } = await place('cus_sealed');
    await isConfirmed(id);
    const { db } = around.database;
    const [customer] = await db.$queryRaw<{ reference: string; stored: string }[]>`
      SELECT c.reference::text AS reference, c.client_id AS stored FROM customers c
      JOIN orders o ON o.customer_id = c.reference::text WHERE o.id = ${id}::uuid`;
    expect(customer?.stored).toMatch(/^sealed:v1:/);
    await running.stop(20_000);
    const without = await start({ ...AWAY, EVENTS_CUSTOMER: 'reference' });

    const read = await fetch(`${api}/orders/${id}`);
    expect([read.status, await read.json()]).toEqual([503, expect.objectContaining({ code: 'key-unavailable' })]);
    const cancelled = await fetch(`${api}/orders/${id}/cancel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ reason: 'no longer wanted' }),
    });
    expect([cancelled.status, await cancelled.json()]).toEqual([
      202,
      expect.objectContaining({ customerId: customer?.reference }),
    ]);
    const feed = (await (await fetch(`${api}/events?limit=1000`)).json()) as { events: { subject: string }[] };
    expect(feed.events.find(({ subject }) => subject === id)).toMatchObject({
      data: { customerId: customer?.reference },
    });
    expect(await (await fetch(`${metrics}/metrics`)).text()).toMatch(
      /^order_saga_key_store_calls_total\{call="unwrap",outcome="(away|refused)"/m,
    );
    await without.stop(20_000);

    running = await start(KEYS);
    await eventually('the order is taken back', async () => {
      const order = (await (await fetch(`${api}/orders/${id}`)).json()) as Order & { customerId: string };
      return order.status === 'CANCELLED' && order.customerId === 'cus_sealed';
    });
  },
  LIMIT_MS,
);
