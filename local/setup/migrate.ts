/** Brings a database to the schema of this checkout, and fills an empty catalogue. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { seed } from '../../prisma/seed.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { explainFailure } from '../../runtime/database-check.js';
import { CHECKOUT } from '../checkout.js';
import { runToEnd } from '../processes/command.js';
import { environment, NODE_READS, PROXIES } from '../processes/environment.js';
import { SetupError, say } from '../say.mjs';

const MIGRATIONS = join(CHECKOUT, 'prisma', 'migrations');

/** Asks the database first: Prisma's CLI takes seconds to find out that there is nothing to do. */
export async function migrate(url: string): Promise<void> {
  const applied = await withClient(url, appliedMigrations);
  const isCurrent = localMigrations().every(({ name, checksum }) => applied.get(name) === checksum);
  if (!isCurrent) await deploy(url);
}

/** Only an empty catalogue is filled: what an operator has changed since, or another program has put there, stays. */
export async function seedCatalogue(url: string): Promise<void> {
  const added = await withClient(url, seed);
  if (added > 0) say(`The catalogue was empty; it now has ${added} products to try things with.`);
}

/** A connection of its own for some statements. */
export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ ...sessionConfig(url), connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
  } catch (cause) {
    throw new SetupError(explainFailure(cause, url).sentence, { cause });
  }
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** @returns name → checksum of every migration that was completed */
async function appliedMigrations(client: pg.Client): Promise<Map<string, string>> {
  const { rows: tables } = await client.query("SELECT to_regclass('_prisma_migrations') AS name");
  if (tables[0]?.name === null) return new Map();
  const { rows } = await client.query<{ migration_name: string; checksum: string }>(
    'SELECT migration_name, checksum FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL',
  );
  return new Map(rows.map((row) => [row.migration_name, row.checksum]));
}

/** The checksums as Prisma records them. */
function localMigrations(): { name: string; checksum: string }[] {
  const folders = readdirSync(MIGRATIONS, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.map(({ name }) => {
    const sql = readFileSync(join(MIGRATIONS, name, 'migration.sql'));
    return { name, checksum: createHash('sha256').update(sql).digest('hex') };
  });
}

async function deploy(url: string): Promise<void> {
  const { failure, output } = await runToEnd(
    process.execPath,
    [join(CHECKOUT, 'prisma', 'cli.mjs'), 'migrate', 'deploy'],
    {
      cwd: CHECKOUT,
      env: { ...environment(process.env, ...NODE_READS, ...PROXIES, /^(PRISMA_|PG)/, 'CI'), DATABASE_URL: url },
    },
  );
  if (failure !== undefined) throw new SetupError(`The database could not be migrated (${failure}).\n${output}`);
}
