/**
 * Search: from one text that somebody has in hand to the orders that it may be of. It is tried as everything that leads to an order,
 * since an id that somebody else has made may look like one of ours; each try is a look into an index.
 */
import { partsOfEventId } from '../contracts/ids.js';
import type { StoredOrder } from '../contracts/orders.js';
import type { Statements } from './database.js';
import { listOrders, type OrderFilter, readOrder, type Texts } from './orders.js';

/** What the text turned out to be of an order. */
export const FOUND_BY = [
  'order',
  'event',
  'correlationId',
  'externalOrderId',
  'gatewayReference',
  'customerId',
  'customerReference',
] as const;
export type FoundBy = (typeof FOUND_BY)[number];
export type Found = { order: StoredOrder; by: FoundBy[] };

/** As long as the longest of them, a gateway's reference. */
export const SEARCH_TEXT_MAX = 200;

export const EVENT_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d{1,9}$/i;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const ORDER_ID = /^(?:order-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-cancel)?$/i;

/** @returns newest first, each with all that the text is of it. @param text without spaces around it */
export async function searchOrders(
  db: Statements,
  text: string,
  limit: number,
  texts: Texts = 'closed',
): Promise<Found[]> {
  const tries = Object.entries(triesOf(text)) as [FoundBy, OrderFilter | { orderId: string }][];
  const answers = await Promise.all(
    tries.map(async ([by, wanted]) => ({ by, orders: await look(db, wanted, limit, texts) })),
  );
  const found = new Map<string, Found>();
  for (const { by, orders } of answers) {
    for (const order of orders) {
      const known = found.get(order.id);
      if (known) known.by.push(by);
      else found.set(order.id, { order, by: [by] });
    }
  }
  return [...found.values()].sort((a, b) => b.order.id.localeCompare(a.order.id)).slice(0, limit);
}

function triesOf(text: string): Partial<Record<FoundBy, OrderFilter | { orderId: string }>> {
  const [, orderId] = ORDER_ID.exec(text) ?? [];
  const id = orderId?.toLowerCase();
  const event = EVENT_ID.test(text) ? text.toLowerCase() : undefined;
  return {
    ...(id !== undefined && { order: { orderId: id } }),
    ...(event !== undefined && { event: { orderId: partsOfEventId(event).orderId } }),
    correlationId: { correlationId: text },
    externalOrderId: { externalOrderId: text },
    gatewayReference: { gatewayReference: text },
    customerId: { customerId: text },
    ...(UUID.test(text) && { customerReference: { customerReference: text.toLowerCase() } }),
  };
}

async function look(
  db: Statements,
  wanted: OrderFilter | { orderId: string },
  limit: number,
  texts: Texts,
): Promise<StoredOrder[]> {
  if (!('orderId' in wanted)) return listOrders(db, wanted, limit, texts);
  const order = await readOrder(db, wanted.orderId, texts);
  return order === null ? [] : [order];
}
