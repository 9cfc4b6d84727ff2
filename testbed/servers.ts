/**
 * What every test run needs: a Postgres of its own, on a free port and gone without a trace afterwards, and the Temporal CLI,
 * with which those tests that want a Temporal start one each.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { sessionConfig } from '../prisma/session.mjs';
import { migrate } from '../local/setup/migrate.js';
import { freePort } from '../local/processes/ports.js';
import { adminUrl, type ClusterOptions, databaseUrl, preparePostgres } from '../local/postgres/server.js';
import { throwawayPlace } from '../local/postgres/place.js';
import { type Running, start } from '../local/processes/program.js';
import { findTemporalCli } from '../local/temporal/cli.js';
import { unprivilegedUser } from '../local/processes/unprivileged.js';

/** Migrated, empty, and used by no test: tests clone it, which takes some 50 ms. */
const TEMPLATE = 'order_saga_template';
const STOP_LIMIT_MS = 10_000;
const STARTING_LIMIT_MS = 5_000;

export type TestServers = {
  /** A superuser's: it may create databases. */
  adminUrl: string;
  template: string;
  temporalCli: string;
};

/** @returns `stop` at once: a process that is interrupted while they start must leave nothing behind either */
export function startTestServers(): { ready: Promise<TestServers>; stop: () => Promise<void> } {
  const stops: (() => Promise<void>)[] = [];
  const starting = [startPostgres(stops), findTemporalCli(process.env)] as const;
  const stop = async () => {
    // What is about to start can only be stopped once it has; but a download is not waited for.
    await Promise.race([Promise.allSettled(starting), sleep(STARTING_LIMIT_MS, undefined, { ref: false })]);
    await Promise.all(stops.splice(0).map((each) => each()));
  };
  const ready = Promise.all(starting).then(
    ([adminUrl, temporalCli]) => ({ adminUrl, template: TEMPLATE, temporalCli }),
    async (err: unknown) => {
      await stop();
      throw err;
    },
  );
  return { ready, stop };
}

async function startPostgres(stops: (() => Promise<void>)[]): Promise<string> {
  const user = unprivilegedUser();
  const place = throwawayPlace(user);
  let server: Running | undefined;
  stops.push(async () => {
    await server?.stop(STOP_LIMIT_MS);
    rmSync(place, { recursive: true, force: true });
  });
  const cluster: ClusterOptions = {
    place,
    user,
    port: await freePort(),
    logFile: join(place, 'log'),
    password: randomBytes(18).toString('base64url'),
    durable: false,
  };
  server = await start(await preparePostgres(cluster));
  const admin = adminUrl(cluster);
  await createDatabase(admin, TEMPLATE);
  await migrate(databaseUrl(cluster.port, 'postgres', cluster.password, TEMPLATE));
  return admin;
}

async function createDatabase(admin: string, name: string): Promise<void> {
  const client = new pg.Client(sessionConfig(admin));
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}
