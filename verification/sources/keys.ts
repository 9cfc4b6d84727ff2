/** Idempotency keys of orders: each stands for an answer that its caller has had. */
import { Prisma } from '../../prisma/generated/client.js';
import type { DatabaseClient } from '../../runtime/database.js';
import type { LedgerKey } from '../ledgers.js';
import { readOnly } from './read-only.js';

export type KeyPlace = { caller: string; key: string };
const ROUTE = 'POST /orders';

/** By caller and key. @param after the last key of the page before */
export async function readKeys(
  db: DatabaseClient,
  limit: number,
  after: KeyPlace = { caller: '', key: '' },
): Promise<{ keys: LedgerKey[]; last: KeyPlace | undefined }> {
  const { page } = await readOnly<{ page: (LedgerKey & KeyPlace)[] }>(
    db,
    Prisma.sql`SELECT coalesce(json_agg(json_build_object('caller', caller, 'key', key, 'orderId', order_id,
        'isThere', EXISTS (SELECT FROM orders o WHERE o.id = k.order_id),
        'isAboutIt', response IS NULL OR position(order_id::text IN response) > 0) ORDER BY caller, key), '[]') AS page
      FROM (SELECT * FROM idempotency_keys WHERE route = ${ROUTE} AND (caller, route, key) > (${after.caller}, ${ROUTE}, ${after.key})
        AND order_id IS NOT NULL ORDER BY caller, route, key LIMIT ${limit}) k`,
  );
  const keys = page.map(({ orderId, isThere, isAboutIt }) => ({ orderId, isThere, isAboutIt }));
  const last = page.length < limit ? undefined : page.at(-1);
  return { keys, last: last && { caller: last.caller, key: last.key } };
}
