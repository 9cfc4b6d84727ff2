/** A catalogue that nothing can be read from: requests that need it stay in work for as long as a test likes. */
import pg from 'pg';

/** @returns what `work` returns, which is done while every statement about the inventory of this database waits */
export async function whileStuck<T>(databaseUrl: string, work: () => Promise<T>): Promise<T> {
  const holder = new pg.Client({ connectionString: databaseUrl });
  await holder.connect();
  await holder.query('BEGIN; LOCK TABLE inventory IN ACCESS EXCLUSIVE MODE');
  try {
    return await work();
  } finally {
    await holder.end();
  }
}
