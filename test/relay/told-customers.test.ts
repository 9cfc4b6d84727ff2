/** A destination that was away hears nothing of a customer who was erased meanwhile. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readOrderEvents } from '../../domain/outbox.js';
import { noTrouble, type PartitionBacklog } from '../../relay/backlog.js';
import { composeBatch } from '../../relay/batch.js';
import { deliverOnce } from '../../relay/deliveries.js';
import { publishOneByOne } from '../../relay/publishers/one-by-one.js';
import type { Publisher } from '../../relay/publishers/publisher.js';
import { refreshCustomers } from '../../relay/told-customers.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';
import { beginAtTheEnd, startTestRelay } from './relays.js';

let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 10);
});
afterAll(() => t?.drop());

const eraseAll = (customers: string[]) => t.db.$executeRaw`
  UPDATE customers SET erasing_since = now(), erased_at = now(), lookup = NULL, client_id = NULL WHERE reference = ANY(${customers}::uuid[])`;

const LONG_AGO = -60_000;
async function backlogOf(orderId: string, toldAtMs: number): Promise<Map<number, PartitionBacklog>> {
  const events = (await readOrderEvents(t.db, orderId, 0, 10)).map((event) => ({ ...event, toldAtMs }));
  const place = { feedXid: 0n, feedPosition: 0n };
  const lease = { destination: 'd', partition: 0, owner: 'o', epoch: 1n, serverSince: '' };
  return new Map([
    [
      0,
      {
        lease: lease as PartitionBacklog['lease'],
        saved: place,
        savedAtMs: 0,
        readTo: place,
        streams: new Map([[orderId, { orderId, events, trouble: noTrouble() }]]),
      },
    ],
  ]);
}
const sent = (backlogs: Map<number, PartitionBacklog>) =>
  composeBatch(backlogs.values(), 10).entries[0]?.events[0]?.data as { customerId: string; customerReference: string };

test('what was read before the erasure is told anew before it is sent; what was read just now is not asked for again', async () => {
  const { id, customer } = await accept(t.db, { A: 1 }, { customerId: 'cus_away' });
  const backlogs = await backlogOf(id, LONG_AGO);
  await refreshCustomers({ db: t.db, backlogs });
  expect(sent(backlogs)).toMatchObject({ customerId: 'cus_away', customerReference: customer });
  const fresh = await backlogOf(id, performance.now());
  await eraseAll([customer]);
  await refreshCustomers({ db: t.db, backlogs: fresh });
  expect(sent(fresh)).toMatchObject({ customerId: 'cus_away' });
  const held = await backlogOf(id, LONG_AGO);
  for (const { streams } of held.values())
    for (const { events } of streams.values())
      events[0] = {
        ...(events[0] as (typeof events)[number]),
        data: { orderId: id, customerId: 'cus_away', customerReference: customer },
      };
  await refreshCustomers({ db: t.db, backlogs: held });
  expect(sent(held)).toMatchObject({ customerId: customer, customerReference: customer });
});

test('a destination that takes its time is told of a customer for seconds, not for as long as all that was read takes', async () => {
  await beginAtTheEnd(t, 'slow');
  const orders = await Promise.all(
    Array.from({ length: 12 }, (_, i) => accept(t.db, { A: 1 }, { customerId: `cus_slow_${i}` })),
  );
  await feedShowsAll(t.db);
  const told = new Map<string, unknown>();
  const TAKES_MS = 700;
  const publisher: Publisher = {
    destination: 'slow',
    publish: (events) =>
      publishOneByOne(
        events,
        async ({ subject, data }) => {
          if (told.size === 0) await eraseAll(orders.map(({ customer }) => customer)); // amid the first request
          told.set(subject, (data as { customerId: string }).customerId);
          await pause(TAKES_MS);
          return { outcome: 'taken' };
        },
        1,
      ),
    close: async () => undefined,
  };
  const relay = await startTestRelay(t, publisher);
  await eventually('all are told', async () => {
    await deliverOnce(relay);
    return told.size === orders.length;
  });
  const byClientsId = [...told.values()].filter((id) => `${id}`.startsWith('cus_')).length;
  expect(byClientsId * TAKES_MS).toBeLessThan(7_000);
  const byReference = orders.filter(({ id, customer }) => told.get(id) === customer).length;
  expect(byReference).toBe(orders.length - byClientsId);
}, 30_000);
