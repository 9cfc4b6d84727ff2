import { connect } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import type { Order } from '../../contracts/orders.js';
import { openDatabase } from '../../runtime/database.js';
import { closedPort, expectProblem, lostTemporal, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { required, stock } from '../support/database.js';

const running = new Set<() => Promise<unknown>>();
const start = async (settings: Parameters<typeof startTestApi>[0] = {}) => {
  const api = await startTestApi(settings);
  running.add(api.stop);
  return api;
};
const stop = (api: TestApi) => {
  running.delete(api.stop);
  return api.stop();
};
afterEach(async () => {
  await Promise.all([...running].map((each) => each()));
  running.clear();
});

async function nowhere(): Promise<string> {
  return `postgresql://postgres@127.0.0.1:${await closedPort()}/postgres`;
}

/** Refuses connections to this database, and ends those there are, until it is called with true. */
async function open(databaseUrl: string, isOpen: boolean): Promise<void> {
  const name = new URL(databaseUrl).pathname.slice(1);
  const admin = new pg.Client({ connectionString: required('TEST_DATABASE_ADMIN_URL') });
  await admin.connect();
  await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS ${isOpen}`);
  if (!isOpen) await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
  await admin.end();
}

/** As a primary does that has become a standby: for new sessions, and the old ones end. */
async function setReadOnly(databaseUrl: string, isReadOnly: boolean): Promise<void> {
  const name = new URL(databaseUrl).pathname.slice(1);
  const admin = new pg.Client({ connectionString: required('TEST_DATABASE_ADMIN_URL') });
  await admin.connect();
  await admin.query(`ALTER DATABASE ${name} SET default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`);
  await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
  await admin.end();
}

/** Takes seconds of waiting, which the other tests may use. */
let stoppedUnderSlowClient: Promise<number>;
beforeAll(async () => {
  const api = await startTestApi();
  const slow = connect(api.port, '127.0.0.1');
  slow.on('error', () => undefined);
  slow.write(
    'POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"cus',
  );
  await api.get('/livez');
  const began = performance.now();
  stoppedUnderSlowClient = api.stop().then(() => performance.now() - began);
});

describe('a process', () => {
  test('that has not reached Temporal, or has lost it, is ready: it takes orders; and it names no neighbour', async () => {
    const never = await start();
    expect(await never.get('/readyz')).toMatchObject({ status: 200, body: { ready: true } });
    const temporal = await lostTemporal();
    const lost = await start({ temporal });
    const answer = await lost.get('/readyz');
    expect([answer.status, answer.body]).toEqual([200, { ready: true }]);
    await stop(lost);
    await temporal.close();
  });

  test('whose database takes no changes is not ready, and ready as soon as it does again', async () => {
    const api = await start();
    await setReadOnly(api.databaseUrl, true);
    await eventually('it is not ready', async () => (await api.get('/readyz')).status === 503);
    expect((await api.get('/readyz')).body).toEqual({ ready: false });
    await setReadOnly(api.databaseUrl, false);
    await eventually('it is ready', async () => (await api.get('/readyz')).status === 200);
  });
});

describe('without its database', () => {
  test('a process lives, is not ready, answers 503 as a problem, and can be stopped', async () => {
    const databaseUrl = await nowhere();
    const db = openDatabase(databaseUrl, 2);
    const api = await start({ db, databaseUrl });
    expect(await api.get('/livez')).toMatchObject({ status: 200, body: { alive: true } });
    expect(await api.get('/readyz')).toMatchObject({ status: 503, body: { ready: false } });
    const order = '/orders/01999999-9999-7999-8999-999999999999';
    for (const path of [
      '/orders',
      order,
      `${order}/saga`,
      `${order}/events`,
      '/events',
      '/inventory',
      '/inventory/KEYBOARD',
    ]) {
      const answer = await api.get(path);
      expectProblem(answer, 503, 'unavailable');
      expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
    }
    expectProblem(await api.get('/events', { accept: 'text/event-stream' }), 503, 'unavailable');
    for (const headers of [{}, { 'idempotency-key': 'k' }])
      expectProblem(await api.place({}, headers), 503, 'unavailable');
    await stop(api);
    await db.$disconnect();
  });

  test('nothing is accepted; with it, everything works again without a restart', async () => {
    const api = await start();
    await stock(api.db, 'KEYBOARD', 10);
    const stream = await api.stream('/events');
    await open(api.databaseUrl, false);
    expectProblem(await api.place({ externalOrderId: 'once' }, { 'idempotency-key': 'once' }), 503, 'unavailable');
    await eventually('it is not ready', async () => (await api.get('/readyz')).status === 503);
    await open(api.databaseUrl, true);
    const placed = await eventually('orders are accepted', async () => {
      const answer = await api.place({ externalOrderId: 'once' }, { 'idempotency-key': 'once' });
      return answer.status === 201 && answer;
    });
    expect(placed.headers.get('idempotent-replayed')).toBeNull();
    const resumed = stream.ended() ? await api.stream('/events') : stream;
    await eventually('the stream tells of it', () =>
      resumed.events.some(({ data }) => data.subject === placed.body.id),
    );
  });

  test('that hangs, requests are refused when their time is up', async () => {
    const api = await start();
    const client = new pg.Client({ connectionString: api.databaseUrl });
    await client.connect();
    await client.query('BEGIN; LOCK TABLE orders, inventory');
    const answers = await Promise.all([api.place(), api.get('/orders'), api.get('/inventory/KEYBOARD')]);
    for (const answer of answers) expectProblem(answer, 503, 'unavailable');
    await client.query('ROLLBACK');
    await client.end();
    expect((await api.get('/orders')).status).toBe(200);
  });

  test('an order that was accepted is answered as accepted, although its final status cannot be waited for', async () => {
    const api = await start();
    await stock(api.db, 'KEYBOARD', 10);
    const answer = api.place({}, { prefer: 'wait=5' });
    await eventually('it is accepted', () => api.db.order.findFirst());
    await open(api.databaseUrl, false);
    const { status, body } = await answer;
    expect([status, body.status]).toEqual([201, 'PENDING']);
    await open(api.databaseUrl, true);
    await eventually('it is there', async () => (await api.get<Order>(`/orders/${body.id}`)).status === 200);
  });

  test('a client that disconnects amid its body is not logged as a failure', async () => {
    const failures: string[] = [];
    const logger = pino({ level: 'error' }, { write: (line: string) => void failures.push(line) });
    const api = await start({ logger });
    for (let i = 0; i < 3; i++) await disconnectAmid(api);
    expect((await api.get('/livez')).status).toBe(200);
    expect(failures).toEqual([]);
  });
});

/** Announces a body, and disconnects. */
async function disconnectAmid({ port }: TestApi): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await new Promise<void>((resolve) =>
    socket.write(
      'POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"cus',
      () => resolve(),
    ),
  );
  socket.resetAndDestroy();
  await new Promise((resolve) => socket.once('close', resolve));
}

describe('a server that is stopped', () => {
  test('does not wait for connections on which nothing is asked', async () => {
    const api = await start();
    const silent = connect(api.port, '127.0.0.1');
    await new Promise((resolve) => silent.once('connect', resolve));
    await api.get('/livez'); // fetch keeps its connection for the next time
    const began = Date.now();
    await stop(api);
    expect(Date.now() - began).toBeLessThan(3_000);
    silent.destroy();
  });

  test('does not wait for ever for a client that does not finish its request', async () => {
    expect(await stoppedUnderSlowClient).toBeLessThan(10_000);
  });
});
