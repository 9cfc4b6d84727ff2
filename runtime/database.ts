/** A process's connection pool to Postgres. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../prisma/generated/client.js';

/**
 * @param url      postgresql://…
 * @param poolSize connections at most; a request waits for one at most `CONNECT_LIMIT_MS`
 * @param openSocket makes the connections, for whoever wants to cut them
 */
export function openDatabase(url: string, poolSize: number, openSocket?: () => Socket): PrismaClient {
  return new PrismaClient({
    adapter: new PrismaPg(
      {
        connectionString: url,
        max: poolSize,
        connectionTimeoutMillis: CONNECT_LIMIT_MS,
        // A statement that hangs would hold its connection for ever; the longest of ours takes milliseconds.
        statement_timeout: STATEMENT_LIMIT_MS,
        // Nor may a connection that has died without a word, as behind a firewall or after a failover: TCP alone would take a
        // quarter of an hour to notice. The pool throws away the connection of a statement that ended so.
        query_timeout: SILENCE_LIMIT_MS,
        idle_in_transaction_session_timeout: STATEMENT_LIMIT_MS,
        keepAlive: true,
        application_name: 'order-saga',
        ...(openSocket && { stream: openSocket }),
      },
      { statementNameGenerator: nameStatements() },
    ),
  });
}

/**
 * A statement with a name is parsed and planned once per connection instead of each time: a third of Postgres' work for an
 * order. Behind a pooler that shares connections, one that knows prepared statements is needed (PgBouncer from 1.21).
 */
function nameStatements(): (query: { sql: string }) => string {
  const names = new Map<string, string>();
  return ({ sql }) => {
    const known = names.get(sql);
    if (known !== undefined) return known;
    if (names.size >= NAMED_MAX) return ''; // the protocol's word for "no name"
    const name = createHash('sha256').update(sql).digest('base64url');
    names.set(sql, name);
    return name;
  };
}

/** Postgres keeps each per connection, for ever; lists of ids make a statement of their own for each length. */
const NAMED_MAX = 200;

/** Shorter than an activity's start-to-close timeout, so that the failure that is seen names the database. */
const CONNECT_LIMIT_MS = 3_000;
const STATEMENT_LIMIT_MS = 4_000;
/** Postgres itself would have ended the statement by then. */
export const SILENCE_LIMIT_MS = 4_500;
