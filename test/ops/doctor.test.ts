/** `ops doctor` on a service that is whole, and on ones in which a part is missing: a table, an exit code, and nothing left behind. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { holdAccount } from '../../domain/installation.js';
import { checkPostgres } from '../../ops/doctor/postgres.js';
import { startRelay } from '../../relay/relay.js';
import { openDatabase } from '../../runtime/database.js';
import { AWAY, SILENT } from '../support/api.js';
import { changesOf } from '../support/changes.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, createTestDatabase, eventTypes, stock, ordersOf } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { webhookTo } from '../support/relay.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

let s: SagaStack;
let receiver: Receiver;
let stopRelay: () => Promise<void>;
let ops: Cli;
const start = () => {
  const changes = changesOf({ url: s.databaseUrl });
  const relay = startRelay({
    db: s.db,
    changes,
    temporal: { ...AWAY, client: () => s.client },
    publishers: [webhookTo(receiver)],
    inHand: new Set(),
    policy: PATIENT,
    deliveryBackoffMaxMs: 500,
    destinationsBegin: 'oldest',
    outboxRetentionMs: 86_400_000,
    erasuresLateAfterMs: 23 * 86_400_000,
    logger: SILENT,
  });
  return async () => {
    await relay.stop();
    await changes.stop();
  };
};

beforeAll(async () => {
  s = await startSagaStack();
  receiver = await startReceiver();
  ops = cliOf(s, { PAYMENTS_URL: s.sandboxUrl, STRIPE_API_KEY: 'sk_test_saga' });
  await stock(s.db, 'A', 10);
  stopRelay = start();
});
afterAll(async () => {
  await stopRelay();
  await receiver.stop();
  await s.stop();
});

type Check = { name: string; status: string; detail: string };
const statusesOf = ({ checks }: { checks: Check[] }) =>
  Object.fromEntries(checks.map(({ name, status }) => [name, status]));
const probeOrders = () => ordersOf(s.db, 'ops-doctor');

test('a whole service is well, and its probe has gone through the chain and left nothing', async () => {
  const { code, document } = await ops.json('doctor');
  // The servers of tests do without fsync, and are told so.
  const failed = document.checks.filter(({ status }: Check) => status === 'fail').map(({ name }: Check) => name);
  expect(failed.filter((name: string) => name !== 'database settings')).toEqual([]);
  expect([code, document.well]).toEqual(failed.length === 0 ? [0, true] : [1, false]);
  expect(statusesOf(document)).toMatchObject({
    database: 'ok',
    'database settings': expect.any(String),
    'clock of the database': 'ok',
    'clock of the gateway': 'ok',
    temporal: expect.any(String),
    'search attributes': 'ok',
    workers: 'ok',
    sagas: 'ok',
    gateway: 'ok',
    outbox: 'ok',
    destinations: 'ok',
    'probe order': 'ok',
    'probe saga': 'ok',
    'probe leaves nothing': 'ok',
    'probe delivery': 'ok',
    alarms: 'skipped',
    api: 'skipped',
  });
  const [probe] = await probeOrders();
  expect(probe).toMatchObject({ status: 'CANCELLED', cancellation: { reason: 'OPERATOR' } });
  const id = probe?.id ?? '';
  expect(await eventTypes(s.db, id)).toEqual(['order.created', 'order.cancelled']);
  expect(await s.money(id)).toEqual({ net: 0, charges: 0 });
  expect(receiver.sequences(id)).toEqual([1, 2]);
  await assertStockConserved(s.db);
  const act = await s.db.auditAct.findFirst({ where: { route: 'ops doctor' } });
  expect(act).toMatchObject({ subject: 'op-test', resource: id, before: null });

  const { code: again, stdout } = await ops('doctor', '--no-probe');
  expect(again).toBe(code);
  expect(stdout).toMatch(/^ok +database +Postgres/m);
  expect(stdout).toMatch(/^skipped +probe order +--no-probe/m);
  expect(stdout).toMatch(/\n\d+ ok, .*\d+ skipped\n$/);
}, 90_000);

test('without workers it says so, and its probe holds nothing while it waits for one', async () => {
  await s.dismiss();
  const { code, document } = await ops.json('doctor', '--operator', 'op-8');
  expect(code).toBe(1);
  expect(statusesOf(document)).toMatchObject({ 'probe order': 'ok', 'probe saga': 'fail' });
  const [probe] = await probeOrders();
  const said = document.checks.find(({ name }: Check) => name === 'probe saga').detail;
  expect(said).toMatch(new RegExp(`waits for a worker, and no worker takes it: ops order ${probe?.id}`));
  expect(await s.db.reservation.count({ where: { orderId: probe?.id ?? '' } })).toBe(0);
  await s.engage();
}, 90_000);

test('each part that is missing is named, and the others are looked at all the same', async () => {
  await holdAccount(s.db, 'restored');
  await s.fault({ route: 'all', mode: 'down', count: null });
  const { code, document } = await ops.json('doctor', '--api', 'http://127.0.0.1:1');
  expect(code).toBe(1);
  expect(document.checks.find(({ name }: Check) => name === 'probe order')).toMatchObject({
    status: 'skipped',
    detail: expect.stringMatching(/^follows from: gateway, account at the gateway;/),
  });
  expect(statusesOf(document)).toMatchObject({
    'account at the gateway': 'fail',
    gateway: 'fail',
    api: 'fail',
    database: 'ok',
    temporal: expect.stringMatching(/ok|warn/),
  });
  await s.heal();
  await s.db.installation.updateMany({ data: { heldSince: null, heldBecause: null } });
  const away = await cliOf(s, { TEMPORAL_ADDRESS: '127.0.0.1:1' }).json('doctor');
  expect(away.code).toBe(69);
  expect(statusesOf(away.document)).toMatchObject({ temporal: 'fail', database: 'ok', 'probe order': 'skipped' });
}, 90_000);

test('a destination that no relay serves any more is named', async () => {
  await stopRelay();
  await eventually('it is seen', async () => {
    const { code, document } = await ops.json('doctor', '--no-probe');
    return code === 1 && statusesOf(document)['destinations'] === 'fail';
  });
  stopRelay = start();
}, 60_000);

test('a database that takes no changes fails at that, and nothing is tried on it', async () => {
  const { db, url, drop } = await createTestDatabase();
  try {
    const name = new URL(url).pathname.slice(1);
    await stock(db, 'A', 1);
    await db.$executeRawUnsafe(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    const { code, document } = await cliOf({ ...s, databaseUrl: url }).json('doctor');
    expect(code).toBe(1);
    expect(statusesOf(document)).toMatchObject({ database: 'fail', 'probe order': 'fail' });
    const probe = document.checks.find(({ name }: Check) => name === 'probe order');
    expect(probe.detail).toMatch(/^follows from: database, mend that first/);
  } finally {
    await drop();
  }
}, 60_000);

test('connections are counted whoever has them, also as a role that may not see their sessions', async () => {
  const role = `sees_little_${process.pid}`;
  await s.db.$executeRawUnsafe(`CREATE ROLE ${role} LOGIN PASSWORD 'none'`);
  const admin = openDatabase(s.databaseUrl, 12);
  const url = new URL(s.databaseUrl);
  [url.username, url.password] = [role, 'none'];
  const db = openDatabase(url.href, 1);
  try {
    await Promise.all(Array.from({ length: 12 }, () => admin.$queryRaw`SELECT 1 AS one FROM pg_sleep(0.3)`));
    const connections = (await checkPostgres(db, 'off')).find(({ name }) => name === 'database connections');
    expect(Number.parseInt(connections?.detail ?? '', 10)).toBeGreaterThanOrEqual(12);
  } finally {
    await Promise.all([db.$disconnect(), admin.$disconnect()]);
    await s.db.$executeRawUnsafe(`DROP ROLE ${role}`);
  }
}, 60_000);

test('alarms are those that Prometheus says fire; none that is loaded is a fault', async () => {
  const answers: Record<string, unknown> = {
    alerts: {
      alerts: [
        { labels: { alertname: 'DestinationBehind' }, state: 'firing' },
        { labels: { alertname: 'Watchdog' }, state: 'firing' },
      ],
    },
    rules: { groups: [{ rules: [{ type: 'alerting', name: 'DestinationBehind', health: 'ok' }] }] },
  };
  const prometheus = createServer(({ url = '' }, response) => {
    response.end(JSON.stringify({ status: 'success', data: answers[url.split('/').at(-1)?.split('?')[0] ?? ''] }));
  });
  await new Promise<void>((resolve) => prometheus.listen(0, '127.0.0.1', resolve));
  const PROMETHEUS_URL = `http://127.0.0.1:${(prometheus.address() as AddressInfo).port}`;
  const alarms = async () => {
    const { document } = await cliOf(s, { PROMETHEUS_URL }).json('doctor', '--no-probe');
    return document.checks.find(({ name }: Check) => name === 'alarms');
  };
  try {
    expect(await alarms()).toMatchObject({ status: 'warn', detail: 'firing: DestinationBehind' });
    answers['alerts'] = { alerts: [] };
    expect(await alarms()).toMatchObject({ status: 'ok', detail: '1 rules, none fires' });
    answers['rules'] = { groups: [] };
    expect(await alarms()).toMatchObject({ status: 'fail' });
  } finally {
    prometheus.close();
  }
}, 60_000);
