/** A destination that was away hears nothing of a customer who was erased meanwhile. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readOrderEvents } from '../../domain/outbox.js';
import { noTrouble, type PartitionBacklog } from '../../relay/backlog.js';
import { composeBatch } from '../../relay/batch.js';
import { refreshCustomers } from '../../relay/told-customers.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 10);
});
afterAll(() => t?.drop());

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
  await t.db.$executeRaw`
    UPDATE customers SET erasing_since = now(), erased_at = now(), lookup = NULL, client_id = NULL WHERE reference = ${customer}::uuid`;
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
