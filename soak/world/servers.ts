/** The neighbours of the service, as programs that can be killed and started again on what they have kept. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDatabase, preparePostgres } from '../../local/postgres/server.js';
import { freePort } from '../../local/processes/ports.js';
import type { Program } from '../../local/processes/program.js';
import { migrate } from '../../local/setup/migrate.js';
import { findTemporalCli } from '../../local/temporal/cli.js';
import { temporalProgram } from '../../local/temporal/server.js';
import { natsPrograms } from '../../testbed/brokers/nats.js';
import { findBroker } from '../../testbed/brokers/programs.js';
import { answers, newCluster } from '../../testbed/postgres/cluster.js';
import { type Standby, startStandby } from '../../testbed/postgres/standby.js';

const HOST = '127.0.0.1';
const STOP_LIMIT_MS = 60_000;

export type Server = {
  /** host:port, past all links. */
  address: string;
  program: () => Promise<Program>;
  /** What it has kept goes. */
  remove: () => void;
};
export type PostgresServer = Server & {
  /** Makes the database that the service uses. @returns its URL */
  prepare: () => Promise<string>;
  /** A standby follows it from now on, and each commit waits for that; to be promoted when the other one is gone. */
  followed: () => Promise<{ promote: () => Promise<void> }>;
};

/** A database of the product's own, durable: what it has acknowledged must survive a kill -9. */
export async function postgresServer(logFile: string): Promise<PostgresServer> {
  let cluster = await newCluster(logFile);
  let following: Standby | undefined;
  const { admin, port } = cluster;
  return {
    address: `${HOST}:${port}`,
    // What was promoted is served where the other one was, as an address that moves along.
    program: async () => ({ ...(await preparePostgres({ ...cluster, port })), isReady: () => answers(admin) }),
    prepare: async () => {
      const url = await ensureDatabase(admin, 'order_saga', 'soak');
      await migrate(url);
      return url;
    },
    followed: async () => {
      const standby = await startStandby({ ...cluster, port, admin }, { logFile, isSynchronous: true });
      following = standby;
      return {
        promote: async () => {
          await standby.promote();
          await standby.running.stop(STOP_LIMIT_MS);
          cluster.remove();
          cluster = standby;
          following = undefined;
        },
      };
    },
    remove: () => {
      following?.running.kill();
      following?.remove();
      cluster.remove();
    },
  };
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
