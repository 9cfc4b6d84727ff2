/** Relays as they run: processes of their own, killed and paused while orders come in. `FULL=1` takes ten times the orders. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readBacklog } from '../../domain/cursors.js';
import { reserveInventory } from '../../domain/inventory.js';
import { LEASE_MS } from '../../relay/deliveries.js';
import { closedPort } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';

const WAVE = process.env['FULL'] === '1' ? 1_000 : 100;
/** A cold start of a process on two busy cores. */
const START_LIMIT_MS = 60_000;

let t: TestDatabase;
let receiver: Receiver;
const relays: ChildProcess[] = [];
/** What they have said, for when they do not do what they should. */
let said = '';
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000_000);
  receiver = await startReceiver();
});
afterAll(async () => {
  for (const relay of relays) relay.kill('SIGKILL');
  await receiver.stop();
  await t.drop();
});

async function startProcess(): Promise<ChildProcess> {
  const env = {
    PATH: process.env['PATH'],
    ROLE: 'relay',
    LOG_LEVEL: 'warn',
    DATABASE_URL: t.url,
    DATABASE_POOL: '3',
    TEMPORAL_ADDRESS: `127.0.0.1:${await closedPort()}`, // sagas are not what this is about
    WEBHOOK_URL: receiver.url,
    WEBHOOK_SECRET: receiver.secret,
    WEBHOOK_ALLOW_PRIVATE: 'true',
  };
  const child = spawn(process.execPath, [join(process.cwd(), 'dist/service/main.js')], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  relays.push(child);
  return child;
}

/** @param shares partitions per relay, fewest first */
const leasesBecome = (what: string, shares: number[]) =>
  eventually(
    what,
    async () => {
      const where = { leaseUntil: { gt: new Date() } };
      const groups = await t.db.relayCursor.groupBy({ by: ['leaseOwner'], where, _count: true });
      const held = groups.map(({ _count }) => _count).sort((x, y) => x - y);
      if (`${held}` !== `${shares}`) throw new Error(`they hold ${held}; they said: ${said}`);
      return true;
    },
    START_LIMIT_MS,
  );

/** Orders of two events each. */
async function wave(): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < WAVE; i += 20) {
    const orders = await Promise.all(Array.from({ length: 20 }, () => accept(t.db, { A: 1 })));
    await Promise.all(orders.map(({ id }) => reserveInventory(t.db, id)));
    ids.push(...orders.map(({ id }) => id));
  }
  return ids;
}

const haveArrived = (orders: string[]) => orders.every((id) => receiver.sequences(id).length === 2);

test(
  'of three relays one is killed and one paused: within a lease the third delivers their part, all of it in order',
  async () => {
    const [killed, paused, third] = [await startProcess(), await startProcess(), await startProcess()];
    await leasesBecome('they leasesBecome', [4, 6, 6]);

    receiver.delayMs = 15; // so that the signals hit amid sending
    const before = wave();
    await eventually('they are sending', () => receiver.received.length > WAVE / 4);
    killed?.kill('SIGKILL');
    paused?.kill('SIGSTOP');
    const hitAt = performance.now();
    const orders = [...(await before), ...(await wave())];
    receiver.delayMs = 0;
    await eventually('all have arrived', () => haveArrived(orders), LEASE_MS + START_LIMIT_MS);
    expect(performance.now() - hitAt).toBeLessThan(LEASE_MS + 10_000);

    // It wakes up with a batch in hand, and believes that it holds what it held.
    paused?.kill('SIGCONT');
    const last = await wave();
    await leasesBecome('they leasesBecome again', [8, 8]);
    await eventually('the last have arrived', () => haveArrived(last));
    await eventually('the cursors say so', async () => (await readBacklog(t.db))[0]?.events === 0);

    for (const id of [...orders, ...last]) expect([id, receiver.sequences(id)]).toEqual([id, [1, 2]]);
    expect(new Set(receiver.received.map((event) => event.id)).size).toBe(2 * (orders.length + last.length));
    expect(await t.db.deadLetter.count()).toBe(0);

    // A clean stop gives its part back at once.
    third?.kill('SIGTERM');
    await leasesBecome('one serves all', [16]);
  },
  3 * START_LIMIT_MS + LEASE_MS,
);
