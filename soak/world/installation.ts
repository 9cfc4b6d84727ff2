/**
 * An installation to be harmed: the product's processes in roles of their own and all together, their neighbours, a consumer, and a
 * proxy on every link between them.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../local/processes/ports.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { type Link, startLink } from '../../testbed/link.js';
import { LINKS, type LinkName, type PartName, SERVICES } from '../plan/faults.js';
import { type Consumer, startConsumer } from './consumer.js';
import { type Part, type PartOptions, startPart } from './part.js';
import { serviceProgramOf, gatewayProgram } from './programs.js';
import { natsServer, type PostgresServer, postgresServer, type Server, temporalServer } from './servers.js';
import { until } from './waiting.js';

export type Installation = {
  folder: string;
  parts: ReadonlyMap<PartName, Part>;
  links: ReadonlyMap<LinkName, Link>;
  consumer: Consumer;
  postgres: Pick<PostgresServer, 'followed'>;
  /** What the clients ask, each through its link. */
  apis: string[];
  /** Past all links, for whoever repairs and checks. */
  direct: { api: string; gateway: string; temporal: string; database: string; nats?: string };
  /** The checker's own sessions, and those of faults. */
  pool: pg.Pool;
  /** What has happened that no fault explains. */
  surprises: string[];
  /** @throws after so long */
  untilReady: (limitMs: number) => Promise<void>;
  stop: () => Promise<void>;
};

const HOST = '127.0.0.1';
const READY_LIMIT_MS = 120_000;

type Stops = (() => Promise<unknown>)[];
type Add = (name: PartName, program: PartOptions['program']) => Part;

/**
 * @param stops    what is to be undone, last first, from the first process on: the start may fail half-way
 * @param settings of the service's processes, besides those of every soak
 */
export async function startInstallation(
  folder: string,
  stops: Stops,
  settings: NodeJS.ProcessEnv = {},
): Promise<Installation> {
  mkdirSync(join(folder, 'logs'), { recursive: true });
  const logOf = (name: string) => join(folder, 'logs', `${name}.log`);
  const surprises: string[] = [];
  const parts = new Map<PartName, Part>();
  const add: Add = (name, program) => {
    const part = startPart({ name, program, surprised: (says) => surprises.push(says) });
    parts.set(name, part);
    stops.push(() => part.retire());
    return part;
  };
  const { consumer, links, addresses, postgres, database } = await startNeighbours(folder, logOf, add, stops);
  const pool = new pg.Pool({
    ...sessionConfig(database),
    max: 8,
    connectionTimeoutMillis: 5_000,
    query_timeout: 20_000,
  });
  pool.on('error', () => undefined); // its server is killed now and then
  stops.push(() => pool.end());
  for (const name of SERVICES) {
    const port = name === 'api' || name === 'all' ? Number(addresses[name].split(':')[1]) : undefined;
    const metricsPort = await freePort();
    const place = { port, metricsPort, database, links, consumer, logFile: logOf(name), settings };
    add(name, () => serviceProgramOf(name, place));
  }
  const untilReady = async (limitMs: number) => {
    for (const part of parts.values()) await isUp(part, limitMs);
  };
  await untilReady(READY_LIMIT_MS);
  const { api, gateway, temporal, nats } = addresses;
  return {
    folder,
    parts,
    links,
    consumer,
    postgres,
    apis: [`http://${nearEnd(links, 'client-api')}`, `http://${nearEnd(links, 'client-all')}`],
    direct: { api: `http://${api}`, gateway: `http://${gateway}`, temporal, database, ...(nats && { nats }) },
    pool,
    surprises,
    untilReady,
    stop: async () => {
      for (const stop of stops.splice(0).reverse()) await stop();
    },
  };
}

/** host:port of each end of a link, by its name there. */
type Addresses = Record<'api' | 'all' | 'gateway' | 'postgres' | 'temporal' | 'consumer', string> & { nats?: string };

async function startNeighbours(folder: string, logOf: (name: string) => string, add: Add, stops: Stops) {
  const addServer = async (name: PartName, server: Server) => {
    stops.push(async () => server.remove());
    await isUp(add(name, server.program));
  };
  const consumer = await startConsumer();
  stops.push(() => consumer.stop());
  const postgres = await postgresServer(logOf('postgres'));
  const temporal = await temporalServer(folder, logOf('temporal'));
  const nats = await natsServer(folder, logOf('nats'));
  const gatewayPort = await freePort();
  const addresses: Addresses = {
    api: `${HOST}:${await freePort()}`,
    all: `${HOST}:${await freePort()}`,
    gateway: `${HOST}:${gatewayPort}`,
    postgres: postgres.address,
    temporal: temporal.address,
    consumer: consumer.address,
    ...(nats && { nats: nats.address }),
  };
  const links = await layLinks(addresses, stops);
  const events = nearEnd(links, 'gateway-api');
  await Promise.all([
    addServer('postgres', postgres),
    addServer('temporal', temporal),
    ...(nats ? [addServer('nats', nats)] : []),
    isUp(add('gateway', () => gatewayProgram(folder, gatewayPort, events, logOf('gateway')))),
  ]);
  return { consumer, links, addresses, postgres, database: await postgres.prepare() };
}

const isUp = (part: Part, limitMs = READY_LIMIT_MS) => until(`${part.name} is ready`, limitMs, () => part.isReady());

async function layLinks(addresses: Addresses, stops: Stops): Promise<Map<LinkName, Link>> {
  const links = new Map<LinkName, Link>();
  for (const name of LINKS) {
    const target = addresses[name.split('-')[1] as keyof Addresses];
    if (target === undefined) continue;
    const laid = await startLink(target);
    links.set(name, laid);
    stops.push(() => laid.stop());
  }
  return links;
}

/** host:port where whoever uses the link connects. */
function nearEnd(links: ReadonlyMap<LinkName, Link>, name: LinkName): string {
  const found = links.get(name);
  if (!found) throw new Error(`there is no link ${name}`);
  return found.address;
}
