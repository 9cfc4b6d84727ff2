/** The examples, run as their readers run them, and killed: every effect is had exactly once. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { type CloudEvent, type EventType, toCloudEvent } from '../../contracts/events.js';
import { reserveInventory } from '../../domain/inventory.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { recordCharge } from '../../domain/payments.js';
import { freePort } from '../../local/processes/ports.js';
import { createPublishers } from '../../relay/publishers/configured.js';
import { readConfig } from '../../runtime/config.js';
import { settings } from '../../runtime/settings.js';
import { publishUntilTaken } from '../relay/publishers/contract.js';
import { startTestApi } from '../support/api.js';
import type { Broker } from '../../testbed/brokers/start.js';
import { describeWithBroker } from '../support/brokers.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

const ORDERS = process.env['FULL'] === '1' ? 2_000 : 60;
const PRICE = 1_001;
/** Types are added: a consumer that does not know one takes the event, has no effect, and goes on. */
const TYPE_OF_TOMORROW = 'shipment.dispatched';
/** Delivered last: where these have arrived, all before them has. Enough for each of Kafka's partitions to get some. */
const LAST = 60;

let database: TestDatabase;
let pool: pg.Pool;
let consumer: ChildProcess | undefined;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 2 });
});
afterEach(kill);
afterAll(async () => {
  await pool.end();
  await database.drop();
});

function startConsumer(name: string, env: Record<string, string>): void {
  consumer = spawn(process.execPath, [join('examples', 'consumers', `${name}.mjs`)], {
    env: { PATH: process.env['PATH'], DATABASE_URL: database.url, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // As whatever supervises it would: it ends itself on every error.
  consumer.once('exit', (code) => code !== null && startConsumer(name, env));
}

async function kill(): Promise<void> {
  const victim = consumer;
  consumer = undefined;
  if (victim === undefined) return;
  victim.removeAllListeners('exit');
  const gone = once(victim, 'exit');
  if (victim.kill('SIGKILL')) await gone;
}

/** What the consumer says it has sold; nothing yet if its tables are not there. */
async function sold(name: string): Promise<{ orders: number; amount: number }> {
  const { rows } = await pool
    .query('SELECT orders, amount::int FROM sales WHERE consumer = $1', [name])
    .catch(() => ({ rows: [] }));
  return rows[0] ?? { orders: 0, amount: 0 };
}

const has = (name: string, orders: number) =>
  eventually(`${name} has ${orders} orders`, async () => (await sold(name)).orders >= orders, 120_000);

/** @param deliver hands these events to the destination. @returns the ids by which the consumer knows the confirmations */
async function proveExactlyOnce(
  name: string,
  env: Record<string, string>,
  deliver: (events: CloudEvent[]) => Promise<string[]>,
): Promise<void> {
  const events = confirmedOrders(ORDERS);
  startConsumer(name, env);
  const delivering = deliver(events);
  await has(name, ORDERS / 3);
  await kill();
  startConsumer(name, env);
  await delivering;
  await has(name, ORDERS / 2);
  await kill();
  startConsumer(name, env);
  await deliver(events); // all of them once more
  const last = await deliver(confirmedOrders(LAST));
  await eventually(`${name} knows the last ones`, () => knows(name, last), 120_000);
  expect(await sold(name)).toEqual({ orders: ORDERS + LAST, amount: PRICE * (ORDERS + LAST) });
}

/** Counting effects would not do: repetitions reach a number early. */
async function knows(name: string, ids: string[]): Promise<boolean> {
  const query = 'SELECT count(*)::int AS known FROM inbox WHERE consumer = $1 AND event_id = ANY ($2)';
  const { rows } = await pool.query(query, [name, ids]);
  return rows[0].known === ids.length;
}

/** The stream itself drops what is published twice within 2 min; here, only the inbox may. */
async function letRepeat(url: string): Promise<void> {
  const connection = await connect({ servers: new URL(url).host });
  const manager = await jetstreamManager(connection);
  await manager.streams.update('orders', { duplicate_window: 100 * 1e6 }); // nanoseconds; the least there is
  await connection.close();
}

function confirmedOrders(count: number): CloudEvent[] {
  return Array.from({ length: count }, () => uuidv7()).flatMap((orderId) =>
    ['order.created', TYPE_OF_TOMORROW, 'order.confirmed'].map((type, index) =>
      toCloudEvent({
        orderId,
        sequence: index + 1,
        type: type as EventType,
        data: { orderId, total: { amount: PRICE, currency: 'USD' } },
        correlationId: uuidv7(),
        traceparent: null,
        occurredAt: new Date(),
      }),
    ),
  );
}

const publish = async (env: Record<string, string>, events: CloudEvent[]): Promise<string[]> => {
  const [publisher] = await createPublishers(readConfig(settings, { DATABASE_URL: database.url, ...env }));
  if (publisher === undefined) throw new Error('no destination is configured');
  await publishUntilTaken(publisher, events).finally(() => publisher.close());
  return events.filter(({ type }) => type === 'order.confirmed').map(({ id }) => id);
};

for (const name of ['kafka', 'nats', 'rabbitmq'] as const) {
  await describeWithBroker(name, (start) => {
    let broker: Broker;
    beforeAll(async () => {
      broker = await start();
    }, 120_000);
    afterAll(() => broker?.stop());

    test('its consumer, killed twice and sent everything twice, has every effect exactly once', async () => {
      await publish(broker.settings, confirmedOrders(1).slice(0, 1)); // makes topic, stream, queue
      if (name === 'nats') await letRepeat(broker.address);
      await proveExactlyOnce(name, broker.settings, (events) => publish(broker.settings, events));
    }, 240_000);
  });
}

describe('webhook', () => {
  test('its consumer, killed twice and sent everything twice, has every effect exactly once', async () => {
    const port = await freePort();
    const WEBHOOK_SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes, say').toString('base64')}`;
    const destination = { WEBHOOK_URL: `http://127.0.0.1:${port}`, WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE: 'true' };
    await proveExactlyOnce('webhook', { PORT: `${port}`, WEBHOOK_SECRET }, (events) => publish(destination, events));
  }, 240_000);
});

describe('feed', () => {
  test('its consumer, killed twice and sent everything thrice, has every effect exactly once', async () => {
    const api = await startTestApi();
    try {
      await stock(api.db, 'A', 1_000_000, PRICE);
      // The feed repeats itself to a consumer that starts over: there is nothing to deliver but the orders themselves.
      const seen = new Set<string>();
      await proveExactlyOnce('feed', { FEED_URL: `${api.url}/events` }, async (events) => {
        const ids: string[] = [];
        for (const { subject } of events) {
          if (seen.has(subject)) continue;
          seen.add(subject);
          const { id } = await accept(api.db, { A: 1 });
          await reserveInventory(api.db, id);
          await recordCharge(api.db, id, `ch_${id}`);
          await confirmOrder(api.db, id);
          ids.push(`${id}-4`);
        }
        return ids;
      });
    } finally {
      await kill();
      await api.stop();
    }
  }, 240_000);
});
