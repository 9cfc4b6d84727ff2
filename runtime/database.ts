/** A process's connections to Postgres: pools, one per role that must not wait for another. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { PrismaClient } from '../prisma/generated/client.js';
import { splitUrl } from '../prisma/session.mjs';
import { type DatabaseUrl, sessionsOf } from './database-sessions.js';
import { type Statements, statementsOver } from './statements.js';
import { isTracing } from './tracing/spans.js';
import { traceStatements } from './tracing/statements.js';

export type PoolOptions = {
  /** Makes the connections; a test's failpoints cut them. */
  openSocket?: (() => Socket) | undefined;
  /** How long a statement waits for a row that another transaction has locked. */
  lockLimitMs?: number;
  /** How long whoever asks for a connection waits for one, or for one to be made. */
  connectLimitMs?: number;
  /** Is given each new connection before it is used; if it throws, the connection is closed instead. */
  onConnect?: (client: pg.PoolClient) => Promise<void>;
  /** Is given the pool, for metrics. */
  onPool?: (pool: pg.Pool) => void;
};

/** The ORM's client, whose raw statements go straight to the driver; those of a transaction go through the ORM, which has its connection. */
export type DatabaseClient = Omit<PrismaClient, keyof Statements> & Statements;
type Transactions = Pick<PrismaClient, '$transaction'>;

/**
 * @param url      postgresql://…
 * @param poolSize connections at most; a request waits for one at most `connectLimitMs`
 */
export function openDatabase(
  url: DatabaseUrl,
  poolSize: number,
  { openSocket, lockLimitMs = LOCK_LIMIT_MS, connectLimitMs = CONNECT_LIMIT_MS, onConnect, onPool }: PoolOptions = {},
): DatabaseClient {
  const plans = nameStatements();
  const sessions = sessionsOf(url);
  const pool = new pg.Pool({
    // A statement that hangs would hold its connection for ever; the longest of ours takes milliseconds.
    statement_timeout: STATEMENT_LIMIT_MS,
    lock_timeout: lockLimitMs,
    // Nor may a connection that has died unnoticed, as behind a firewall or after a failover: TCP alone would take a
    // quarter of an hour to notice. The pool throws away the connection of a statement that ended so.
    query_timeout: SILENCE_LIMIT_MS,
    idle_in_transaction_session_timeout: STATEMENT_LIMIT_MS,
    application_name: 'order-saga',
    Client: sessions.Client,
    max: poolSize,
    connectionTimeoutMillis: connectLimitMs,
    keepAlive: true,
    ...(openSocket && { stream: openSocket }),
    ...(onConnect && { verify: (client, done) => void onConnect(client).then(() => done(), done) }),
  });
  pool.on('connect', (client) => {
    forgetOutdatedPlans(client, plans.forget);
    // Lost between two statements of its user, or while the pool closes it: whoever uses it is told by the next statement, and an
    // event that nobody listens to would be an uncaught exception.
    client.on('error', () => undefined);
  });
  pool.on('error', () => undefined); // of a connection that is not in use: the pool has closed it
  tryAllPasswords(pool, sessions.tryAll);
  retryUndoneStatements(pool);
  if (isTracing()) traceStatements(pool);
  onPool?.(pool);
  const orm = new PrismaClient({
    adapter: new PrismaPg(pool, {
      schema: splitUrl(typeof url === 'string' ? url : url()).schema,
      statementNameGenerator: plans.nameOf,
    }),
  });
  return withOwn(orm, {
    ...statementsOver(pool, plans.nameOf),
    $transaction: retryUndoneTransactions(orm),
    $disconnect: async () => {
      await orm.$disconnect();
      if (!pool.ending) await pool.end();
    },
  });
}

/** Whoever asks the pool for a connection, the ORM for a transaction too, has one whose password was taken. */
function tryAllPasswords(pool: pg.Pool, tryAll: ReturnType<typeof sessionsOf>['tryAll']): void {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  pool.connect = (() => tryAll(connect)) as typeof pool.connect;
}

/** The client with these in place of its own. Its own methods go on seeing it as it is: a transaction's client is made of that. */
const withOwn = <Own extends object>(client: PrismaClient, own: Own): Omit<PrismaClient, keyof Own> & Own =>
  new Proxy(client, {
    get: (target, key) => {
      if (Object.hasOwn(own, key)) return Reflect.get(own, key);
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  }) as unknown as Omit<PrismaClient, keyof Own> & Own;

/**
 * A statement with a name is parsed and planned once per connection instead of each time: a third of Postgres' work for an
 * order. Behind a pooler that shares connections, one that knows prepared statements is needed (PgBouncer from 1.21).
 */
function nameStatements() {
  let names = new Map<string, string>();
  let generation = 0;
  return {
    nameOf: ({ sql }: { sql: string }): string => {
      const known = names.get(sql);
      if (known !== undefined) return known;
      if (names.size >= NAMED_MAX) return NO_NAME;
      const name = createHash('sha256').update(`${generation} ${sql}`).digest('base64url');
      names.set(sql, name);
      return name;
    },
    /** From now on every statement has another name: connections keep what they have planned under the old ones. */
    forget: () => {
      generation++;
      names = new Map();
    },
  };
}

/** Postgres keeps each per connection, for ever; lists of ids make a statement of their own for each length. */
const NAMED_MAX = 200;
/** How the protocol spells an unnamed statement. */
const NO_NAME = '';

/** After a migration beside us, Postgres refuses the statements that were planned before, for as long as they are asked for. */
function forgetOutdatedPlans(client: pg.PoolClient, forget: () => void): void {
  const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
  connection.on('errorMessage', (err: pg.DatabaseError) => {
    if (isOutdatedPlan(err)) forget();
  });
}

/** "cached plan must not change result type", which Postgres says in the server's language. */
const isOutdatedPlan = ({ code, routine }: pg.DatabaseError) =>
  code === OUTDATED_PLAN && routine === 'RevalidateCachedQuery';
const OUTDATED_PLAN = '0A000';
/** Serialization failure, deadlock: the statement was undone, and would go through now. */
const LOST_A_CONFLICT = new Set(['40001', '40P01']);
const TRIES_MAX = 3;
const PAUSE_MAX_MS = 50;

/**
 * Retries a statement that Postgres has undone whole and would carry out now. Only statements that are a transaction of their
 * own go to the pool; those of a longer transaction have a connection.
 */
function retryUndoneStatements(pool: pg.Pool): void {
  const queryWithRetries = async (statement: pg.QueryConfig): Promise<pg.QueryResult> => {
    for (let tries = 1; ; tries++) {
      try {
        return await ask(pool, statement);
      } catch (err) {
        const isOutdated = isOutdatedPlan(err as pg.DatabaseError);
        if (tries >= TRIES_MAX || !(isOutdated || LOST_A_CONFLICT.has((err as pg.DatabaseError).code ?? ''))) throw err;
        if (isOutdated) statement.name = NO_NAME;
        else await pause(Math.random() * PAUSE_MAX_MS);
      }
    }
  };
  pool.query = queryWithRetries as typeof pool.query;
}

/**
 * Does a transaction anew that Postgres has undone whole and would carry out now: a migration beside it has outdated the plan of one of
 * its statements, or it was the one to end of a deadlock. So whatever a transaction does must be in its statements; ours are.
 */
function retryUndoneTransactions(orm: Transactions): Transactions['$transaction'] {
  const run = async (work: never, options?: never): Promise<unknown> => {
    for (let tries = 1; ; tries++) {
      try {
        return await orm.$transaction(work, options);
      } catch (err) {
        if (tries >= TRIES_MAX || !wasUndone(err)) throw err;
        await pause(Math.random() * PAUSE_MAX_MS);
      }
    }
  };
  return run as Transactions['$transaction'];
}

/** The ORM keeps the driver's error in its own, in one of two places, or has a code of its own for it; and we may have wrapped that. */
function wasUndone(err: unknown, depth = 0): boolean {
  if (typeof err !== 'object' || err === null || depth > CAUSES_MAX) return false;
  const { code, originalCode = code, meta, cause } = err as Wrapped;
  if (code === 'P2034' || originalCode === OUTDATED_PLAN || LOST_A_CONFLICT.has(originalCode ?? '')) return true;
  return wasUndone(meta?.driverAdapterError, depth + 1) || wasUndone(cause, depth + 1);
}
type Wrapped = { code?: string; originalCode?: string; meta?: { driverAdapterError?: unknown }; cause?: unknown };
const CAUSES_MAX = 5;

/**
 * A connection is as good as before when a rule of the tables has refused its statement, or a row was locked. `pool.query` would
 * close it: for each order whose number there is already, a session is begun anew, and plans all of its statements again. With
 * anything else that fails it is closed, for the server at its other end may not be the right one any more.
 */
async function ask(pool: pg.Pool, statement: pg.QueryConfig): Promise<pg.QueryResult> {
  const client = await pool.connect();
  const heard = () => undefined; // the statement is rejected with it
  client.on('error', heard);
  let fault: Error | undefined;
  try {
    return await client.query(statement);
  } catch (err) {
    if (!LEAVES_AS_IT_WAS.test((err as pg.DatabaseError).code ?? '')) fault = err as Error;
    throw err;
  } finally {
    client.off('error', heard);
    client.release(fault);
  }
}

/** Integrity of data, lock not available. */
const LEAVES_AS_IT_WAS = /^(23...|55P03)$/;

/** Shorter than an activity's start-to-close timeout, so that the failure that is seen names the database. */
const CONNECT_LIMIT_MS = 3_000;
const STATEMENT_LIMIT_MS = 4_000;
/** A transaction that locks a row for longer is stuck; ours hold one for milliseconds, a crowd of them for tens. */
const LOCK_LIMIT_MS = 2_000;
/** Postgres itself would have ended the statement by then. */
export const SILENCE_LIMIT_MS = 4_500;
