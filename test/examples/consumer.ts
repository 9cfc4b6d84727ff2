/** An example consumer, run as its readers run it, against a database of its own that it reaches through a link. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { freePort } from '../../local/processes/ports.js';
import { type Link, startLink } from '../../testbed/link.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase } from '../support/database.js';

const FOLDER = join('examples', 'consumers');

export type Line = { level: string; msg: string; eventId?: string; orderId?: string; sequence?: number } & Record<
  string,
  unknown
>;
export type Letter = { id: string; subject: string | null; sequence: number | null; cause: string; became: string };

export type TestConsumer = {
  /** All that it has logged, over all of its lives. */
  lines: Line[];
  /** Its database's: what it has made there is in the schema `example_consumers`. */
  query: pg.Pool['query'];
  /** The network to its database. */
  link: Link;
  /** Of a series of its metrics, by how its line begins; NaN while it serves none. */
  figure(series: string): Promise<number>;
  /** Another has the table locked, until it lets go. */
  lock(table: 'inbox' | 'cursors'): Promise<{ unlock(): Promise<void> }>;
  /** How often it was killed. */
  kills: number;
  start(more?: Record<string, string>): void;
  /** Another one at the same tables, with lines of its own. */
  beside(more?: Record<string, string>): { lines: Line[]; kill(): Promise<void> };
  /** kill -9. */
  kill(): Promise<void>;
  /** SIGTERM. @returns its exit code */
  terminate(): Promise<number | null>;
  isRunning(): boolean;
  deadLetters(...args: string[]): { letters: Letter[]; code: number | null };
  drop(): Promise<void>;
};

/** @param name of the program @param env its settings beside DATABASE_URL */
export async function createConsumer(name: string, env: Record<string, string>): Promise<TestConsumer> {
  const database = await createTestDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 2, options: '-c search_path=example_consumers' });
  const link = await startLink(new URL(database.url).host);
  const url = new URL(database.url);
  url.host = link.address;
  const METRICS_PORT = `${await freePort()}`;
  const whole = {
    METRICS_PORT,
    PATH: process.env['PATH'] ?? '',
    DATABASE_URL: url.href,
    RETRY_BACKOFF: '20ms',
    ...env,
  };
  const lines: Line[] = [];
  let child: ChildProcess | undefined;
  const others: ChildProcess[] = [];
  const launch = (env: Record<string, string>, into: Line[]) => {
    const program = join(FOLDER, `${name}.mjs`);
    const launched = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface(launched.stdout).on('line', (line) => into.push(JSON.parse(line) as Line));
    return launched;
  };
  const end = (signal: NodeJS.Signals) => {
    const victim = child;
    child = undefined;
    return ended(victim, signal);
  };
  const self: TestConsumer = {
    lines,
    query: pool.query.bind(pool) as pg.Pool['query'],
    link,
    figure: async (series) => {
      const answer = await fetch(`http://127.0.0.1:${METRICS_PORT}/metrics`).catch(() => undefined);
      const line = (await answer?.text())?.split('\n').find((each) => each.startsWith(series));
      return Number(line?.split(' ').at(-1));
    },
    lock: async (table) => {
      const client = await pool.connect();
      await client.query(`BEGIN; LOCK TABLE ${table}`);
      return {
        unlock: async () => {
          await client.query('COMMIT');
          client.release();
        },
      };
    },
    kills: 0,
    start: (more = {}) => {
      child = launch({ ...whole, ...more }, lines);
    },
    beside: (more = {}) => {
      const own: Line[] = [];
      const other = launch({ ...whole, METRICS_PORT: '0', ...more }, own);
      others.push(other);
      return { lines: own, kill: () => ended(other, 'SIGKILL').then(() => undefined) };
    },
    kill: async () => {
      self.kills += 1;
      await end('SIGKILL');
    },
    terminate: () => end('SIGTERM'),
    isRunning: () => child !== undefined && child.exitCode === null && child.signalCode === null,
    deadLetters: (...args) => {
      const program = [join(FOLDER, 'dead-letters.mjs'), name, ...args];
      const { stdout, stderr, status } = spawnSync(process.execPath, program, {
        env: { ...whole, DATABASE_URL: database.url },
        encoding: 'utf8',
      });
      if (stderr !== '') throw new Error(stderr);
      const letters = stdout.split('\n').filter((line) => line.startsWith('{"id"'));
      return { letters: letters.map((line) => JSON.parse(line) as Letter), code: status };
    },
    drop: async () => {
      for (const each of [child, ...others]) await ended(each, 'SIGKILL');
      await pool.end();
      await link.stop();
      await database.drop();
    },
  };
  return self;
}

/** @returns its exit code */
async function ended(victim: ChildProcess | undefined, signal: NodeJS.Signals): Promise<number | null> {
  if (!victim || victim.exitCode !== null || victim.signalCode !== null) return victim?.exitCode ?? null;
  const gone = once(victim, 'exit');
  victim.kill(signal);
  const [code] = (await gone) as [number | null];
  return code;
}

/** What it says it has sold; nothing yet if its tables are not there. */
export async function sold(consumer: TestConsumer, currency = 'USD'): Promise<{ orders: number; amount: number }> {
  const { rows } = await consumer
    .query('SELECT orders, amount::int FROM sales WHERE currency = $1', [currency])
    .catch(() => ({ rows: [] }));
  return rows[0] ?? { orders: 0, amount: 0 };
}

export const hasSold = (consumer: TestConsumer, orders: number, currency?: string) =>
  eventually(`${orders} orders are sold`, async () => (await sold(consumer, currency)).orders >= orders, 120_000);

/** Whether the inbox knows all of these, as had or as held. Counting effects would not do: repetitions reach a number early. */
export async function knows(consumer: TestConsumer, events: { subject: string; sequence: number }[]): Promise<boolean> {
  const { rows } = await consumer.query(
    `SELECT count(*)::int AS known FROM unnest($1::text[], $2::int[]) AS e (subject, sequence)
     JOIN inbox i ON i.subject = e.subject AND (i.had @> e.sequence OR i.held @> e.sequence)`,
    [events.map(({ subject }) => subject), events.map(({ sequence }) => sequence)],
  );
  return rows[0].known === events.length;
}
