/**
 * A customer's export: all that is kept of them, as one JSON document that is made piece by piece, so that thousands of orders take no
 * more memory than fifty. It is no snapshot: an order that is placed meanwhile may be missing, none is there twice. What operators
 * are called is theirs, not the customer's, and stays out.
 */
import { findReferences, readIdentityKey } from '../customers.js';
import type { Database } from '../database.js';
import { listOrders } from '../orders.js';
import { EXPORT_FORMAT, type ExportedOrder, type ExportHead } from './export-schema.js';
import { RECIPIENTS, RETENTION_TOLD, RIGHTS_TOLD } from './told.js';

/** Some 400 KB of ordinary orders; of the largest, 100 lines each, a few MB. */
const ORDERS_AT_A_TIME = 50;

/** @returns whether anything is kept under this client's id: a reference, or an order of before there were any */
export async function isKnownCustomer(db: Database, customerId: string): Promise<boolean> {
  const references = await findReferences(db, await readIdentityKey(db), customerId);
  return references.length > 0 || (await listOrders(db, { customerId }, 1)).length > 0;
}

/**
 * The document's text in pieces, each of whole members or orders, `complete` last: whoever has that has everything.
 * @throws KeyUnavailable if a text of theirs cannot be opened: what is kept of a person is not left out. And what the database does; what
 *   was made by then is no JSON, and cannot be taken for a whole
 */
export async function* exportCustomer(db: Database, customerId: string): AsyncGenerator<string, void> {
  const head = await readHead(db, customerId);
  const pages = readOrders(db, customerId);
  let page = await pages.next(); // before anything is told: what cannot be opened now ends it here, and not amid the document
  yield `${JSON.stringify(head).slice(0, -1)},"orders":[`;
  let count = 0;
  for (; !page.done; page = await pages.next()) {
    yield (count === 0 ? '' : ',') + page.value.map((order) => JSON.stringify(order)).join(',');
    count += page.value.length;
  }
  yield `],"count":${count},"complete":true}`;
}

async function readHead(db: Database, customerId: string): Promise<ExportHead> {
  const served = await db.$queryRaw<{ destination: string }[]>`SELECT destination FROM relay_destinations ORDER BY 1`;
  const recipients = ['gateway', 'feed', ...served.map(({ destination }) => destination)];
  return {
    format: EXPORT_FORMAT,
    customerId,
    exportedAt: new Date().toISOString(),
    recipients: recipients.map((recipient) => ({
      recipient,
      receives: RECIPIENTS[recipient] ?? RECIPIENTS['other'] ?? '',
    })),
    retention: [...RETENTION_TOLD],
    rights: [...RIGHTS_TOLD],
  };
}

async function* readOrders(db: Database, customerId: string): AsyncGenerator<ExportedOrder[], void> {
  let beforeId: string | undefined;
  for (;;) {
    const orders = await listOrders(db, { customerId, beforeId }, ORDERS_AT_A_TIME, 'opened');
    const last = orders.at(-1);
    if (last === undefined) return;
    beforeId = last.id;
    const more = await readMore(
      db,
      orders.map(({ id }) => id),
    );
    yield orders.map(
      ({ id, status, items, total, externalOrderId, correlationId, createdAt, updatedAt, cancellation }) => ({
        ...{ id, status, items, total, correlationId, createdAt, updatedAt },
        ...(externalOrderId !== undefined && { externalOrderId }),
        ...(cancellation && { cancellation }),
        ...(more.get(id) ?? NOTHING_MORE),
      }),
    );
  }
}

type More = Omit<
  ExportedOrder,
  'id' | 'status' | 'items' | 'total' | 'externalOrderId' | 'correlationId' | 'createdAt' | 'updatedAt' | 'cancellation'
>;
const NOTHING_MORE: More = {
  paymentMethod: '',
  traceparent: null,
  reservations: [],
  payment: null,
  chargeAttempts: [],
  furtherCharges: [],
  findings: [],
  events: [],
  steps: [],
  undelivered: [],
  requestKeys: [],
};

/** One statement, one connection: each part is found by the index of its order. */
async function readMore(db: Database, ids: string[]): Promise<Map<string, More>> {
  const rows = await db.$queryRaw<{ id: string; more: More }[]>`
    SELECT o.id, json_build_object(
      'paymentMethod', o.payment_method, 'traceparent', o.traceparent,
      'reservations', (SELECT coalesce(json_agg(json_build_object('sku', sku, 'quantity', quantity, 'state', state)), '[]')
        FROM reservations WHERE order_id = o.id),
      'payment', (SELECT json_build_object('status', status, 'amount', amount, 'currency', currency,
          'gatewayReference', gateway_reference, 'refundReference', refund_reference, 'declineCode', decline_code,
          'refundedAmount', refunded_amount, 'createdAt', created_at, 'updatedAt', updated_at)
        FROM payments WHERE order_id = o.id),
      'chargeAttempts', (SELECT coalesce(json_agg(json_build_object('beganAt', began_at, 'endedAt', ended_at) ORDER BY id), '[]')
        FROM charge_attempts WHERE order_id = o.id),
      'furtherCharges', (SELECT coalesce(json_agg(json_build_object('gatewayReference', gateway_reference,
          'refundFailures', refund_failures)), '[]') FROM charge_refunds WHERE order_id = o.id),
      'findings', (SELECT coalesce(json_agg(json_build_object('kind', kind, 'gatewayReference', gateway_reference,
          'amount', amount, 'currency', currency, 'action', action, 'at', at) ORDER BY id), '[]')
        FROM reconciliation_findings WHERE order_id = o.id::text),
      'events', (SELECT coalesce(json_agg(json_build_object('sequence', sequence, 'type', type, 'time', occurred_at,
          'data', CASE WHEN data ? 'skippedBy' THEN data || '{"skippedBy": "operator"}' ELSE data END) ORDER BY sequence), '[]')
        FROM outbox WHERE order_id = o.id),
      'steps', (SELECT coalesce(json_agg(json_build_object('step', step, 'outcome', outcome, 'at', at,
          'by', CASE WHEN actor IS NULL THEN NULL WHEN outcome = 'CANCELLED_BY_CUSTOMER' THEN 'customer' ELSE 'operator' END,
          'detail', CASE WHEN actor IS NOT NULL THEN detail END) ORDER BY id), '[]')
        FROM saga_log WHERE order_id = o.id),
      'undelivered', (SELECT coalesce(json_agg(json_build_object('recipient', destination, 'type', type, 'state', state,
          'since', parked_at) ORDER BY id), '[]') FROM dead_letters WHERE order_id = o.id),
      'requestKeys', (SELECT coalesce(json_agg(json_build_object('route', route, 'key', key, 'expiresAt', expires_at)), '[]')
        FROM idempotency_keys WHERE order_id = o.id AND expires_at > now())) AS more
    FROM orders o WHERE o.id = ANY(${ids}::uuid[])`;
  return new Map(rows.map(({ id, more }) => [id, withMoments(more) as More]));
}

/** Postgres' own JSON spells a moment with an offset; everything of ours says Z. */
const PG_MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$/;
function withMoments(value: unknown): unknown {
  if (typeof value === 'string') return PG_MOMENT.test(value) ? new Date(value).toISOString() : value;
  if (Array.isArray(value)) return value.map(withMoments);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withMoments(each)]));
}
