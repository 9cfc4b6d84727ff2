/**
 * Erasures carried out anew in a database that was restored to before them. Who stands behind the reference is forgotten at once, by one
 * statement, also where orders are open in the restored state and in their first erasure it had waited for them: the person was told that
 * it is done, so nobody may read it again. Open orders go on under the reference, which is all that their sagas need; what else of a
 * person is in them leaves by the erasure's own loop when they are final.
 */
import type { Database } from './database.js';
import type { Change, Values } from './audit/acts.js';

export type Reapplied = 'forgotten' | 'known' | 'not-here';

/** @param customer the reference that the journal has */
export const erasureAnew = (customer: string, reason: string): Change<Reapplied, Values | null> => ({
  before: async (tx) => {
    const [row] = await tx.$queryRaw<Values[]>`
      SELECT erasing_since IS NOT NULL AS erasing, erased_at IS NOT NULL AS erased FROM customers
      WHERE reference = ${customer}::uuid FOR UPDATE`;
    return row ?? null;
  },
  change: (tx) => forget(tx, customer),
  effect: (outcome, before) =>
    outcome === 'forgotten' ? { resource: customer, reason, before, after: { erasing: true, erased: true } } : null,
});

async function forget(tx: Database, customer: string): Promise<Reapplied> {
  const forgotten = await tx.$executeRaw`
    UPDATE customers SET erasing_since = coalesce(erasing_since, now()), erased_at = now(), lookup = NULL, client_id = NULL
    WHERE reference = ${customer}::uuid AND erased_at IS NULL`;
  if (forgotten > 0) return 'forgotten';
  const [row] = await tx.$queryRaw<{ is: boolean }[]>`
    SELECT EXISTS (SELECT FROM customers WHERE reference = ${customer}::uuid) AS is`;
  return row?.is ? 'known' : 'not-here';
}
