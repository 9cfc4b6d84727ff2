/** What domain functions are given to reach Postgres, and how they tell the database's refusals from its failures. */
import type { Prisma } from '../prisma/generated/client.js';
import type { Sealing } from './sealing/port.js';

/** Makes known that orders have changed, once that has committed (domain/order-changes). */
export type Announcer = { announce(change: string): void };

/**
 * Raw statements. Each is a transaction of its own and goes straight to the driver, unless it is part of a larger one
 * (runtime/statements). A function that is given nothing else cannot take the longer way through the ORM by accident. A client
 * may have an announcer; a transaction has none, for what is done in it may still be undone; nor has it a sealing, which asks others
 * while rows would be locked.
 */
export type Statements = {
  /** @returns the statement's rows */
  $queryRaw<Rows = unknown>(statement: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<Rows>;
  /** @returns how many rows it has changed */
  $executeRaw(statement: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<number>;
  readonly announcer?: Announcer;
  readonly sealing?: Sealing;
};

/** A client, or a transaction of one: every function here is a statement or two, and may become part of something larger. */
export type Database = Statements & Omit<Prisma.TransactionClient, keyof Statements>;

/** The client, whose statements leave it to the announcer to make known what they have changed. */
export const withAnnouncer = <Client extends Statements>(client: Client, announcer: Announcer): Client =>
  new Proxy(client, { get: (target, key) => (key === 'announcer' ? announcer : Reflect.get(target, key)) });

/** The client, which seals what is a person's, and opens what is sealed. */
export const withSealing = <Client extends Statements>(client: Client, sealing: Sealing): Client =>
  new Proxy(client, { get: (target, key) => (key === 'sealing' ? sealing : Reflect.get(target, key)) });

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
 * was not acknowledged, and the same may go through a little later. The driver's error tells, which Prisma keeps inside its own or
 * replaces by a code; the pool's own timeout comes as a plain Error.
 */
export function isNotNow(err: unknown): boolean {
  const { code = '', message = '' } = (err ?? {}) as { code?: unknown; message?: string };
  return (
    NOT_NOW_CODES.has(String(code)) ||
    TLS_CODE.test(String(code)) ||
    NOT_NOW_OF_DRIVER.has(driverCause(err)?.kind ?? '') ||
    NOT_NOW_SQLSTATE.test(sqlStateOf(err) ?? '') ||
    NOT_NOW_MESSAGE.test(message)
  );
}

/** What is known of the driver's error, as @prisma/adapter-pg keeps it. */
type DriverCause = {
  kind?: string;
  code?: string;
  originalCode?: string;
  originalMessage?: string;
  constraint?: { index?: string };
};

/** The driver's error itself; or Prisma has put it into its own, or left it as the cause of what it does not know. */
function driverCause(err: unknown): DriverCause | undefined {
  if (isAnswerOfPostgres(err))
    return {
      originalCode: err.code,
      originalMessage: err.message,
      ...(err.constraint !== undefined && { constraint: { index: err.constraint } }),
    };
  const { meta, cause } = (err ?? {}) as { meta?: Record<string, unknown>; cause?: unknown };
  const adapterError = (meta?.['driverAdapterError'] ?? (isAdapterError(err) ? err : cause)) as
    | { cause?: DriverCause }
    | undefined;
  return typeof adapterError?.cause === 'object' ? adapterError.cause : undefined;
}
/** The driver's DatabaseError, by what Postgres puts into every one. */
const isAnswerOfPostgres = (err: unknown): err is Error & { code: string; constraint?: string } =>
  err instanceof Error && 'severity' in err && 'code' in err && typeof err.code === 'string';
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
/** Not let in, can't reach, timed out, no such database, closed, no connection free, transaction not begun or lost: Prisma's, Node's. */
const NOT_NOW_CODES = new Set([
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
/** Of Node: the server's certificate does not verify. */
const TLS_CODE =
  /^(ERR_TLS_CERT|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|CRL_|ERROR_IN_)/;
const NOT_NOW_MESSAGE =
  /timeout exceeded when trying to connect|timeout expired|Query read timeout|Connection terminated|ECONNREFUSED|Client has encountered a connection error|does not support SSL connections|establishing an SSL connection/;
