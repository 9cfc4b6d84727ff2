/** The stage of the alarms: everything on one machine, beside a Prometheus with the shortened rules, and what faults are made with. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type PrometheusPrograms, startPrometheus } from '../../../testbed/prometheus.js';
import { cleanEnv, runCli } from '../../ops/cli.js';
import { eventually } from '../../support/conditions.js';
import { clientOf, isAlive, launch, newInstallation } from '../../support/launcher.js';
import { startReceiver } from '../../support/receiver.js';
import type { Fault } from './recorder.js';
import { shortenRules } from './shortened.js';

export type Span = Pick<Fault, 'begin' | 'end'>;
export type Stage = Awaited<ReturnType<typeof openStage>>;

/** Runs in each of our Node processes: a listener that throws, as a bug would have it. */
const PLANTED_BUG = `process.on('SIGUSR2', () => { throw new Error('planted by a test'); });\n`;

export async function openStage(programs: PrometheusPrograms) {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-alarms-live-'));
  writeFileSync(join(folder, 'planted.mjs'), PLANTED_BUG);
  const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const act of closers.splice(0).reverse()) await act();
  };
  try {
    return { ...(await open(programs, folder, closers)), close };
  } catch (err) {
    await close(); // nobody else knows what was started
    throw err;
  }
}

async function open(programs: PrometheusPrograms, folder: string, closers: (() => unknown)[]) {
  const receiver = await startReceiver();
  closers.push(receiver.stop);
  const disk = await startDisk();
  closers.push(() => disk.close());
  const installation = await newInstallation({
    LOCAL_PROCESSES: 'api,worker,relay',
    WEBHOOK_URL: receiver.url,
    WEBHOOK_SECRET: receiver.secret,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    STEP_RETRY_BUDGET: '1s',
    DELIVERY_BACKOFF_MAX: '500ms',
    RECONCILE_EVERY: '2s',
    VERIFY_EVERY: '2s',
    REFUND_CHECK_EVERY: '3s',
    SANDBOX_REFUND_FAILS_AFTER: '1s',
    RATE_LIMIT_STRANGER: '100000',
    NODE_OPTIONS: `--import=${join(folder, 'planted.mjs')}`,
  });
  closers.push(installation.remove);
  const running = await launch(installation);
  closers.push(running.stop);
  const client = clientOf(installation);
  const targets = running.metricsPorts().map((port) => `127.0.0.1:${port}`);
  targets.push(`127.0.0.1:${(disk.address() as AddressInfo).port}`);
  const prometheus = await startPrometheus(programs, { targets, rules: shortenRules(folder) });
  closers.push(prometheus.stop);
  await client.stock('PLENTY', 1_000_000);
  await client.stock('GONE', 0);
  await eventually('all are scraped', async () => (await prometheus.query('up == 1')).length === 4, 60_000);
  for (let i = 0; i < 5; i++) await client.final((await client.post({ PLENTY: 1 })).id, 60_000);

  const ownerUrl = () => readFileSync(join(installation.dataDir, 'database-url'), 'utf8').trim();
  const openSession = async (url = ownerUrl()) => {
    const session = new pg.Client({ connectionString: url });
    await session.connect();
    return session;
  };
  const sql = async (statements: string[], url = ownerUrl()) => {
    const session = await openSession(url);
    try {
      for (const statement of statements) await session.query(statement);
    } finally {
      await session.end();
    }
  };
  return {
    installation,
    running,
    client,
    receiver,
    prometheus,
    disk,
    openSession,
    sql,
    query: async <T extends pg.QueryResultRow>(text: string, values: unknown[] = []) => {
      const session = await openSession();
      try {
        return await session.query<T>(text, values);
      } finally {
        await session.end();
      }
    },
    asSuperuser: (...statements: string[]) => {
      const secrets = JSON.parse(readFileSync(join(installation.dataDir, 'secrets.json'), 'utf8')) as {
        postgresSuperuser: string;
      };
      const url = new URL(ownerUrl());
      url.username = 'postgres';
      url.password = encodeURIComponent(secrets.postgresSuperuser);
      url.pathname = '/postgres';
      return sql(statements, url.href);
    },
    ops: async (...args: string[]) => {
      const env = { ...cleanEnv(), ...installation.env, DATA_DIR: installation.dataDir, OPS_OPERATOR: 'op-test' };
      const { code, stdout, stderr } = await runCli(args, env);
      if (code !== 0) throw new Error(`ops ${args.join(' ')}: ${code}\n${stdout}${stderr}`);
      return stdout;
    },
    frozen: (name: string): Span => {
      let pids: number[] = [];
      const send = (signal: NodeJS.Signals) => {
        for (const pid of pids) if (isAlive(pid)) process.kill(pid, signal);
      };
      return {
        begin: async () => {
          pids = family(running.pid(name)); // now: a server's sessions come and go
          send('SIGSTOP');
        },
        end: async () => send('SIGCONT'),
      };
    },
    /** Customers who order, each some three times a second. */
    posting: (many: number, items: Record<string, number> = { PLENTY: 1 }): Span => {
      const all = Array.from({ length: many }, () =>
        repeat(async () => {
          await client.post(items).catch(() => undefined);
          await pause(300);
        }),
      );
      return {
        begin: async () => void (await Promise.all(all.map((each) => each.begin()))),
        end: async () => void (await Promise.all(all.map((each) => each.end()))),
      };
    },
  };
}

/** Now frozen, now not, for so long each. */
export function halting({ begin, end }: Span, frozenMs: number, movingMs: number): Span {
  const beat = repeat(async () => {
    await begin();
    await pause(frozenMs);
    await end();
    await pause(movingMs);
  });
  return {
    begin: beat.begin,
    end: async () => {
      await beat.end();
      await end();
    },
  };
}

/** One after the other, and ended the other way round. */
export const both = (...parts: Span[]): Span => ({
  begin: async () => {
    for (const part of parts) await part.begin();
  },
  end: async () => {
    for (const part of [...parts].reverse()) await part.end();
  },
});

export const once = (act: () => Promise<unknown>): Span => ({
  begin: async () => void (await act()),
  end: async () => undefined,
});

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Does it time and again, from begin to end. */
function repeat(act: () => Promise<void>): { begin(): Promise<void>; end(): Promise<void> } {
  let ended = false;
  let going = Promise.resolve();
  const go = async () => {
    while (!ended) await act();
  };
  return {
    begin: async () => {
      going = go();
    },
    end: async () => {
      ended = true;
      await going;
    },
  };
}

/** The process and all that it has begun. */
function family(pid: number): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', `${pid}`], { encoding: 'utf8' });
  return [pid, ...stdout.split('\n').filter(Boolean).map(Number)];
}

/** What node_exporter would say of a disk. */
async function startDisk(): Promise<Server & { freeBytes: number }> {
  const server = Object.assign(
    createServer((_, response) => {
      const labels = '{mountpoint="/data",fstype="ext4"}';
      response.setHeader('content-type', 'text/plain; version=0.0.4');
      response.end(
        `node_filesystem_avail_bytes${labels} ${server.freeBytes}\nnode_filesystem_size_bytes${labels} 100\n`,
      );
    }),
    { freeBytes: 50 },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
