/** Relays in this process: each serves one destination round by round, as its loops would. */
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { reserveInventory } from '../../domain/inventory.js';
import { FEED_START, PARTITIONS } from '../../domain/outbox.js';
import { deliverOnce } from '../../relay/deliveries.js';
import { createDelivery, type Delivery, type DeliveryOptions } from '../../relay/delivery.js';
import type { Publisher } from '../../relay/publishers/publisher.js';
import { createPartitionLeases, type PartitionLeaseOptions } from '../../relay/partition-leases.js';
import { accept, feedShowsAll, type TestDatabase } from '../support/database.js';

export type TestRelay = Delivery & { renew(): Promise<void>; release(): Promise<void> };

/** Has its leases from the beginning; saves its cursors in each round. */
export async function startTestRelay(
  { db }: TestDatabase,
  publisher: Publisher,
  {
    leaseMs = 15_000,
    begin = 'oldest',
    ...options
  }: Partial<DeliveryOptions & Pick<PartitionLeaseOptions, 'leaseMs' | 'begin'>> = {},
): Promise<TestRelay> {
  const owner = randomUUID();
  const logger = pino({ level: 'silent' });
  const leases = createPartitionLeases({ db, destinations: [publisher.destination], owner, leaseMs, begin, logger });
  await leases.renewOnce();
  const delivery = createDelivery({
    db,
    publisher,
    owner,
    leases,
    backoffMaxMs: 500,
    logger,
    saveEveryMs: 0,
    ...options,
  });
  return Object.assign(delivery, { renew: leases.renewOnce, release: leases.release });
}

/** No relay serves the destination, and it has had all there is: what earlier tests have left does not come again. */
export async function beginAtTheEnd({ db }: TestDatabase, destination = 'webhook'): Promise<void> {
  await feedShowsAll(db);
  await db.relayMember.deleteMany();
  await db.relayCursor.deleteMany();
  const newest = await db.event.findFirst({ orderBy: [{ feedXid: 'desc' }, { feedPosition: 'desc' }] });
  const { feedXid, feedPosition } = newest ?? FEED_START;
  await db.relayCursor.createMany({
    data: Array.from({ length: PARTITIONS }, (_, partition) => ({ destination, partition, feedXid, feedPosition })),
  });
}

/** One round after the other until there is nothing left to read. @returns how many events were delivered */
export async function deliverAll(relay: TestRelay): Promise<number> {
  let total = 0;
  for (;;) {
    const { delivered, more } = await deliverOnce(relay);
    total += delivered;
    if (!more) return total;
  }
}

/** Two events each: enough to see an order's sequence. @returns their ids */
export async function someOrders({ db }: TestDatabase, count: number): Promise<string[]> {
  const orders = await Promise.all(Array.from({ length: count }, () => accept(db, { A: 1 })));
  await Promise.all(orders.map((order) => reserveInventory(db, order.id)));
  await feedShowsAll(db);
  return orders.map((order) => order.id);
}
