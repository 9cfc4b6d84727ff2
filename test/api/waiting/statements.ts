/** What an API asks Postgres, counted where it leaves the process: Postgres' own figures come up to ten seconds late. */
import type { Database } from '../../../domain/database.js';
import type { PrismaClient } from '../../../prisma/generated/client.js';
import { eventually } from '../../support/conditions.js';

export type CountedDatabase = {
  db: Database;
  /** @returns how many statements are made in so long a time */
  during(ms: number): Promise<number>;
  /** @returns how many are made meanwhile */
  of(act: () => Promise<unknown>): Promise<number>;
};

export function countStatements(db: Database): CountedDatabase {
  let count = 0;
  const counted = (db as PrismaClient).$extends({
    query: {
      $allOperations: ({ args, query }) => {
        count++;
        return query(args);
      },
    },
  });
  const of = async (act: () => Promise<unknown>) => {
    const before = count;
    await act();
    return count - before;
  };
  const letPass = (ms: number) => {
    const until = Date.now() + ms;
    return eventually(`${ms} ms have passed`, () => Date.now() >= until, ms + 5_000);
  };
  return { db: counted as unknown as Database, of, during: (ms) => of(() => letPass(ms)) };
}
