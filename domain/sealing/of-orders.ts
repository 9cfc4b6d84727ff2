/** What of an order is sealed, and with whose key: that of the reference in its row. An order of before there were references stays plain. */
import type { Statements } from '../database.js';
import { asPlain, NO_SEALING } from './sealing.js';
import { KeyUnavailable } from './errors.js';
import type { Place } from './port.js';

export const messageOf = (orderId: string, reference: string): Place => ({
  ...{ table: 'orders', column: 'cancellation_message', row: orderId, reference },
});

/**
 * Why a customer wants an order gone, in its own words, as it may be stored.
 * @returns undefined if it cannot be sealed now: the order is cancelled all the same, and no text of a person is kept unsealed
 */
export async function sealCancellationMessage(
  db: Statements,
  orderId: string,
  message: string,
): Promise<string | undefined> {
  if (!db.sealing?.isOn) return asPlain(message);
  const reference = await readReference(db, orderId);
  if (reference === undefined) return asPlain(message);
  try {
    return await db.sealing.seal(message, messageOf(orderId, reference));
  } catch (err) {
    if (err instanceof KeyUnavailable) return undefined;
    throw err;
  }
}

/** @param held what the order's customer_id holds. @throws KeyUnavailable */
export async function openCancellationMessage(
  db: Statements,
  { orderId, held, stored }: { orderId: string; held: string; stored: string },
): Promise<string> {
  return (db.sealing ?? NO_SEALING).open(stored, messageOf(orderId, held));
}

/** @returns the reference of the order's customer; undefined = its row holds a client's id */
async function readReference(db: Statements, orderId: string): Promise<string | undefined> {
  const [row] = await db.$queryRaw<{ reference: string }[]>`
    SELECT c.reference::text AS reference FROM orders o
    JOIN customers c ON c.reference = CASE WHEN o.customer_id ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$'
      THEN o.customer_id::uuid END
    WHERE o.id = ${orderId}::uuid`;
  return row?.reference;
}
