/** An outage under load: destinations are away while events pile up behind them, and come back. It costs nothing but delay. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { watchArrivals } from '../../bench/arrivals.js';
import { addPastOrders } from '../../bench/past-orders.js';
import { scrape } from '../../bench/scrape.js';
import type { Order } from '../../contracts/orders.js';
import { readAll } from '../../testbed/brokers/readers.js';
import { type Broker, startBroker } from '../../testbed/brokers/start.js';
import { freePort } from '../../local/processes/ports.js';
import { brokersHere } from '../support/brokers.js';
import { eventually } from '../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  launch,
  newInstallation,
  type Running,
} from '../support/launcher.js';
import { type Receiver, startReceiver } from '../support/receiver.js';

const FULL = process.env['FULL'] === '1';
/** Of four events each, put there at once as if they had been placed while the destinations were away. */
const PAST_ORDERS = FULL ? 12_500 : 500;
const ORDERS = FULL ? 400 : 40;
const CLIENTS = 4;
/** An event that fails twenty times may be judged poison: each must have failed more often for nothing. */
const ROUNDS_MIN = 25;
/** Events that fail in one round at most: twice as many as go side by side. */
const FAILURES_PER_ROUND: Record<string, number> = { webhook: 32, nats: 128 };
const LIMIT_MS = FULL ? 300_000 : 60_000;

const [brokerName] = await brokersHere(['nats']);
const names = ['webhook', ...(brokerName ? [brokerName] : [])];

let receiver: Receiver;
let broker: Broker | undefined;
let installation: Installation;
let running: Running;
let api: ApiClient;
let database: pg.Client;
beforeAll(async () => {
  receiver = await startReceiver();
  broker = brokerName && (await startBroker(brokerName));
  installation = await newInstallation({
    WEBHOOK_URL: receiver.url,
    WEBHOOK_SECRET: receiver.secret,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    ...broker?.settings,
    METRICS_PORT: `${await freePort()}`,
    DELIVERY_BACKOFF_MAX: '200ms', // as many failures in seconds as else in minutes
  });
  running = await launch(installation);
  api = clientOf(installation);
  await api.stock('PLENTY', 1_000_000);
  const url = readFileSync(join(installation.dataDir, 'database-url'), 'utf8').trim();
  database = new pg.Client({ connectionString: url });
  await database.connect();
}, 120_000);
afterAll(async () => {
  await database?.end();
  await running?.stop();
  await Promise.all([receiver?.stop(), broker?.stop()]);
  await installation?.remove();
}, 60_000);

/** What the service exports of a destination: events that it is owed, the age of the oldest, and rounds that failed, at least. */
type Exported = { backlog: number; lagSeconds: number; failedRounds: number };

/** Resolves when the service says so of every destination. */
const exports = (what: string, isSo: (exported: Exported) => boolean) =>
  eventually(
    `the metrics say ${what}`,
    async () => {
      const series = await scrape(Number(installation.env['METRICS_PORT']));
      const read = (name: string, metric: string, more = '') =>
        series.get(`order_saga_${metric}{destination="${name}"${more},role="all"}`) ?? Number.NaN;
      const all = names.map((name) => ({
        backlog: read(name, 'outbox_backlog_events'),
        lagSeconds: read(name, 'outbox_lag_seconds'),
        failedRounds: read(name, 'deliveries_total', ',outcome="unavailable"') / (FAILURES_PER_ROUND[name] ?? 1),
      }));
      if (all.every(isSo)) return true;
      throw new Error(JSON.stringify(all));
    },
    LIMIT_MS,
  );

test(
  `destinations that were away get all of ${4 * PAST_ORDERS} events and more in order, nothing is parked, and orders go on`,
  async () => {
    const orders: Order[] = [];
    const order = async (count: number) => {
      let left = count;
      const client = async () => {
        while (left-- > 0) orders.push(await api.final((await api.post({ PLENTY: 1 })).id, LIMIT_MS));
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));
    };
    await order(ORDERS); // before, so that the cursors stand somewhere
    await Promise.all([receiver.stop(), broker?.kill()]);
    await addPastOrders(database, PAST_ORDERS, { areOwed: true });
    await order(ORDERS);
    await exports(
      'what is owed, since when, and that it fails',
      ({ backlog, lagSeconds, failedRounds }) =>
        backlog >= 4 * PAST_ORDERS && lagSeconds > 3_000 && failedRounds > ROUNDS_MIN,
    );
    await Promise.all([receiver.start(), broker?.start()]);
    await order(ORDERS);
    await exports('that nothing is owed', ({ backlog, lagSeconds }) => backlog === 0 && lagSeconds === 0);

    expect(new Set(orders.map(({ status }) => status))).toEqual(new Set(['CONFIRMED']));
    expect(receiver.rejected).toBe(0);
    const { rows } = await database.query('SELECT count(*)::int AS events FROM outbox');
    expect(rows).toEqual([{ events: 4 * (PAST_ORDERS + 3 * ORDERS) }]);
    const arrived = [receiver.received, ...(broker ? [(await readAll(broker)).map(({ event }) => event)] : [])];
    for (const [index, events] of arrived.entries()) {
      const arrivals = watchArrivals();
      for (const { id } of events) arrivals.add(id);
      expect([names[index], arrivals.inSequence(), arrivals.outOfSequence()]).toEqual([
        names[index],
        rows[0].events,
        0,
      ]);
    }
    expect((await database.query('SELECT FROM dead_letters')).rowCount).toBe(0);
  },
  3 * LIMIT_MS,
);
