/** Who asked for an order's cancellation, by what the saga's log has kept of it: its code, and the caller. */
import type { Database } from './database.js';

export const CANCELLERS = ['operator', 'customer', 'service', 'anybody'] as const;
/** `subject`: of the caller's token; of a customer the reference, of `anybody` what callers without a token are called. */
export type Canceller = { who: (typeof CANCELLERS)[number]; subject: string };

/** @param anonymous what a caller is called that has shown no token. @returns null = nobody did: it unwound by itself, or stands */
export async function readCanceller(db: Database, orderId: string, anonymous: string): Promise<Canceller | null> {
  const [row] = await db.$queryRaw<{ outcome: string; actor: string | null; isCustomer: boolean }[]>`
    SELECT l.outcome, l.actor, l.actor IS NOT DISTINCT FROM o.customer_id AS "isCustomer"
    FROM saga_log l JOIN orders o ON o.id = l.order_id
    WHERE l.order_id = ${orderId}::uuid AND l.step = 'unwinding' ORDER BY l.id LIMIT 1`;
  if (!row || row.actor === null) return null;
  const { outcome, actor: subject, isCustomer } = row;
  if (isCustomer) return { who: 'customer', subject };
  if (outcome === 'OPERATOR') return { who: 'operator', subject };
  if (outcome !== 'CANCELLED_BY_CUSTOMER') return null;
  return { who: subject === anonymous ? 'anybody' : 'service', subject };
}
