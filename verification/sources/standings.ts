/** How far orders are, final or not: what their sagas are held against. */
import { Prisma } from '../../prisma/generated/client.js';
import type { DatabaseClient } from '../../runtime/database.js';
import type { LedgerStanding } from '../ledgers.js';
import { isFinal } from './orders.js';
import { readOnly } from './read-only.js';
import { FIRST_ID, inSpan, type Span } from './span.js';

/** @param after the last id of the page before */
export async function readStandings(
  db: DatabaseClient,
  span: Span,
  limit: number,
  after = FIRST_ID,
): Promise<LedgerStanding[]> {
  const { page } = await readOnly<{ page: LedgerStanding[] }>(
    db,
    Prisma.sql`SELECT coalesce(json_agg(json_build_object('id', id, 'status', status, 'reason', unwinding_reason, 'currency', currency,
        'total', total_amount, 'lines', '[]'::json, 'isFinal', ${isFinal}, 'isStarted', saga_started_at IS NOT NULL,
        'isTakenBack', status = 'CONFIRMED' AND unwinding_reason IS NOT NULL,
        'openForMs', extract(epoch FROM now() - CASE WHEN status = 'PENDING' THEN coalesce(saga_started_at, created_at) ELSE updated_at END) * 1000,
        'quietForMs', extract(epoch FROM now() - updated_at) * 1000) ORDER BY id), '[]') AS page
      FROM (SELECT * FROM orders WHERE ${inSpan(span, after)} ORDER BY id LIMIT ${limit}) o`,
  );
  return page;
}

/**
 * After a restore Temporal knows the sagas of lost orders for days. One of which a finding is on record, or that an operator has settled as
 * lost, is a difference that is known.
 * @returns those of these orders that there are not, and that nobody knows to be lost
 */
export async function listUnknownOrders(db: DatabaseClient, ids: readonly string[]): Promise<string[]> {
  const { unknown } = await readOnly<{ unknown: string[] }>(
    db,
    Prisma.sql`SELECT coalesce(json_agg(id), '[]') AS unknown FROM unnest(${ids}::uuid[]) AS named(id)
      WHERE NOT EXISTS (SELECT FROM orders o WHERE o.id = named.id)
        AND NOT EXISTS (SELECT FROM reconciliation_findings f WHERE f.kind = 'ORPHAN_CHARGE' AND f.order_id = named.id::text)
        AND NOT EXISTS (SELECT FROM audit_acts a WHERE a.resource = named.id::text AND a.before->>'difference' = 'ORDER_LOST')`,
  );
  return unknown;
}
