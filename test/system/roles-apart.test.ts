/**
 * API, worker and relay as processes of their own: what one of them has committed, the others learn of, whether it lives to say so
 * or not.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import type { Order } from '../../clients/typescript/client.js';
import { ORDER_FINAL, OUTBOX_CHANNEL } from '../../contracts/ids.js';
import { freePort } from '../../local/processes/ports.js';
import type { Running } from '../../local/processes/program.js';
import { eventually } from '../support/conditions.js';
import { stock, ordersOf } from '../support/database.js';
import { isServing, kill, type Surroundings, startSurroundings } from '../support/surroundings.js';

const WAVE = 40;
const LIMIT_MS = 180_000;

let around: Surroundings;
let api: string;
const services: { api?: Running; worker?: Running; relay?: Running } = {};
/** As processes of other releases have it. */
let listener: pg.Client;
const notified = new Set<string>();
const startWorker = () =>
  around.start(
    {
      ROLE: 'worker',
      DATABASE_URL: around.database.url,
      TEMPORAL_ADDRESS: around.temporal.address,
      PAYMENTS_URL: around.sandbox.url,
    },
    async (log) => (await readFile(log, 'utf8')).includes('the worker polls'),
  );
beforeAll(async () => {
  around = await startSurroundings();
  const { database, temporal } = around;
  await stock(database.db, 'A', 100_000);
  listener = new pg.Client({ connectionString: database.url });
  await listener.connect();
  listener.on('notification', ({ payload = '' }) => notified.add(payload));
  await listener.query(`LISTEN ${OUTBOX_CHANNEL}`);
  const port = await freePort();
  api = `http://127.0.0.1:${port}`;
  const common = { DATABASE_URL: database.url, TEMPORAL_ADDRESS: temporal.address };
  services.worker = await startWorker();
  services.relay = await around.start({ ROLE: 'relay', ...common, ...around.webhook() }, async () => true);
  services.api = await around.start({ ROLE: 'api', PORT: `${port}`, ...common }, () => isServing(api));
}, LIMIT_MS);
afterAll(async () => {
  await listener?.end();
  await around?.stop();
}, 60_000);

/** Each waits for its order's end. */
async function wave(customerId: string): Promise<Order[]> {
  const answers = Array.from({ length: WAVE }, async () => {
    const response = await fetch(`${api}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=30' },
      body: JSON.stringify({ customerId, items: [{ sku: 'A', quantity: 1 }], paymentMethod: 'pm_card_visa' }),
    });
    expect([response.status, response.headers.get('preference-applied')]).toEqual([201, 'wait=30']);
    return (await response.json()) as Order;
  });
  return Promise.all(answers);
}
const haveArrived = (orders: Order[]) =>
  eventually('their events have arrived', () =>
    orders.every(({ id }) => `${around.receiver.sequences(id)}` === '1,2,3,4'),
  );

test(
  'clients that wait at the API are answered when the worker has ended their orders, and the relay delivers',
  async () => {
    const orders = await wave('cus_calm');
    expect(new Set(orders.map(({ status }) => status))).toEqual(new Set(['CONFIRMED']));
    await haveArrived(orders);
    await eventually('other processes have been notified of each', () =>
      orders.every(({ id }) => notified.has(`${id}${ORDER_FINAL}`)),
    );
  },
  LIMIT_MS,
);

test(
  'so are those whose worker is killed amid their orders',
  async () => {
    const waiting = wave('cus_unlucky');
    await eventually('some have ended', async () =>
      (await ordersOf(around.database.db, 'cus_unlucky')).some(({ status }) => status === 'CONFIRMED'),
    );
    await kill(services.worker as Running);
    services.worker = await startWorker();
    const orders = await waiting;
    expect(new Set(orders.map(({ status }) => status))).toEqual(new Set(['CONFIRMED']));
    await haveArrived(orders);
    await around.expectRight(2 * WAVE);
  },
  LIMIT_MS,
);

test('each stops in good order when it is asked to', async () => {
  for (const service of [services.api, services.worker, services.relay]) {
    process.kill(service?.pid as number, 'SIGTERM');
    expect(await service?.exited).toMatchObject({ code: 0 });
  }
}, 60_000);
