/**
 * The end of an erasure: the keys are destroyed, the mapping from the reference to the client's id is, and `customer.erased` is written,
 * in one transaction with the entry in the audit chain that says so. Until then the person is known, and all of it can be done again.
 */
import { ERASED, type ErasedCounts } from '../../contracts/erasures.js';
import { OUTBOX_CHANNEL } from '../../contracts/ids.js';
import { type Actor, append } from '../audit/acts.js';
import type { AuditKeys } from '../audit/signatures.js';
import type { Database, Statements } from '../database.js';
import { destroyCustomerKeys } from '../sealing/customer-keys.js';
import type { Erasure } from './erasures.js';
import { findHolds } from './holds.js';

/** `erased`: it is told, and only to be concluded (erasures.ts); `held`, `changed`: nothing was done, an order has moved since. */
export type Completion = 'erased' | 'held' | 'changed';

/** @param settleMs whatever was begun so long before a pass has ended by then */
export async function completeErasure(
  tx: Database,
  keys: AuditKeys,
  erasure: Erasure & { reference: string },
  settleMs: number,
): Promise<Completion> {
  const { id, reference } = erasure;
  await tx.$executeRaw`SELECT FROM customers WHERE reference = ${reference}::uuid FOR UPDATE`;
  if ((await findHolds(tx, reference)).count > 0) return 'held';
  if (await hasChanged(tx, erasure, settleMs)) return 'changed';
  const counts = { customers: await forget(tx, reference, id), keys: await destroyCustomerKeys(tx, reference) };
  await tx.$executeRaw`SELECT pg_notify(${OUTBOX_CHANNEL}, ${reference}::text)`;
  const total = await sum(tx, id, counts);
  await append(tx, keys, 'outcome', ERASER(id), {
    ...{ resource: id, before: null, after: { reference, erased: total } },
  });
  return 'erased';
}

/** The service itself: who asked for it has an entry of their own. */
const ERASER = (correlationId: string): Actor => ({ subject: null, route: 'erasure', correlationId, source: null });

/** Whether an order was changed since the pass has been over it, or never was passed. */
async function hasChanged(tx: Statements, { reference, passBeganAt }: Erasure, settleMs: number): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ hasChanged: boolean }[]>`
    SELECT EXISTS (SELECT FROM orders WHERE customer_id = ${reference} AND (payment_method <> ${ERASED}
      OR updated_at > ${passBeganAt?.toISOString() ?? null}::timestamptz - ${settleMs}::float8 * interval '1 ms')) AS "hasChanged"`;
  return row?.hasChanged !== false;
}

/** @returns how many customers were: one */
async function forget(tx: Statements, reference: string, erasureId: string): Promise<number> {
  return tx.$executeRaw`
    WITH erased AS (
      UPDATE customers SET lookup = NULL, client_id = NULL, erased_at = now(), event_count = event_count + 1,
        event_xid = greatest(event_xid, pg_current_xact_id()::text::bigint)
      WHERE reference = ${reference}::uuid AND erased_at IS NULL
      RETURNING reference, event_count, event_xid, erased_at
    )
    INSERT INTO outbox (order_id, sequence, type, data, correlation_id, feed_xid)
    SELECT reference, event_count, 'customer.erased', jsonb_build_object('customerReference', reference,
        'erasedAt', to_char(erased_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), ${erasureId}, event_xid
    FROM erased`;
}

async function sum(tx: Statements, id: string, counts: ErasedCounts): Promise<ErasedCounts> {
  const [row] = await tx.$queryRaw<{ counts: ErasedCounts }[]>`
    UPDATE erasures SET counts = counts || ${JSON.stringify(counts)}::jsonb, stalled_by = NULL WHERE id = ${id}::uuid RETURNING counts`;
  return row?.counts ?? {};
}
