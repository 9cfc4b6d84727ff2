/** What domain functions are given to reach Postgres, and how they tell the database's refusals from its failures. */
import { Prisma } from '../prisma/generated/client.js';

/** A client, or a transaction of one: every function here is a statement or two, and may become part of something larger. */
export type Database = Prisma.TransactionClient;

/** @returns the violated constraint's name if `err` says that a unique key exists already, else undefined */
export function violatedUniqueKey(err: unknown): string | undefined {
  if (!(err instanceof Prisma.PrismaClientKnownRequestError)) return undefined;
  const cause = (err.meta?.['driverAdapterError'] as { cause?: DriverCause } | undefined)?.cause;
  if (cause?.originalCode !== UNIQUE_VIOLATION) return undefined;
  return /unique constraint "([^"]+)"/.exec(cause.originalMessage ?? '')?.[1] ?? 'unknown';
}

/** What @prisma/adapter-pg keeps of the driver's error. */
type DriverCause = { originalCode?: string; originalMessage?: string };

/** SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html */
const UNIQUE_VIOLATION = '23505';
