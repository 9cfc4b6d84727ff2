/**
 * The primary dies under load, and its standby is promoted. One that was synchronous has every order that a caller was told of, and all
 * of them come to their ends. One that lagged lacks its tail: what the gateway holds of it is found, order by order.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Order } from '../../clients/typescript/client.js';
import { ensureDatabase } from '../../local/postgres/server.js';
import { freePort } from '../../local/processes/ports.js';
import { type Running, start } from '../../local/processes/program.js';
import { migrate } from '../../local/setup/migrate.js';
import { openDatabase, type DatabaseClient } from '../../runtime/database.js';
import { type Link, startLink } from '../../testbed/link.js';
import { type Cluster, newCluster } from '../../testbed/postgres/cluster.js';
import { type Standby, startStandby } from '../../testbed/postgres/standby.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { expectRight } from '../support/invariants.js';
import { readCharges, readFacts, readSagas } from '../support/ledgers.js';
import { isServing, kill, orderOne, type Surroundings, startSurroundings } from '../support/surroundings.js';

const CLIENTS = 6;
const BEFORE = 25;
const LIMIT_MS = 180_000;
const DRAIN_LIMIT_MS = 60_000;

let around: Surroundings;
let folder: string;
let primary: Cluster;
let running: Running;
/** Where the processes, and this test, reach whichever is the primary. */
let link: Link;
/** Over which the second standby follows. */
let replication: Link;
let url: string;
let db: DatabaseClient;
let api: string;
const standbys: Standby[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'order-saga-failover-'));
  around = await startSurroundings();
  primary = await newCluster(join(folder, 'primary.log'));
  running = await start(await primary.program());
  link = await startLink(`127.0.0.1:${primary.port}`);
  const direct = await ensureDatabase(primary.admin, 'order_saga', 'failover');
  await migrate(direct);
  standbys.push(await startStandby(primary, { logFile: join(folder, 'standby.log'), isSynchronous: true }));
  const through = new URL(direct);
  through.host = link.address;
  url = through.href;
  db = openDatabase(url, 5);
  await stock(db, 'A', 100_000);
  const port = await freePort();
  api = `http://127.0.0.1:${port}`;
  await around.start(
    {
      ...{ ROLE: 'all', PORT: `${port}`, DATABASE_URL: url, TEMPORAL_ADDRESS: around.temporal.address },
      ...{ PAYMENTS_URL: around.sandbox.url, RECONCILE_EVERY: '1s' },
    },
    () => isServing(api),
  );
}, LIMIT_MS);
afterAll(async () => {
  await db?.$disconnect();
  await around?.stop();
  for (const standby of standbys) {
    standby.running.kill();
    await standby.running.exited;
    standby.remove();
  }
  if (running) await kill(running);
  primary?.remove();
  await Promise.all([link?.stop(), replication?.stop()]);
  await rm(folder, { recursive: true, force: true });
}, 60_000);

let keys = 0;
/** Clients that order without a pause and repeat what was not answered, until `ends`. @returns ids of which one of them was told */
function load(ends: () => boolean) {
  const told = new Set<string>();
  const client = async () => {
    while (!ends()) {
      const key = `failover-${++keys}`;
      for (let tries = 0; tries < 400; tries++) {
        const answer = await orderOne(api, key, `cus_${key}`, 10_000).catch(() => undefined);
        if (answer?.status === 201) {
          told.add(((await answer.json()) as Order).id);
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };
  return { told, over: Promise.all(Array.from({ length: CLIENTS }, client)) };
}

const known = async (ids: Iterable<string>): Promise<Set<string>> => {
  const rows = await db.$queryRaw<{ id: string }[]>`SELECT id::text FROM orders WHERE id = ANY(${[...ids]}::uuid[])`;
  return new Set(rows.map(({ id }) => id));
};

/** The one that is the primary is gone at once, and its standby takes its place. @returns ms from the kill to the promotion's end */
async function failOver(dying: Running, to: Standby): Promise<number> {
  const from = performance.now();
  await kill(dying);
  await to.promote();
  link.lead(`127.0.0.1:${to.port}`);
  return performance.now() - from;
}

const drained = () =>
  eventually(
    'every order has come to its end',
    async () => {
      const [row] = await db.$queryRaw<
        { open: bigint }[]
      >`SELECT count(*) AS open FROM orders WHERE status = 'PENDING'`;
      return row?.open === 0n;
    },
    DRAIN_LIMIT_MS,
  );

test(
  'a synchronous standby that is promoted under load lacks no order that was acknowledged, and all end right',
  async () => {
    const [standby] = standbys as [Standby];
    let isOver = false;
    const { told, over } = load(() => isOver);
    await eventually('orders come in', () => told.size >= BEFORE, 60_000);
    const before = [...told];
    await failOver(running, standby);
    const after = told.size;
    await eventually('orders come in again', () => told.size >= after + BEFORE, 60_000);
    isOver = true;
    await over;
    expect(before.length).toBeGreaterThanOrEqual(BEFORE);
    expect((await known(told)).size).toBe(told.size);
    await drained();
    const sagas = await eventually('all sagas have ended', async () => {
      const all = await readSagas(around.temporal.client);
      return all.every(({ status }) => status === 'COMPLETED') && all;
    });
    const facts = await readFacts((sql) => db.$queryRawUnsafe(sql));
    expectRight({ ...facts, sagas, charges: await readCharges(around.sandbox.url) });
  },
  LIMIT_MS,
);

test(
  'of an asynchronous standby that lagged, each charge whose order is lost is found in the gateway’s ledger, and no other',
  async () => {
    const [now] = standbys as [Standby];
    replication = await startLink(`127.0.0.1:${now.port}`);
    const next = await startStandby(now, {
      ...{ logFile: join(folder, 'second.log'), isSynchronous: false, through: replication.address },
    });
    standbys.push(next);
    let isOver = false;
    const { told, over } = load(() => isOver);
    await eventually('orders come in', () => told.size >= 5, 60_000);
    replication.fail('silent');
    const had = told.size;
    await eventually('orders come in that the standby hears nothing of', () => told.size >= had + BEFORE, 60_000);
    isOver = true;
    await over;
    await drained();
    await failOver(now.running, next);
    const kept = await eventually('the promoted one answers', () => known(told), 30_000);
    const lost = [...told].filter((id) => !kept.has(id));
    expect(lost.length).toBeGreaterThanOrEqual(BEFORE);
    const charged = (await readCharges(around.sandbox.url))
      .filter(({ holds }) => holds > 0)
      .map(({ orderId }) => orderId);
    const orphans = lost.filter((id) => charged.includes(id));
    expect(orphans.length).toBe(lost.length); // all were confirmed
    await eventually(
      'the reconciler has found each of them',
      async () => {
        const found = await db.$queryRaw<{ id: string }[]>`
        SELECT order_id::text AS id FROM reconciliation_findings WHERE kind = 'ORPHAN_CHARGE' AND action = 'reported'`;
        return found.length === orphans.length && found.every(({ id }) => orphans.includes(id));
      },
      60_000,
    );
  },
  LIMIT_MS,
);
