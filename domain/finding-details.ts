/**
 * What machines say of a finding and later go by: constants of ours, about no person. Whoever takes what was said of an order out of its
 * findings leaves these, and only these.
 */
import { Prisma } from '../prisma/generated/client.js';

/** A finding that closed itself: should the ledgers differ again, it is news, of whatever amount. */
export const AGREED_AGAIN = 'not so any more: the ledgers have moved since';
/** A finding that waits for the next hour: the reconciler goes on with it by itself. */
export const TOO_MANY = 'too many of these within an hour for a machine to settle: it goes on in the next hour';
/** A charge that an operator alone may have given back. Once one has, what then goes wrong is said behind it. */
export const NOT_SURPLUS = 'The order has another charge on record, but the gateway does not hold its money';

const GONE_BY = [AGREED_AGAIN, TOO_MANY, NOT_SURPLUS];

/** Takes out of the findings of these orders what was said of them. */
export const blankDetails = (orderIds: string[]): Prisma.Sql => Prisma.sql`
  UPDATE reconciliation_findings SET detail = NULL
  WHERE order_id = ANY(${orderIds}::text[]) AND detail IS NOT NULL AND detail <> ALL(${GONE_BY}::text[])`;

/**
 * Whether a finding `f` closed itself. Releases before blanked that word with the others: what is cancelled without a word, and no
 * operator has closed for good, closed itself.
 */
export const hasClosedItself = Prisma.sql`(f.action = 'cancelled' AND (f.detail = ${AGREED_AGAIN} OR (f.detail IS NULL
  AND NOT EXISTS (SELECT FROM reconciliation_closings c WHERE c.finding_id = f.id AND c.action = 'cancelled'))))`;
