/** More orders at once than sagas can be at work: each comes in its turn, what waits is shown, and no wait is lost with the process. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { scrape } from '../../bench/scrape.js';
import type { Order } from '../../contracts/orders.js';
import { eventually } from '../support/conditions.js';
import { expectRightFromOutside } from '../support/invariants.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  launch,
  newInstallation,
  type Running,
} from '../support/launcher.js';

const CLIENTS = 96;
/** Far fewer than the worker has room for. */
const OVERTAKEN_MAX = 20;
const FINAL_LIMIT_MS = 120_000;

let installation: Installation;
let running: Running;
let client: ApiClient;
beforeAll(async () => {
  installation = await newInstallation();
  running = await launch(installation);
  client = clientOf(installation);
  await client.stock('PLENTY', 100_000);
}, 120_000);
afterEach(() => client.heal());
afterAll(async () => {
  await running?.stop();
  await installation?.remove();
}, 30_000);

const atOnce = (count: number, headers: Record<string, string> = {}): Promise<Order[]> =>
  Promise.all(Array.from({ length: count }, () => client.post({ PLENTY: 1 }, 'pm_card_visa', headers)));
const waits = async () => {
  const series = await scrape(Number(installation.env['METRICS_PORT']));
  const read = (name: string) => series.get(`order_saga_starts_waiting${name}{role="all"}`);
  return { orders: read(''), oldestSeconds: read('_oldest_seconds') };
};
const areFinal = () =>
  eventually('no order is pending', async () => (await client.list('PENDING', 1)).length === 0, FINAL_LIMIT_MS);

test('clients that wait are served in the order in which they came', async () => {
  const orders = await atOnce(CLIENTS, { prefer: 'wait=30' });
  expect(orders.map(({ status }) => status)).toEqual(orders.map(() => 'CONFIRMED'));
  const feed = await client.feed();
  const inOrder = (type: string) => feed.filter((event) => event.type === type).map(({ subject }) => subject);
  const cameAs = new Map(inOrder('order.created').map((id, place) => [id, place]));
  const confirmed = inOrder('order.confirmed').map((id) => cameAs.get(id) ?? Number.NaN);
  const overtaken = confirmed.map((came, nth) => confirmed.slice(0, nth).filter((earlier) => earlier > came).length);
  expect(overtaken).toHaveLength(CLIENTS);
  expect(Math.max(...overtaken)).toBeLessThan(OVERTAKEN_MAX);
}, 90_000);

test('payments that hang hold up no other order', async () => {
  await client.fault({ route: 'charge', mode: 'hang', count: 16, delayMs: 60_000 });
  const orders = await atOnce(48);
  await eventually('all others are confirmed', async () => {
    const now = await Promise.all(orders.map(({ id }) => client.order(id)));
    return now.filter(({ status }) => status === 'CONFIRMED').length >= 32;
  });
  await client.heal();
  await areFinal();
}, 150_000);

test('what waits for its start is shown, and none of it is lost with the process', async () => {
  await client.fault({ route: 'charge', mode: 'slow', delayMs: 2_000 });
  const accepted = await atOnce(150);
  await eventually('orders wait', async () => {
    const { orders = 0, oldestSeconds = 0 } = await waits();
    return orders > 20 && oldestSeconds > 0;
  });
  const victim = running.pid('all');
  process.kill(victim, 'SIGKILL');
  await client.heal();
  await eventually('another process runs', () => running.pids()['all'] !== victim && waits(), 45_000);
  await areFinal();
  const orders = await client.list();
  expect(new Set(orders.map(({ id }) => id))).toEqual(new Set([...orders, ...accepted].map(({ id }) => id)));
  expect(orders.filter(({ status }) => status !== 'CONFIRMED')).toEqual([]);
  await expectRightFromOutside(client, orders);
  expect(await waits()).toEqual({ orders: 0, oldestSeconds: 0 });
}, 240_000);
