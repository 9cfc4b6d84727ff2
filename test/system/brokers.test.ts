/** Orders into the product, events out of real brokers, several at once, while brokers and relays are killed and paused. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { CloudEvent } from '../../contracts/events.js';
import type { Order } from '../../contracts/orders.js';
import { expectRightFromOutside } from '../support/invariants.js';
import { readAll } from '../../testbed/brokers/readers.js';
import { type Broker, startBroker } from '../../testbed/brokers/start.js';
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

const FULL = process.env['FULL'] === '1';
const ORDERS = FULL ? 2_000 : 200;
const CLIENTS = 8;
const KILLS = 3;
/**
 * RabbitMQ writes the table of its quorum queues' names half a second after it last changed, which is at each start. Killed
 * before, it comes back with an empty queue of that name: nothing that was confirmed is left, and that is not ours to prove.
 */
const RECOVER_MS = 2_000;
/** Longer than a lease, so that others take over and the paused one wakes up to a world that has gone on. */
const PAUSE_MS = FULL ? 60_000 : 20_000;
const LIMIT_MS = FULL ? 900_000 : 180_000;

const names = await brokersHere(['kafka', 'nats', 'rabbitmq']);

(names.length === 0 ? describe.skip : describe)(`${names.join(', ')}, at once`, () => {
  let brokers: Broker[];
  let installation: Installation;
  let running: Running;
  let api: ApiClient;
  beforeAll(async () => {
    brokers = await Promise.all(names.map((name) => startBroker(name)));
    const settings = Object.assign({}, ...brokers.map((broker) => broker.settings));
    installation = await newInstallation({
      ...settings,
      LOCAL_PROCESSES: 'all,relay,relay',
      DELIVERY_BACKOFF_MAX: '1s',
    });
    running = await launch(installation);
    api = clientOf(installation);
    await api.stock('PLENTY', 1_000_000);
  }, 240_000);
  afterAll(async () => {
    await running?.stop();
    await Promise.all((brokers ?? []).map((broker) => broker.stop()));
    await installation?.remove();
  }, 60_000);

  /** Resolves when each destination has taken more than it had when this was last asked. */
  const places = new Map<string, bigint>();
  const progress = () =>
    eventually(
      'every broker has taken more',
      async () => {
        const rows = await readPlaces(installation);
        const isMore = rows.length === brokers.length && rows.every((row) => row.place > (places.get(row.name) ?? 0n));
        if (isMore) for (const { name, place } of rows) places.set(name, place);
        return isMore;
      },
      LIMIT_MS,
    );

  const all = <T>(work: (broker: Broker) => Promise<T>) => Promise.all(brokers.map(work));

  /** @param ends `<order> <type>` of events that must be there. @returns all that are, once those are */
  const delivered = (broker: Broker, ends: string[]): Promise<CloudEvent[]> =>
    eventually(
      `${broker.name} has every order’s last event`,
      async () => {
        const events = (await readAll(broker)).map(({ event }) => event);
        const seen = new Set(events.map(({ subject, type }) => `${subject} ${type}`));
        return ends.every((end) => seen.has(end)) ? events : undefined;
      },
      LIMIT_MS,
    );

  test(
    `they get every event of ${ORDERS} orders in order, killed ${KILLS} times, with relays killed and paused`,
    async () => {
      const accepted: Order[] = [];
      const post = (count: number) => {
        let left = count;
        const client = async () => {
          while (left-- > 0) {
            const card = accepted.length % 10 === 3 ? 'pm_card_chargeDeclined' : 'pm_card_visa';
            accepted.push(await api.post({ PLENTY: 1 }, card));
          }
        };
        return Promise.all(Array.from({ length: CLIENTS }, client));
      };
      const paused = running.pid('relay');
      const pausedLongEnough = pause(PAUSE_MS);
      for (let kill = 1; kill <= KILLS; kill++) {
        const posting = post(ORDERS / (KILLS + 1));
        await progress();
        await pause(RECOVER_MS);
        await all((broker) => broker.kill());
        if (kill === 1) process.kill(paused, 'SIGSTOP');
        else process.kill(running.pid('relay-2'), 'SIGKILL'); // its partitions are the others' by now, or again its own
        await all((broker) => broker.start());
        await posting;
      }
      await post(ORDERS / (KILLS + 1));
      await pausedLongEnough;
      process.kill(paused, 'SIGCONT');
      const final = await Promise.all(accepted.map((order) => api.final(order.id, LIMIT_MS)));
      const ends = final.map(({ id, status }) => `${id} order.${status.toLowerCase()}`);
      for (const broker of brokers) await expectRightFromOutside(api, final, await delivered(broker, ends));
    },
    LIMIT_MS * 2,
  );

  test('away when the product starts, they do not keep it from starting, nor from stopping in time', async () => {
    await running.stop();
    await all((broker) => broker.kill());
    running = await launch(installation);
    const order = await api.final((await api.post({ PLENTY: 1 })).id);
    const { code, ms } = await running.stop();
    expect({ code, inTime: ms < 20_000 }).toEqual({ code: 0, inTime: true });
    await all((broker) => broker.start());
    running = await launch(installation);
    await all((broker) => delivered(broker, [`${order.id} order.confirmed`]));
  }, 300_000);
});

/** How far each destination has come, from the relays' own cursors: a reader of the broker would be in its way when it dies. */
async function readPlaces({ env }: Installation): Promise<{ name: string; place: bigint }[]> {
  const url = readFileSync(join(env['DATA_DIR'] ?? '', 'database-url'), 'utf8').trim();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ name: string; place: string }>(
    'SELECT destination AS name, sum(feed_position)::text AS place FROM relay_cursors GROUP BY 1',
  );
  await client.end();
  return rows.map(({ name, place }) => ({ name, place: BigInt(place) }));
}
