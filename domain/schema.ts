/** Which migrations a database has seen. Prisma writes them down; nobody else does. */
import type { Statements } from './database.js';

/** @returns those of these that have not been carried out, or not to their end, in the order given */
export async function missingMigrations(db: Statements, names: string[]): Promise<string[]> {
  const [table] = await db.$queryRaw<{ isThere: boolean }[]>`
    SELECT to_regclass('_prisma_migrations') IS NOT NULL AS "isThere"`;
  if (!table?.isThere) return names;
  const missing = await db.$queryRaw<{ name: string }[]>`
    SELECT needed.name FROM unnest(${names}::text[]) WITH ORDINALITY AS needed (name, n)
    WHERE NOT EXISTS (SELECT FROM _prisma_migrations m
      WHERE m.migration_name = needed.name AND m.finished_at IS NOT NULL AND m.rolled_back_at IS NULL)
    ORDER BY needed.n`;
  return missing.map(({ name }) => name);
}
