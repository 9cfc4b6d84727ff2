/** A process's connection pool to Postgres. */
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
    adapter: new PrismaPg({
      connectionString: url,
      max: poolSize,
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      // A statement that hangs would hold its connection for ever; the longest of ours takes milliseconds.
      statement_timeout: STATEMENT_LIMIT_MS,
      idle_in_transaction_session_timeout: STATEMENT_LIMIT_MS,
      keepAlive: true,
      application_name: 'order-saga',
      ...(openSocket && { stream: openSocket }),
    }),
  });
}

/** Shorter than an activity's start-to-close timeout, so that the failure that is seen names the database. */
const CONNECT_LIMIT_MS = 3_000;
const STATEMENT_LIMIT_MS = 4_000;
