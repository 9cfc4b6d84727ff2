/** What Postgres says of the money of orders: those that charges name, or whose payments name charges. */
import type { CancellationReason, OrderStatus } from '../../contracts/orders.js';
import { Prisma } from '../../prisma/generated/client.js';
import type { DatabaseClient } from '../../runtime/database.js';
import type { LedgerEvent, LedgerPayment } from '../ledgers.js';
import { areEventsGone, isFinal, isInHand } from './orders.js';
import { readOnly } from './read-only.js';

export type PaidOrder = {
  id: string;
  status: OrderStatus;
  reason: CancellationReason | null;
  currency: string;
  total: number;
  installationId: string | null;
  areEventsGone: boolean;
  /** Final, and for long enough. */
  isQuiet: boolean;
};
export type MoneyFacts = {
  installationId: string;
  orders: PaidOrder[];
  payments: LedgerPayment[];
  /** What operators have vouched for. */
  events: LedgerEvent[];
  inHand: ReadonlySet<string>;
};

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** @param names of charges, and the orders that they name; strangers' may be anything */
export async function readMoney(
  db: DatabaseClient,
  names: { references: readonly string[]; orderIds: readonly string[] },
  graceMs: number,
): Promise<MoneyFacts> {
  const ids = names.orderIds.filter((id) => UUID.test(id));
  const { facts } = await readOnly<{ facts: Omit<MoneyFacts, 'inHand'> & { inHand: string[] } }>(
    db,
    Prisma.sql`WITH named AS MATERIALIZED (
      SELECT * FROM orders WHERE id IN (SELECT unnest(${ids}::uuid[])
        UNION SELECT order_id FROM payments WHERE gateway_reference = ANY(${names.references}::text[])))
    SELECT json_build_object(
      'installationId', (SELECT id FROM installation),
      'orders', (SELECT coalesce(json_agg(json_build_object('id', id, 'status', status, 'reason', unwinding_reason, 'currency', currency,
          'total', total_amount, 'installationId', installation_id,
          'areEventsGone', ${areEventsGone},
          'isQuiet', ${isFinal} AND updated_at < now() - ${graceMs}::float8 * interval '1 ms')), '[]') FROM named o),
      'payments', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'status', status, 'amount', amount,
          'currency', currency, 'reference', gateway_reference)), '[]') FROM payments WHERE order_id IN (SELECT id FROM named)),
      'events', (SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'sequence', sequence, 'type', type, 'data', data)), '[]')
          FROM outbox WHERE order_id IN (SELECT id FROM named) AND data ? 'skippedBy'),
      'inHand', (SELECT coalesce(json_agg(word), '[]') FROM (
          SELECT order_id AS word FROM reconciliation_findings f WHERE ${isInHand} AND order_id IN (SELECT id::text FROM named)
          UNION SELECT gateway_reference FROM reconciliation_findings f
          WHERE (${isInHand} OR f.action = 'refunded') AND gateway_reference = ANY(${names.references}::text[])) AS words)) AS facts`,
  );
  return { ...facts, inHand: new Set(facts.inHand) };
}

export type PaymentPlace = { at: string; orderId: string };

/** Payments in the order in which they were made. @param after the last of the page before */
export async function readPayments(
  db: DatabaseClient,
  since: Date,
  limit: number,
  after: PaymentPlace | undefined,
): Promise<{ payments: LedgerPayment[]; last: PaymentPlace | undefined }> {
  const { at = since.toISOString(), orderId = '00000000-0000-0000-0000-000000000000' } = after ?? {};
  const { page } = await readOnly<{ page: (LedgerPayment & PaymentPlace)[] }>(
    db,
    Prisma.sql`SELECT coalesce(json_agg(json_build_object('orderId', order_id, 'status', status, 'amount', amount,
        'currency', currency, 'reference', gateway_reference, 'at', created_at) ORDER BY created_at, order_id), '[]') AS page
      FROM (SELECT * FROM payments WHERE (created_at, order_id) > (${at}::timestamptz, ${orderId}::uuid)
        ORDER BY created_at, order_id LIMIT ${limit}) p`,
  );
  const last = page.length < limit ? undefined : page.at(-1);
  return { payments: page, last: last && { at: last.at, orderId: last.orderId } };
}
