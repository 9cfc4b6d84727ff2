/** How verification asks Postgres: it cannot write, and gives way before anyone whose work it is. */
import { Prisma } from '../../prisma/generated/client.js';
import type { DatabaseClient } from '../../runtime/database.js';

/** Less than the pool's own limit: a statement of somebody who only looks gives way first. */
const STATEMENT_LIMIT_MS = 3_000;
/** Of a transaction of one statement: more than its statements may take, so that a busy machine is no failure. */
const ONE_LIMIT_MS = 15_000;
const CONNECTION_LIMIT_MS = 10_000;

type Ask = <Row>(statement: Prisma.Sql) => Promise<Row[]>;

/** One statement, hence one snapshot. @returns its one row */
export async function readOnly<Row>(db: DatabaseClient, statement: Prisma.Sql): Promise<Row> {
  return inSnapshot(db, ONE_LIMIT_MS, async (ask) => only(await ask<Row>(statement)));
}

/**
 * Several statements that see the same moment. It holds no row and takes no transaction id, so that nobody waits for it, the feed included.
 * @param limitMs of all of them together
 */
export function inSnapshot<T>(db: DatabaseClient, limitMs: number, read: (ask: Ask) => Promise<T>): Promise<T> {
  return db.$transaction(
    async (tx) => {
      await tx.$executeRaw`SET TRANSACTION READ ONLY`;
      await tx.$executeRaw`SELECT set_config('statement_timeout', ${String(STATEMENT_LIMIT_MS)}, true)`;
      return read((statement) => tx.$queryRaw(statement));
    },
    { isolationLevel: Prisma.TransactionIsolationLevel.RepeatableRead, timeout: limitMs, maxWait: CONNECTION_LIMIT_MS },
  );
}

export function only<Row>([row]: Row[]): Row {
  if (row === undefined) throw new Error('Postgres did not answer');
  return row;
}
