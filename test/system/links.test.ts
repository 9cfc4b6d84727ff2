/**
 * The network between our processes and what they need: silent, deaf, slow or resetting connections, one link at a time,
 * while orders come in. Clients are answered within a limit, whatever the answer; and when the link is well again, every
 * order that was accepted comes to its end. `FULL=1` has every fault on every link.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { Order } from '../../clients/typescript/client.js';
import { freePort } from '../../local/ports.js';
import { type Running, start } from '../../local/program.js';
import { expectRight } from '../support/audit.js';
import { readCharges, readFacts, readSagas } from '../support/books.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Link, type LinkFault, startLink } from '../support/link.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { startSandbox, startTemporal } from '../support/saga.js';
import { serviceProgram } from '../support/service.js';

const FULL = process.env['FULL'] === '1';
const LINKS = [
  'api-postgres',
  'api-temporal',
  'worker-postgres',
  'worker-temporal',
  'worker-gateway',
  'relay-postgres',
  'relay-webhook',
] as const;
type LinkName = (typeof LINKS)[number];
const FAULTS: LinkFault[] = FULL ? ['silent', 'deaf', 'slow', 'reset'] : ['silent'];
const cells = FAULTS.flatMap((fault) => LINKS.map((link) => ({ link, fault })));

const FAULT_MS = 6_000;
const ORDER_EVERY_MS = 300;
/** A statement's limit and a connection's, and a margin for a busy machine. */
const ANSWER_LIMIT_MS = 10_000;
const HEALTH_LIMIT_MS = 3_000;
/**
 * From the healing to everybody at work. The SDK's client of Temporal finds out by its pings that a connection is dead: every
 * 30 s one, which is waited for 15 s.
 */
const healLimitMs = (link: LinkName) => (link.endsWith('temporal') ? 75_000 : 30_000);
const LIMIT_MS = 240_000;

let temporal: TestWorkflowEnvironment;
let t: TestDatabase;
let sandbox: Awaited<ReturnType<typeof startSandbox>>;
let receiver: Receiver;
let folder: string;
let api: string;
const links = new Map<LinkName, Link>();
const running: Running[] = [];
beforeAll(async () => {
  [temporal, t, sandbox, receiver, folder] = await Promise.all([
    startTemporal(),
    createTestDatabase(),
    startSandbox(),
    startReceiver(),
    mkdtemp(join(tmpdir(), 'order-saga-links-')),
  ]);
  await stock(t.db, 'A', 100_000);
  const through = async (name: LinkName, target: string) => {
    const link = await startLink(target);
    links.set(name, link);
    return link.address;
  };
  const url = async (name: LinkName, target: string) => {
    const changed = new URL(target);
    changed.host = await through(name, changed.host);
    return changed.href;
  };
  const port = `${await freePort()}`;
  api = `http://127.0.0.1:${port}`;
  const common = { METRICS_PORT: '0', STRIPE_API_KEY: 'sk_test_links' };
  const log = (role: string) => join(folder, `${role}.log`);
  const program = async (variables: Record<string, string>, isReady: () => Promise<boolean>) =>
    start(serviceProgram({ ...common, ...variables }, log(variables['ROLE'] ?? ''), isReady));
  const says = (role: string, text: string) => async () =>
    (await readFile(log(role), 'utf8').catch(() => '')).includes(text);
  running.push(
    await program(
      {
        ROLE: 'worker',
        DATABASE_URL: await url('worker-postgres', t.url),
        TEMPORAL_ADDRESS: await through('worker-temporal', temporal.address),
        PAYMENTS_URL: await url('worker-gateway', sandbox.url),
      },
      says('worker', 'the worker polls'),
    ),
    await program(
      {
        ROLE: 'relay',
        DATABASE_URL: await url('relay-postgres', t.url),
        TEMPORAL_ADDRESS: temporal.address,
        WEBHOOK_URL: await url('relay-webhook', receiver.url),
        WEBHOOK_SECRET: receiver.secret,
        WEBHOOK_ALLOW_PRIVATE: 'true',
      },
      async () => true,
    ),
    await program(
      {
        ROLE: 'api',
        PORT: port,
        DATABASE_URL: await url('api-postgres', t.url),
        TEMPORAL_ADDRESS: await through('api-temporal', temporal.address),
      },
      async () => (await fetch(`${api}/readyz`).catch(() => undefined))?.ok === true,
    ),
  );
}, LIMIT_MS);
afterAll(async () => {
  for (const process of running) {
    process.kill();
    await process.exited;
  }
  await Promise.all([...links.values()].map((link) => link.stop()));
  await Promise.all([temporal?.teardown(), t?.drop(), sandbox?.stop(), receiver?.stop()]);
  await rm(folder, { recursive: true, force: true });
}, 60_000);

let keys = 0;
type Asked = { key: string; status: number | 'none'; ms: number; id?: string };

async function place(key: string): Promise<Asked> {
  const from = performance.now();
  const answer = await fetch(`${api}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({
      customerId: 'cus_links',
      items: [{ sku: 'A', quantity: 1 }],
      paymentMethod: 'pm_card_visa',
    }),
    signal: AbortSignal.timeout(3 * ANSWER_LIMIT_MS),
  }).catch(() => undefined);
  const ms = performance.now() - from;
  if (answer?.status !== 201) return { key, status: answer?.status ?? 'none', ms };
  return { key, status: 201, ms, id: ((await answer.json()) as Order).id };
}

/** Whoever supervises the process asks, and waits for no more than a moment. */
async function health(): Promise<Record<string, string>> {
  const answers = ['/livez', '/readyz'].map(async (path) => {
    const answer = await fetch(`${api}${path}`, { signal: AbortSignal.timeout(HEALTH_LIMIT_MS) }).catch(
      () => undefined,
    );
    return [path, answer === undefined ? 'late' : 'in time'] as const;
  });
  return Object.fromEntries(await Promise.all(answers));
}

test.each(cells)(
  '$link $fault: clients are answered, and when it is well again every order comes to its end',
  async ({ link: name, fault }) => {
    const link = links.get(name) as Link;
    link.fail(fault);
    const asked: Promise<Asked>[] = [];
    const until = performance.now() + FAULT_MS;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        asked.push(place(`k-${++keys}`));
        if (performance.now() < until) return;
        clearInterval(timer);
        resolve();
      }, ORDER_EVERY_MS);
    });
    expect(await health()).toEqual({ '/livez': 'in time', '/readyz': 'in time' });
    link.heal();
    const first = await Promise.all(asked);
    expect(first.filter(({ ms }) => ms > ANSWER_LIMIT_MS)).toEqual([]);
    expect(first.filter(({ status }) => status !== 201 && status !== 503)).toEqual([]);

    const ids: string[] = [];
    for (const { key, id } of first) {
      ids.push(id ?? (await eventually(`${key} is accepted`, async () => (await place(key)).id, healLimitMs(name))));
    }
    expect(new Set(ids).size).toBe(first.length);
    await eventually(
      'all are confirmed',
      async () => {
        const open = await t.db.order.count({ where: { id: { in: ids }, status: { not: 'CONFIRMED' } } });
        if (open > 0) throw new Error(`${open} of ${ids.length} are not`);
        return true;
      },
      healLimitMs(name),
    );
    await eventually(
      'all their events have arrived',
      () => ids.every((id) => receiver.sequences(id).length === 4),
      30_000,
    );
  },
  LIMIT_MS,
);

test('and all books together are right', async () => {
  const sagas = await eventually('all sagas have ended', async () => {
    const all = await readSagas(temporal.client);
    return all.every(({ status }) => status === 'COMPLETED') && all;
  });
  const facts = await readFacts((sql) => t.db.$queryRawUnsafe(sql));
  expect(facts.orders).toHaveLength(keys);
  expectRight({ ...facts, sagas, charges: await readCharges(sandbox.url) });
});
