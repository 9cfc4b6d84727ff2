/** Which orders a pass is about. */
import { Prisma } from '../../prisma/generated/client.js';

export type Span = {
  /** Orders that were accepted from then on. */
  since?: Date | undefined;
  /** Of these alone. */
  ids?: readonly string[] | undefined;
  /** Orders that have not changed for so long: what has just come to its end may still be told of. */
  graceMs: number;
};

export const FIRST_ID = '00000000-0000-0000-0000-000000000000';
/** An order's id has the time at which the API chose it, by a clock that may differ from the database's by less than this. */
const CLOCK_SKEW_MS = 3_600_000;

/** The table `orders` in pages along its primary key, which is in the order of time: so `since` reads no older row. */
export const inSpan = ({ since, ids, graceMs }: Span, after: string): Prisma.Sql => Prisma.sql`
  id > ${after > firstIdOf(since) ? after : firstIdOf(since)}::uuid
  ${ids ? Prisma.sql`AND id = ANY(${ids}::uuid[])` : Prisma.empty}
  ${since ? Prisma.sql`AND created_at >= ${since}` : Prisma.empty}
  AND updated_at < now() - ${graceMs}::float8 * interval '1 ms'`;

/** The least UUIDv7 of a moment (RFC 9562): its first 48 bits are milliseconds since 1970. */
function firstIdOf(since: Date | undefined): string {
  if (!since) return FIRST_ID;
  const hex = Math.max(0, since.getTime() - CLOCK_SKEW_MS)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
