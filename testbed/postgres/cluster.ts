/** A cluster for tests that is durable, and may have a standby, or be restored: whatever it has acknowledged survives a kill -9. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { throwawayPlace } from '../../local/postgres/place.js';
import { adminUrl, type ClusterOptions, preparePostgres } from '../../local/postgres/server.js';
import { freePort } from '../../local/processes/ports.js';
import type { Program } from '../../local/processes/program.js';
import { unprivilegedUser } from '../../local/processes/unprivileged.js';
import { sessionConfig } from '../../prisma/session.mjs';

export type Cluster = ClusterOptions & {
  /** The superuser's, at the database `postgres`. */
  admin: string;
  /** Its data folder. */
  data: string;
  /** Made anew for each start, on what is there. */
  program: () => Promise<Program>;
  /** What it has kept goes. */
  remove: () => void;
};

/**
 * Nothing is made or started yet: `program` does.
 * @param settings beside those of every cluster of ours, e.g. `archive_mode`
 * @param password of the superuser; a copy of a cluster has that of the original
 */
export async function newCluster(
  logFile: string,
  settings: Record<string, string> = {},
  password = randomBytes(18).toString('base64url'),
): Promise<Cluster> {
  const user = unprivilegedUser();
  const place = throwawayPlace(user);
  const options: ClusterOptions = { place, user, port: await freePort(), logFile, password, durable: true };
  const admin = adminUrl(options);
  return {
    ...options,
    admin,
    data: join(place, 'cluster'),
    program: async () => {
      const program = await preparePostgres(options);
      const more = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
      // Its own file says "ready" of one that was killed, too.
      return { ...program, args: [...program.args, ...more], isReady: () => answers(admin) };
    },
    remove: () => rmSync(place, { recursive: true, force: true }),
  };
}

/** One statement as the superuser. */
export async function ask<Row extends object>(admin: string, sql: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ ...sessionConfig(admin), connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

export const answers = (admin: string): Promise<boolean> =>
  ask(admin, 'SELECT 1').then(
    () => true,
    () => false,
  );
