/** What must always hold, checked from outside, as an auditor would: over HTTP, against the gateway's own ledger. */
import { expect } from '@jest/globals';
import type { Order } from '../../clients/typescript/client.js';
import type { CloudEvent } from '../../contracts/events.js';
import type { ApiClient } from './launcher.js';

/** An order's events by how it ended; the only lists that are right for orders that met no unknown outcome. */
const EXPECTED: Record<string, string[]> = {
  CONFIRMED: ['order.created', 'inventory.reserved', 'payment.charged', 'order.confirmed'],
  OUT_OF_STOCK: ['order.created', 'inventory.reservation.failed', 'order.cancelled'],
  PAYMENT_DECLINED: [
    'order.created',
    'inventory.reserved',
    'payment.declined',
    'inventory.released',
    'order.cancelled',
  ],
};

/**
 * Money, stock and events of these orders. All must be final.
 * @param delivered events as a consumer saw them, repetitions allowed; the feed if absent
 */
export async function audit(client: ApiClient, orders: Order[], delivered?: CloudEvent[]): Promise<void> {
  expect(orders.length).toBeGreaterThan(0);
  const ledger = await client.ledger();
  const events = firstOccurrences(delivered ?? (await client.feed()));
  for (const order of orders) {
    const { net, charges } = ledger.get(order.id) ?? { net: 0, charges: 0 };
    const how = order.cancellation?.reason ?? order.status;
    expect({ id: order.id, how, net, charges }).toEqual({
      id: order.id,
      how,
      net: order.status === 'CONFIRMED' ? order.total.amount : 0,
      charges: order.status === 'CONFIRMED' ? 1 : 0,
    });
    expect({ id: order.id, events: events.get(order.id)?.map((e) => e.type) }).toEqual({
      id: order.id,
      events: EXPECTED[how],
    });
    expect(events.get(order.id)?.map((e) => e.sequence)).toEqual(EXPECTED[how]?.map((_, i) => i + 1));
  }
  const { items } = await client.get<{
    items: { sku: string; onHand: number; available: number; reserved: number; sold: number }[];
  }>('/inventory?limit=1000');
  expect(items.length).toBeGreaterThan(0);
  for (const { sku, onHand, available, reserved, sold } of items) {
    expect({ sku, sum: available + reserved + sold, reserved }).toEqual({ sku, sum: onHand, reserved: 0 });
  }
}

/** Per order, each event's first arrival, in the order of arrival. */
function firstOccurrences(events: CloudEvent[]): Map<string, CloudEvent[]> {
  const seen = new Set<string>();
  const orders = new Map<string, CloudEvent[]>();
  for (const event of events) {
    if (seen.has(event.id)) continue;
    seen.add(event.id);
    orders.set(event.subject, [...(orders.get(event.subject) ?? []), event]);
  }
  return orders;
}
