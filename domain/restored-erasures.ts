/**
 * Erasures carried out anew in a database that was restored to before them. Who stands behind the reference is forgotten at once, also
 * where orders are open in the restored state, for which the first erasure had waited: the person was told that it is done, so nobody may
 * read it again. Open orders go on under the reference, which is all that their sagas need. The keyed hash of the client's id stays until
 * they are final, since the tombstones of their numbers are made of it; it tells nothing to whoever does not have the id.
 */
import type { Change, Values } from './audit/acts.js';
import { identityKeyOf } from './customers.js';
import type { Database } from './database.js';
import { findHolds } from './erasure/holds.js';
import { eraseOrders } from './erasure/parts.js';
import { entombKeys } from './erasure/tombstones.js';
import { destroyCustomerKeys } from './sealing/customer-keys.js';

/** `known`: it is as it should be, or there is no such customer here. */
export type Reapplied = 'forgotten' | 'known';

type Noted = { customer: string; erasureId: string };
type Signature = { operator: string; reason: string };

/** The same erasure as before, by its id, of which there may be a certificate. */
export const erasureAnew = (
  { customer, erasureId }: Noted,
  signature: Signature,
): Change<Reapplied, Values | null> => ({
  before: async (tx) => {
    const [row] = await tx.$queryRaw<Values[]>`
      SELECT erasing_since IS NOT NULL AS erasing, client_id IS NULL AS forgotten FROM customers
      WHERE reference = ${customer}::uuid FOR UPDATE`;
    return row ?? null;
  },
  change: async (tx) => {
    const outcome = await forget(tx, customer);
    if (outcome === 'forgotten') await request(tx, { customer, erasureId }, signature);
    return outcome;
  },
  effect: (outcome, before) =>
    outcome === 'forgotten'
      ? {
          resource: erasureId,
          reason: signature.reason,
          before,
          after: { reference: customer, erasing: true, forgotten: true },
        }
      : null,
});

/** What no saga reads goes at once: the id, the keys of what is sealed, and what customers have said. */
async function forget(tx: Database, customer: string): Promise<Reapplied> {
  const forgotten = await tx.$executeRaw`
    UPDATE customers SET erasing_since = coalesce(erasing_since, now()), client_id = NULL
    WHERE reference = ${customer}::uuid AND (erasing_since IS NULL OR client_id IS NOT NULL)`;
  if (forgotten === 0) return 'known';
  await destroyCustomerKeys(tx, customer);
  await tx.$executeRaw`
    UPDATE orders SET cancellation_message = NULL WHERE customer_id = ${customer} AND cancellation_message IS NOT NULL`;
  return 'forgotten';
}

/** From here on the worker's loop has it, as any other: it is told to consumers again, and certified again. */
async function request(tx: Database, { customer, erasureId }: Noted, { operator, reason }: Signature): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO erasures (id, reference, state, requested_by, reason)
    VALUES (${erasureId}::uuid, ${customer}::uuid, 'waiting', ${operator}, ${reason})
    ON CONFLICT (reference) DO NOTHING`;
}

/** Orders of a transaction. */
const BATCH = 100;

/**
 * What is personal of a forgotten customer's orders, where nothing of them is in hand: then nothing need be waited for, and no process
 * shows it before the worker comes to it. Where an order is in hand, all of it is left to the worker.
 */
export async function eraseOrdersAnew(db: Database & Transactions, customer: string): Promise<'erased' | 'held'> {
  if ((await findHolds(db, customer)).count > 0) return 'held';
  const [erasure] = await db.$queryRaw<{ id: string }[]>`
    SELECT id::text AS id FROM erasures WHERE reference = ${customer}::uuid AND state <> 'done'`;
  if (!erasure) return 'erased';
  await entombKeys(db, erasure.id, customer);
  const identityKey = await identityKeyOf(db);
  for (let place: string | null = null; ; ) {
    const batch = await db.$transaction((tx) => eraseOrders(tx, identityKey, customer, { place, limit: BATCH }));
    if (batch.last === null) return 'erased';
    place = batch.last;
  }
}

type Transactions = { $transaction<T>(work: (tx: Database) => Promise<T>): Promise<T> };
