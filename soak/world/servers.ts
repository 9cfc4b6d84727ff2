/** The neighbours of the service, as programs that can be killed and started again on what they have kept. */
import { mkdirSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import { throwawayPlace } from '../../local/postgres/place.js';
import { adminUrl, type ClusterOptions, ensureDatabase, preparePostgres } from '../../local/postgres/server.js';
import { freePort } from '../../local/processes/ports.js';
import type { Program } from '../../local/processes/program.js';
import { unprivilegedUser } from '../../local/processes/unprivileged.js';
import { migrate } from '../../local/setup/migrate.js';
import { findTemporalCli } from '../../local/temporal/cli.js';
import { temporalProgram } from '../../local/temporal/server.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { natsPrograms } from '../../testbed/brokers/nats.js';
import { findBroker } from '../../testbed/brokers/programs.js';

const HOST = '127.0.0.1';

export type Server = {
  /** host:port, past all links. */
  address: string;
  program: () => Promise<Program>;
  /** What it has kept goes. */
  remove: () => void;
};
export type PostgresServer = Server & {
  admin: string;
  /** Makes the database that the service uses. @returns its URL */
  prepare: () => Promise<string>;
};

/** A database of the product's own, durable: what it has acknowledged must survive a kill -9. */
export async function postgresServer(logFile: string): Promise<PostgresServer> {
  const user = unprivilegedUser();
  const place = throwawayPlace(user);
  const port = await freePort();
  const cluster: ClusterOptions = {
    place,
    user,
    port,
    logFile,
    password: randomBytes(18).toString('base64url'),
    durable: true,
  };
  const admin = adminUrl(cluster);
  return {
    address: `${HOST}:${port}`,
    admin,
    // Its own file says "ready" of the one that was killed, too.
    program: async () => ({ ...(await preparePostgres(cluster)), isReady: () => answers(admin) }),
    prepare: async () => {
      const url = await ensureDatabase(admin, 'order_saga', 'soak');
      await migrate(url);
      return url;
    },
    remove: () => rmSync(place, { recursive: true, force: true }),
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ ...sessionConfig(url), connectionTimeoutMillis: 2_000, query_timeout: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

export async function temporalServer(folder: string, logFile: string): Promise<Server> {
  const [cli, port, uiPort] = [await findTemporalCli(process.env), await freePort(), await freePort()];
  const file = join(folder, 'temporal', 'temporal.db');
  return {
    address: `${HOST}:${port}`,
    program: async () => temporalProgram({ cli, port, uiPort, file, logFile }),
    remove: () => rmSync(join(folder, 'temporal'), { recursive: true, force: true }),
  };
}

/** @returns undefined where this machine lacks it */
export async function natsServer(folder: string, logFile: string): Promise<Server | undefined> {
  const found = await findBroker('nats', process.env);
  if (!('programs' in found)) return undefined;
  const place = join(folder, 'nats');
  mkdirSync(place, { recursive: true });
  const {
    programs: [program],
    settings,
  } = await natsPrograms(found.programs, place, {});
  if (!program) throw new Error('NATS has no program');
  const { scratch: _, ...kept } = program;
  return {
    address: new URL(settings['NATS_URL'] as string).host,
    program: async () => ({ ...kept, logFile }),
    remove: () => rmSync(place, { recursive: true, force: true }),
  };
}
