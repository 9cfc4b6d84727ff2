/** What domain functions are given to reach Postgres, and how they tell the database's refusals from its failures. */
import type { Prisma } from '../prisma/generated/client.js';

/** Makes known that orders have changed, once that has committed (domain/order-changes). */
export type Announcer = { announce(change: string): void };

/**
 * A client, or a transaction of one: every function here is a statement or two, and may become part of something larger. A
 * client may have an announcer; a transaction has none, for what is done in it may still be undone.
 */
export type Database = Prisma.TransactionClient & { readonly announcer?: Announcer };

/** The client, whose statements leave it to the announcer to make known what they have changed. */
export const withAnnouncer = <Client extends Database>(client: Client, announcer: Announcer): Client =>
  new Proxy(client, { get: (target, key) => (key === 'announcer' ? announcer : Reflect.get(target, key)) });

/** @returns the violated constraint's name if `err` says that a unique key exists already, else undefined */
export function violatedUniqueKey(err: unknown): string | undefined {
  const cause = driverCause(err);
  if (cause?.originalCode !== UNIQUE_VIOLATION) return undefined;
  // The message is in the server's language, the name is not; no language has words like it.
  return cause.constraint?.index ?? /\w+(?:_\w+)+/.exec(cause.originalMessage ?? '')?.[0] ?? 'unknown';
}

/** Whether another transaction has locked a row for longer than a statement waits. */
export const isLockTimeout = (err: unknown): boolean => sqlStateOf(err) === LOCK_NOT_AVAILABLE;

/**
 * Whether the database could not be asked, or cannot do it just now, as opposed to having said no: nothing was changed that
 * was not acknowledged, and the same may go through a little later. Prisma has codes of its own for some of that; for the
 * rest, only the driver's error tells, and the pool's own timeout comes as a plain Error.
 */
export function isNotNow(err: unknown): boolean {
  const { code = '', message = '' } = (err ?? {}) as { code?: unknown; message?: string };
  return (
    NOT_NOW_OF_PRISMA.has(String(code)) ||
    NOT_NOW_OF_DRIVER.has(driverCause(err)?.kind ?? '') ||
    NOT_NOW_SQLSTATE.test(sqlStateOf(err) ?? '') ||
    NOT_NOW_MESSAGE.test(message)
  );
}

/** What @prisma/adapter-pg keeps of the driver's error. */
type DriverCause = {
  kind?: string;
  code?: string;
  originalCode?: string;
  originalMessage?: string;
  constraint?: { index?: string };
};

/** Prisma puts it into its own errors, or leaves it as the cause of what it does not know. */
function driverCause(err: unknown): DriverCause | undefined {
  const { meta, cause } = (err ?? {}) as { meta?: Record<string, unknown>; cause?: unknown };
  const adapterError = (meta?.['driverAdapterError'] ?? (isAdapterError(err) ? err : cause)) as
    | { cause?: DriverCause }
    | undefined;
  return typeof adapterError?.cause === 'object' ? adapterError.cause : undefined;
}
const isAdapterError = (err: unknown): boolean => err instanceof Error && err.name === 'DriverAdapterError';

function sqlStateOf(err: unknown): string | undefined {
  const cause = driverCause(err);
  return cause?.originalCode ?? cause?.code ?? SQLSTATE_IN_MESSAGE.exec((err as Error | undefined)?.message ?? '')?.[1];
}
/** As Prisma writes it where it keeps no cause. */
const SQLSTATE_IN_MESSAGE = /\bcode: ['"`]?([0-9A-Z]{5})['"`]?/i;

/** SQLSTATEs, https://www.postgresql.org/docs/current/errcodes-appendix.html */
const UNIQUE_VIOLATION = '23505';
const LOCK_NOT_AVAILABLE = '55P03';
/**
 * Connection lost (08), a plan that a migration has outdated (0A000), read-only or ended while idle (25006, 25P03, 25P04), a
 * role or database that is not let in (28, 3D000), lost a race (40), no resources (53), in use (55), ended from outside (57),
 * the system's fault (58).
 */
const NOT_NOW_SQLSTATE = /^(08|0A000|25006|25P03|25P04|28|3D000|40|53|55000|55006|55P03|57|58)/;
/** Not let in, can't reach, timed out, no such database, closed, no connection free, transaction not begun or lost. */
const NOT_NOW_OF_PRISMA = new Set([
  ...['P1000', 'P1001', 'P1002', 'P1003', 'P1008', 'P1010', 'P1011', 'P1017', 'P2024', 'P2028', 'P2034', 'P2037'],
  ...['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'],
]);
const NOT_NOW_OF_DRIVER = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
  'TransactionWriteConflict',
  'TlsConnectionError',
]);
const NOT_NOW_MESSAGE =
  /timeout exceeded when trying to connect|timeout expired|Query read timeout|Connection terminated|ECONNREFUSED|Client has encountered a connection error/;
