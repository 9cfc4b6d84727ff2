/** A few connections to a Postgres that is not the service's own: no ORM, statements of their owner. */
import pg from 'pg';
import { type DatabaseUrl, sessionsOf } from './database-sessions.js';
import { SILENCE_LIMIT_MS } from './database.js';

const CONNECTIONS_MAX = 2;
const CONNECT_LIMIT_MS = 2_000;
const STATEMENT_LIMIT_MS = 4_000;

export type SmallPool = {
  /** Gives a connection to the work; one on which it has failed is closed. */
  use<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T>;
  end(): Promise<void>;
};

/** Connects when it is first used. */
export function openSmallPool(url: DatabaseUrl, name: string): SmallPool {
  const sessions = sessionsOf(url);
  const pool = new pg.Pool({
    Client: sessions.Client,
    application_name: name,
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    statement_timeout: STATEMENT_LIMIT_MS,
    query_timeout: SILENCE_LIMIT_MS,
    idle_in_transaction_session_timeout: STATEMENT_LIMIT_MS,
    keepAlive: true,
  });
  pool.on('error', () => undefined); // of a connection that is not in use: the pool has closed it
  return {
    use: async (work) => {
      const client = await sessions.tryAll(() => pool.connect());
      const heard = () => undefined; // what was asked is rejected with it
      client.on('error', heard);
      let fault: Error | undefined;
      try {
        return await work(client);
      } catch (err) {
        fault = err as Error;
        throw err;
      } finally {
        client.off('error', heard);
        client.release(fault);
      }
    },
    end: () => pool.end(),
  };
}
