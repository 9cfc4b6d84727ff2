/** The product as its users run it: `node local/start.mjs` on free ports and a folder of its own. Spoken to over HTTP only. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, type Order, orThrow, type Sku } from '../../clients/typescript/client.js';
import type { CloudEvent } from '../../contracts/events.js';
import { FREE_PORT_MAX, freePort } from '../../local/processes/ports.js';
import { startTimeOf } from '../../local/processes/start-time.mjs';
import { eventually } from './conditions.js';
import { required } from './database.js';

const PORTS = ['PORT', 'TEMPORAL_PORT', 'TEMPORAL_UI_PORT', 'SANDBOX_PORT', 'POSTGRES_PORT'] as const;
/** A cold start on two busy cores; a warm one takes some 5 s. */
const READY_LIMIT_MS = 90_000;
/** What `npm start` promises to end within. */
const STOP_LIMIT_MS = 20_000;

export type Installation = {
  dataDir: string;
  env: NodeJS.ProcessEnv;
  api: string;
  sandbox: string;
  remove(): Promise<void>;
};

/** A developer's shell has them for other servers. */
const PG_OF_A_SHELL = {
  PGSSLMODE: 'verify-full',
  PGOPTIONS: '-c TimeZone=Asia/Kolkata -c DateStyle=German -c default_transaction_read_only=on',
  PGHOST: 'elsewhere.invalid',
  PGPORT: '1',
  PGUSER: 'somebody',
  PGPASSWORD: 'wrong',
  PGDATABASE: 'theirs',
  PGDATA: '/nowhere',
  PGTZ: 'Asia/Kolkata',
};

/** Free ports and an empty data folder; nothing runs yet. */
export async function newInstallation(env: NodeJS.ProcessEnv = {}): Promise<Installation> {
  const dataDir = await mkdtemp(join(tmpdir(), 'order-saga-system-'));
  const ports = Object.fromEntries(
    await Promise.all(PORTS.map(async (name) => [name, `${await freePort()}`] as const)),
  );
  // What the test run's own servers, or a developer's shell, have set must not reach the product.
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !/^(TEST_|TEMPORAL_|DATABASE_|STRIPE_|PAYMENTS_|WEBHOOK_|KAFKA_|NATS_|RABBITMQ_|BROKER_|npm_)/.test(name),
    ),
  );
  return {
    dataDir,
    // The launcher takes the first free ones from there on: below those that the system gives out by itself, no program takes one
    // between its looking and its process's listening.
    env: {
      ...inherited,
      ...ports,
      ...PG_OF_A_SHELL,
      METRICS_PORT: `${randomInt(FREE_PORT_MAX, 31_900)}`,
      DATA_DIR: dataDir,
      TEMPORAL_CLI_PATH: required('TEMPORAL_CLI_PATH'),
      ...env,
    },
    api: `http://127.0.0.1:${ports['PORT']}`,
    sandbox: `http://127.0.0.1:${ports['SANDBOX_PORT']}`,
    remove: () => rm(dataDir, { recursive: true, force: true }),
  };
}

export type Running = {
  output(): string;
  /** Ends it as Ctrl-C does. @returns the exit code and how long it took */
  stop(): Promise<{ code: number | null; ms: number }>;
  /** As a power cut would, for the launcher alone. */
  killLauncher(): Promise<void>;
  /** Process ids by name, as the launcher's register has them now. */
  pids(): Record<string, number>;
  /** @throws if nothing of that name runs: a signal to process 0 would go to the test run itself */
  pid(name: string): number;
  /** Of each of the service's processes, in the banner's order: all, or api, worker and relay. */
  metricsPorts(): number[];
};

/** Starts everything and waits for the banner. */
export async function launch(installation: Installation): Promise<Running> {
  const child = spawn(process.execPath, ['local/start.mjs'], {
    env: installation.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await eventually(
    'npm start is ready',
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${output}`);
      return output.includes('order-saga is ready');
    },
    READY_LIMIT_MS,
  ).catch((err: unknown) => {
    child.kill('SIGKILL');
    throw new Error(`${(err as Error).message}\n${output}`);
  });
  return {
    output: () => output,
    stop: () => stop(child, exited),
    killLauncher: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    pids: () => readPids(installation),
    pid: (name) => {
      const pid = readPids(installation)[name];
      if (pid === undefined)
        throw new Error(`no process "${name}" runs, only ${Object.keys(readPids(installation)).join(', ')}`);
      return pid;
    },
    metricsPorts: () => [...(/Metrics .*/.exec(output)?.[0] ?? '').matchAll(/:(\d+)/g)].map(([, port]) => Number(port)),
  };
}

async function stop(child: ChildProcess, exited: Promise<number | null>) {
  const from = performance.now();
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  const code = await exited;
  clearTimeout(timer);
  return { code, ms: performance.now() - from };
}

/** Runs it where it must refuse. @returns what it said, and its exit code */
export async function launchRefused(env: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ['local/start.mjs'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  return { code: await new Promise((resolve) => child.once('exit', resolve)), output };
}

export const readPids = ({ dataDir }: Installation): Record<string, number> =>
  Object.fromEntries(
    (JSON.parse(readFileSync(join(dataDir, 'processes.json'), 'utf8')) as { name: string; pid: number }[]).map(
      ({ name, pid }) => [name, pid],
    ),
  );

/** A process that has ended, but whose end its parent has not looked at yet, is not alive. */
export const isAlive = (pid: number): boolean => startTimeOf(pid) !== undefined;

/** A client of the HTTP API: the typed one that we give away, and plain requests for what it would not send. */
export function clientOf({ api, sandbox }: Installation) {
  const typed = createClient({ baseUrl: api });
  const faults = `${sandbox}/sandbox/faults`;
  const json = async <T>(url: string, init?: RequestInit): Promise<T> => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(35_000), ...init });
    if (!answer.ok) throw new Error(`${init?.method ?? 'GET'} ${url}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  };
  const send = (method: string, path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${api}${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  const client = {
    sandbox,
    get: <T>(path: string) => json<T>(`${api}${path}`),
    send,
    post: async (
      items: Record<string, number>,
      paymentMethod = 'pm_card_visa',
      headers: Record<string, string> = {},
    ): Promise<Order> => {
      const body = {
        customerId: 'cus_system',
        paymentMethod,
        items: Object.entries(items).map(([sku, quantity]) => ({ sku, quantity })),
      };
      return orThrow(typed.POST('/orders', { body, headers }));
    },
    order: (id: string): Promise<Order> => orThrow(typed.GET('/orders/{id}', { params: { path: { id } } })),
    /** The order once it is final. */
    final: (id: string, withinMs = 30_000) =>
      eventually(
        `order ${id} is final`,
        async () => {
          const order = await client.order(id);
          return order.status !== 'PENDING' && order;
        },
        withinMs,
      ),
    stock: async (sku: string, onHand: number, unitPrice = 1_000) => {
      const body = { name: sku, unitPrice, currency: 'USD', onHand };
      await orThrow(typed.PUT('/inventory/{sku}', { params: { path: { sku } }, body }));
    },
    /** A fault of the payment provider's, as docs/sandbox.md has them. */
    fault: async (fault: object): Promise<void> => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(faults, { method: 'POST', headers, body: JSON.stringify(fault) });
      if (!answer.ok) throw new Error(`POST ${faults}: ${answer.status} ${await answer.text()}`);
    },
    /** Ends all of them. */
    heal: async (): Promise<void> => {
      const answer = await fetch(faults, { method: 'DELETE' });
      if (!answer.ok) throw new Error(`DELETE ${faults}: ${answer.status}`);
    },
    sku: (sku: string): Promise<Sku> => orThrow(typed.GET('/inventory/{sku}', { params: { path: { sku } } })),
    /** All orders, or the first few; of one status, or of any. */
    list: async (status?: Order['status'], most = Number.POSITIVE_INFINITY): Promise<Order[]> => {
      const all: Order[] = [];
      let cursor: string | null = null;
      do {
        const query = { limit: Math.min(most, 1_000), ...(status && { status }), ...(cursor && { cursor }) };
        const page: { orders: Order[]; next: string | null } = await orThrow(
          typed.GET('/orders', { params: { query } }),
        );
        all.push(...page.orders);
        cursor = page.next;
      } while (cursor !== null && all.length < most);
      return all;
    },
    /** Every event of every order, from the feed. */
    feed: async (): Promise<CloudEvent[]> => {
      const all: CloudEvent[] = [];
      let after = '';
      for (;;) {
        const { events, next } = await client.get<{ events: CloudEvent[]; next: string }>(`/events?limit=1000${after}`);
        if (events.length === 0) return all;
        all.push(...events);
        after = `&after=${next}`;
      }
    },
    /** Captured − refunded and the number of charges that took money, per order, from the gateway's own lists. */
    ledger: async (): Promise<Map<string, { net: number; charges: number }>> => {
      const ledger = new Map<string, { net: number; charges: number }>();
      const orderOf = new Map<string, string>();
      for (const intent of await listAll<Intent>('/v1/payment_intents')) {
        const id = intent.metadata['orderId'] ?? 'none';
        orderOf.set(intent.id, id);
        const entry = ledger.get(id) ?? { net: 0, charges: 0 };
        if (intent.amount_received > 0)
          ledger.set(id, { net: entry.net + intent.amount_received, charges: entry.charges + 1 });
      }
      for (const refund of await listAll<Refund>('/v1/refunds')) {
        const entry = ledger.get(orderOf.get(refund.payment_intent) ?? '');
        if (entry && refund.status === 'succeeded') entry.net -= refund.amount;
      }
      return ledger;
    },
  };
  const listAll = async <T extends { id: string }>(path: string): Promise<T[]> => {
    const all: T[] = [];
    for (;;) {
      const from = all.length === 0 ? '' : `&starting_after=${all.at(-1)?.id}`;
      const page = await json<{ data: T[]; has_more: boolean }>(`${sandbox}${path}?limit=100${from}`, {
        headers: { authorization: 'Bearer sk_test_invariants' },
      });
      all.push(...page.data);
      if (!page.has_more) return all;
    }
  };
  return client;
}

export type ApiClient = ReturnType<typeof clientOf>;
type Intent = { id: string; amount_received: number; metadata: Record<string, string> };
type Refund = { id: string; amount: number; status: string; payment_intent: string };
