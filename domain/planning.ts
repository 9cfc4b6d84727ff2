/**
 * A statement that is asked for often is planned once per connection (runtime/database): Postgres stops planning it for the values of each time as
 * soon as that is not expected to pay. For lists it seems to pay for ever, since a plan for any list reckons with ten elements, and one for a
 * list of one with one; planning takes longer than what it could save.
 */
import { Prisma } from '../prisma/generated/client.js';

/** The same list, whose length is not seen when the statement is planned. @param list with its type: ${ids}::uuid[] */
export const ofAnyLength = (list: Prisma.Sql): Prisma.Sql => Prisma.sql`(SELECT ${list})`;
