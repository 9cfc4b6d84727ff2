/** Whether the database could not be asked, or could not do it just now, as opposed to having said no. */

/**
 * Prisma has codes of its own for that, but not for raw SQL (P2010), where only the driver's error tells; the pool's own
 * timeout comes as a plain Error.
 */
export function isDatabaseAway(err: unknown): boolean {
  if (!(err instanceof Error)) return false;
  const { code, meta, message } = err as Error & { code?: unknown; meta?: Record<string, unknown> };
  if (typeof code === 'string' && PRISMA_AWAY.has(code)) return true;
  const cause = (meta?.['driverAdapterError'] as { cause?: { kind?: string; originalCode?: string } } | undefined)
    ?.cause;
  return (
    DRIVER_AWAY.has(cause?.kind ?? '') ||
    SQLSTATE_NOT_NOW.test(cause?.originalCode ?? '') ||
    MESSAGE_AWAY.test(message) ||
    MESSAGE_NOT_NOW.test(message)
  );
}

/** Can't reach, timed out, closed, no connection free, transaction not begun or overtaken, too many connections. */
const PRISMA_AWAY = new Set([
  'P1001',
  'P1002',
  'P1008',
  'P1017',
  'P2024',
  'P2028',
  'P2034',
  'P2037',
  'ECONNREFUSED',
  'ECONNRESET',
]);
const DRIVER_AWAY = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
  'TransactionWriteConflict',
]);
/**
 * Connection lost; read-only, as after a failover; serialization failure or deadlock; no resources; lock or statement timeout,
 * shutting down or starting; not accepting connections. https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const SQLSTATE_NOT_NOW = /^(08|25006|40001|40P01|53|57|55000|55P03)/;
const MESSAGE_AWAY =
  /timeout exceeded when trying to connect|timeout expired|Query read timeout|Connection terminated|ECONNREFUSED|ECONNRESET/;
/** Told by a message alone, under a code that says something else. */
const MESSAGE_NOT_NOW = /cached plan must not change result type/;
