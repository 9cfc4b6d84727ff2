/** The ledgers of a shop, for the invariant checker: what Postgres, the gateway, Temporal and the consumers each say, side by side. */
import type { Client } from '@temporalio/client';
import type { CloudEvent } from '../../contracts/events.js';
import type { Order } from '../../contracts/orders.js';
import { HOLDINGS } from '../../contracts/plan.js';
import { readCharges as readAllCharges } from '../../testbed/gateway-ledger.js';
import type { LedgerCharge, LedgerEvent, LedgerSaga, Ledgers } from '../../verification/ledgers.js';
import type { ApiClient } from './launcher.js';

type Facts = Required<Pick<Ledgers, 'orders' | 'events' | 'stock' | 'reservations' | 'payments' | 'holdings'>>;

const held = HOLDINGS.map(
  ({ table, column, held: states }) =>
    `SELECT DISTINCT order_id, '${table}' AS name FROM ${table} WHERE ${column} IN ('${states.join(`', '`)}')`,
);

/** One statement, hence one snapshot: it may be taken while orders move. */
const FACTS = `SELECT json_build_object(
  'orders', (SELECT coalesce(json_agg(json_build_object('id', id, 'status', status, 'reason', unwinding_reason,
      'planVersion', plan_version, 'currency', currency, 'total', total_amount, 'lines', (SELECT coalesce(json_agg(json_build_object('sku', sku,
        'quantity', quantity, 'unitPrice', unit_price)), '[]') FROM order_lines WHERE order_id = o.id))), '[]') FROM orders o),
  'events', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'sequence', sequence, 'type', type,
      'data', data) ORDER BY order_id, sequence), '[]') FROM outbox),
  'stock', (SELECT coalesce(json_agg(json_build_object('sku', sku, 'onHand', on_hand_total, 'available', available,
      'reserved', reserved, 'sold', sold)), '[]') FROM inventory),
  'reservations', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'sku', sku, 'quantity', quantity,
      'state', state)), '[]') FROM reservations),
  'holdings', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'table', name)), '[]')
      FROM (${held.join(' UNION ALL ')}) h),
  'payments', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'status', status, 'amount', amount,
      'currency', currency, 'reference', gateway_reference)), '[]') FROM payments)) AS facts`;

export async function readFacts(query: (sql: string) => Promise<unknown>): Promise<Facts> {
  const [row] = (await query(FACTS)) as { facts: Facts }[];
  if (!row) throw new Error('Postgres did not answer');
  return row.facts;
}

/** Charges of before the marks carry an order's id alone. */
export const readCharges = (gatewayUrl: string): Promise<LedgerCharge[]> =>
  readAllCharges(gatewayUrl, ({ installationId, orderId }) => installationId !== undefined || UUID.test(orderId ?? ''));
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Every saga that Temporal knows of. Visibility trails: ask when all is over. */
export async function readSagas(client: Client): Promise<LedgerSaga[]> {
  const sagas: LedgerSaga[] = [];
  for await (const { workflowId, status } of client.workflow.list()) {
    const result = status.name === 'COMPLETED' ? await client.workflow.getHandle(workflowId).result() : null;
    sagas.push({ workflowId, status: status.name, result });
  }
  return sagas;
}

/** What the ledgers have about these orders alone; the stock is that of all orders. */
export function ledgersOf(ledgers: Ledgers, orderIds: string[]): Ledgers {
  const mine = new Set<string | null>(orderIds);
  const isMine = ({ orderId }: { orderId: string | null }) => mine.has(orderId);
  return {
    ...ledgers,
    orders: ledgers.orders.filter(({ id }) => mine.has(id)),
    events: ledgers.events.filter(isMine),
    ...(ledgers.charges && { charges: ledgers.charges.filter(isMine) }),
    ...(ledgers.holdings && { holdings: ledgers.holdings.filter(isMine) }),
    ...(ledgers.payments && { payments: ledgers.payments.filter(isMine) }),
  };
}

/** From outside, over HTTP only: of these orders, and of all stock. Reservations and payments are not to be seen there. */
export async function readLedgersFromOutside(
  client: ApiClient,
  orders: Order[],
  delivered?: CloudEvent[],
): Promise<Ledgers> {
  const mine = new Set(orders.map(({ id }) => id));
  const toLedger = (events: CloudEvent[]) =>
    events
      .filter(({ subject }) => mine.has(subject))
      .map(
        ({ subject: orderId, sequence, type, data }): LedgerEvent => ({
          orderId,
          sequence,
          type,
          data: { ...(data as object) },
        }),
      );
  const stock: Ledgers['stock'] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const from: string = cursor === '' ? '' : `&cursor=${cursor}`;
    const page = await client.get<{ items: Ledgers['stock']; next: string | null }>(`/inventory?limit=1000${from}`);
    stock.push(...page.items);
    cursor = page.next;
  }
  return {
    orders: orders.map(({ id, status, cancellation, total, items: lines }) => {
      return { id, status, reason: cancellation?.reason ?? null, currency: total.currency, total: total.amount, lines };
    }),
    events: toLedger(await client.feed()),
    stock,
    charges: (await readCharges(client.sandbox)).filter(({ orderId }) => orderId !== null && mine.has(orderId)),
    ...(delivered && { delivered: { receiver: toLedger(delivered) } }),
  };
}
