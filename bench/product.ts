/** The product as its users run it: `npm start`, on free ports and in a folder of its own, with nothing else in it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { CHECKOUT } from '../local/checkout.js';
import { freePort } from '../local/processes/ports.js';
import type { Subject } from './measurement.js';
import type { Roots } from './processes.js';

const PORTS = ['PORT', 'TEMPORAL_PORT', 'TEMPORAL_UI_PORT', 'SANDBOX_PORT', 'POSTGRES_PORT'] as const;
const READY_LIMIT_MS = 120_000;
const READY_POLL_MS = 10;
/** `npm start` promises 20 s. */
const STOP_LIMIT_MS = 25_000;

export type Product = Subject & {
  api: string;
  sandbox: string;
  temporalAddress: string;
  databaseUrl: string;
  /** The bench's own session, whose CPU is not counted. */
  client: pg.Client;
  /** From `npm start` to its banner. */
  readySeconds: number;
  /** @throws if nothing of that name runs */
  pid: (name: string) => number;
  /** Waits until /readyz says so. */
  ready: () => Promise<void>;
  /** A new session, after a crash of Postgres. */
  reconnect: () => Promise<void>;
};

export type Installation = {
  /** Starts it, waits for the banner, stops it when `use` has ended. */
  run: <T>(use: (product: Product) => Promise<T>) => Promise<T>;
  remove: () => Promise<void>;
};

/**
 * @param env what its user would have set
 * @param checkout where its source is; another one than ours, to compare with
 */
export async function newInstallation(env: NodeJS.ProcessEnv = {}, checkout = CHECKOUT): Promise<Installation> {
  const dataDir = await mkdtemp(join(tmpdir(), 'order-saga-bench-'));
  const ports = Object.fromEntries(
    await Promise.all(PORTS.map(async (name) => [name, `${await freePort()}`] as const)),
  ) as Record<(typeof PORTS)[number], string>;
  const allEnv = { ...inherited(), ...ports, DATA_DIR: dataDir, ...env };
  const remove = () => rm(dataDir, { recursive: true, force: true });
  return {
    run: async (use) => {
      const child = spawn('npm', ['start'], {
        cwd: checkout,
        env: allEnv,
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true, // a terminal's Ctrl-C is for the bench, which then stops it in order
      });
      const finish = () => stop(child).then(remove);
      unfinished.add(finish);
      const leave = () => child.kill('SIGTERM');
      process.once('exit', leave); // of a bug of our own
      try {
        const product = await connect(dataDir, ports, child, await ready(child));
        try {
          return await use(product);
        } finally {
          await product.client.end().catch(() => undefined); // its server may have died in the course of things
        }
      } finally {
        await stop(child);
        process.off('exit', leave);
        unfinished.delete(finish);
      }
    },
    remove,
  };
}

/** How to end what still runs. */
const unfinished = new Set<() => Promise<void>>();

/** For a bench that is interrupted: nothing of it stays behind. */
export async function stopAll(): Promise<void> {
  await Promise.all([...unfinished].map((finish) => finish()));
}

/** One installation, one run. */
export async function withProduct<T>(
  env: NodeJS.ProcessEnv,
  use: (product: Product) => Promise<T>,
  checkout = CHECKOUT,
): Promise<T> {
  const installation = await newInstallation(env, checkout);
  try {
    return await installation.run(use);
  } finally {
    await installation.remove();
  }
}

/** What a developer's shell says of other servers, and npm of this run, must not reach the product. */
const inherited = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => name === 'TEMPORAL_CLI_PATH' || !/^(TEMPORAL_|DATABASE_|STRIPE_|PAYMENTS_|WEBHOOK_|npm_)/.test(name),
    ),
  );

/** @returns seconds until its banner */
async function ready(child: ChildProcess): Promise<number> {
  const from = performance.now();
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`npm start was not ready in time:\n${output}`)), READY_LIMIT_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        output += chunk;
        if (!output.includes('order-saga is ready')) return;
        clearTimeout(timer);
        resolve();
      });
    }
    child.once('exit', (code) => reject(new Error(`npm start ended with ${code}:\n${output}`)));
    child.once('error', reject);
  });
  return (performance.now() - from) / 1000;
}

async function connect(
  dataDir: string,
  ports: Record<(typeof PORTS)[number], string>,
  child: ChildProcess,
  readySeconds: number,
): Promise<Product> {
  const databaseUrl = readFileSync(join(dataDir, 'database-url'), 'utf8').trim();
  const api = `http://127.0.0.1:${ports.PORT}`;
  const own = new Set<number>();
  const register = () =>
    JSON.parse(readFileSync(join(dataDir, 'processes.json'), 'utf8')) as { name: string; pid: number }[];
  const product: Product = {
    api,
    sandbox: `http://127.0.0.1:${ports.SANDBOX_PORT}`,
    temporalAddress: `127.0.0.1:${ports.TEMPORAL_PORT}`,
    databaseUrl,
    client: await openSession(databaseUrl, own),
    readySeconds,
    except: own,
    roots: (): Roots =>
      new Map([
        [child.pid as number, 'launcher'],
        ...register().map(({ name, pid }) => [pid, name === 'all' ? 'service' : name] as const),
      ]),
    pid: (name) => {
      const found = [...product.roots()].find(([, known]) => known === name);
      if (found === undefined) throw new Error(`There is no process "${name}"`);
      return found[0];
    },
    ready: async () => {
      while (!(await fetch(`${api}/readyz`).catch(() => undefined))?.ok) await sleep(READY_POLL_MS);
    },
    reconnect: async () => {
      await product.client.end().catch(() => undefined);
      product.client = await openSession(databaseUrl, own);
    },
  };
  return product;
}

async function openSession(url: string, own: Set<number>): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'bench' });
  client.on('error', () => {}); // a killed server; the next query fails with it
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  own.add(rows[0]?.pid as number);
  return client;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await exited;
  clearTimeout(timer);
}
