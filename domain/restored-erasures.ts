/**
 * Erasures carried out anew in a database that was restored to before them. Who stands behind the reference is forgotten at once, also
 * where orders are open in the restored state, for which the first erasure had waited: the person was told that it is done, so nobody may
 * read it again. Open orders go on under the reference, which is all that their sagas need. The keyed hash of the client's id stays until
 * they are final, since the tombstones of their numbers are made of it; it tells nothing to whoever does not have the id.
 */
import type { Change, Values } from './audit/acts.js';
import type { Database } from './database.js';
import { destroyCustomerKeys } from './sealing/customer-keys.js';

/** `known`: it is as it should be, or there is no such customer here. */
export type Reapplied = 'forgotten' | 'known';

/** @param customer the reference that the journal has */
export const erasureAnew = (customer: string, reason: string): Change<Reapplied, Values | null> => ({
  before: async (tx) => {
    const [row] = await tx.$queryRaw<Values[]>`
      SELECT erasing_since IS NOT NULL AS erasing, client_id IS NULL AS forgotten FROM customers
      WHERE reference = ${customer}::uuid FOR UPDATE`;
    return row ?? null;
  },
  change: (tx) => forget(tx, customer),
  effect: (outcome, before) =>
    outcome === 'forgotten' ? { resource: customer, reason, before, after: { erasing: true, forgotten: true } } : null,
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
