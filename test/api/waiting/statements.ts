/** How many transactions Postgres counts in a test's database; a statement by itself is one. */
import pg from 'pg';
import { sessionConfig } from '../../../prisma/session.mjs';
import { eventually } from '../../support/conditions.js';
import { required } from '../../support/database.js';

/** Backends report what they have done at least this often, once they are idle. */
const REPORTED_WITHIN_MS = 1_500;

/** Asked from another database, so that the question does not count. */
export async function countTransactions(databaseUrl: string): Promise<{
  /** @returns how many there are in so long a time */
  during(ms: number): Promise<number>;
  /** @returns how many the act makes, and what is still done within a moment after it */
  of(act: () => Promise<unknown>): Promise<number>;
  close(): Promise<void>;
}> {
  const client = new pg.Client(sessionConfig(required('TEST_DATABASE_ADMIN_URL')));
  await client.connect();
  const name = new URL(databaseUrl).pathname.slice(1);
  const read = async (): Promise<number> => {
    const { rows } = await client.query(
      'SELECT (xact_commit + xact_rollback)::int AS count FROM pg_stat_database WHERE datname = $1',
      [name],
    );
    return rows[0].count;
  };
  const letPass = (ms: number) => {
    const until = Date.now() + ms;
    return eventually(`${ms} ms have passed`, () => Date.now() >= until, ms + 5_000);
  };
  const of = async (act: () => Promise<unknown>) => {
    await letPass(REPORTED_WITHIN_MS);
    const before = await read();
    await act();
    await letPass(REPORTED_WITHIN_MS);
    return (await read()) - before;
  };
  return { of, during: (ms) => of(() => letPass(ms)), close: () => client.end() };
}
