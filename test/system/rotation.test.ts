/**
 * Secrets are changed while orders are placed: the database's password, the gateway's key, both webhook secrets, each by its
 * file, none with a restart. No request fails, no charge is refused, no event is lost.
 */
import { createHmac, randomUUID } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as ask, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { freePort } from '../../local/processes/ports.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { eventually } from '../support/conditions.js';
import { required, stock } from '../support/database.js';
import { isServing, type Surroundings, startSurroundings } from '../support/surroundings.js';

const LIMIT_MS = 120_000;
/** Requests at a time, each of which waits for its order's end. */
const CROWD = 4;
const FULL = process.env['FULL'] === '1';
/** Of the gateway's webhooks: some between any two acts. */
const SEND_EVERY_MS = 20;
/** Orders that are to end between two acts, so that each act meets some. */
const ORDERS_BETWEEN = FULL ? 300 : 10;

const folder = mkdtempSync(join(tmpdir(), 'rotation-'));
const role = `app_${randomUUID().replaceAll('-', '')}`;
let around: Surroundings;
let admin: pg.Client;
let api: string;
let gateway: Gateway;

const file = (name: string): string => join(folder, name);
/** Another file takes its place, as whoever hands out secrets does it. */
function put(name: string, content: string): void {
  writeFileSync(`${file(name)}.new`, `${content}\n`, { mode: 0o600 });
  renameSync(`${file(name)}.new`, file(name));
}
const urlWith = (password: string): string =>
  Object.assign(new URL(around.database.url), { username: role, password }).href;
const setPassword = (password: string) => admin.query(`ALTER ROLE ${role} PASSWORD '${password}'`);
const whsec = (text: string) => `whsec_${Buffer.from(text.padEnd(32, '.')).toString('base64')}`;

beforeAll(async () => {
  around = await startSurroundings();
  await stock(around.database.db, 'A', 100_000);
  const { pathname } = new URL(around.database.url);
  admin = new pg.Client(sessionConfig(Object.assign(new URL(required('TEST_DATABASE_ADMIN_URL')), { pathname }).href));
  await admin.connect();
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'first'`);
  await admin.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role}`);
  await admin.query(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${role}`);
  gateway = await startGateway(around.sandbox.url, 'sk_test_first');
  put('database-url', urlWith('first'));
  put('gateway-key', 'sk_test_first');
  put('gateway-webhook', 'whsec_first');
  put('webhook', around.receiver.secret);
  const port = await freePort();
  api = `http://127.0.0.1:${port}`;
  await around.start(
    {
      ROLE: 'all',
      PORT: `${port}`,
      TEMPORAL_ADDRESS: around.temporal.address,
      PAYMENTS_URL: gateway.url,
      STRIPE_API_KEY: '',
      DATABASE_URL_FILE: file('database-url'),
      STRIPE_API_KEY_FILE: file('gateway-key'),
      STRIPE_WEBHOOK_SECRET_FILE: file('gateway-webhook'),
      ...around.webhook(),
      WEBHOOK_SECRET: '',
      WEBHOOK_SECRET_FILE: file('webhook'),
    },
    () => isServing(api),
  );
}, LIMIT_MS);
afterAll(async () => {
  await admin?.end();
  await around?.stop();
  await gateway?.stop();
  const last = new pg.Client(sessionConfig(required('TEST_DATABASE_ADMIN_URL')));
  await last.connect();
  await last.query(`DROP ROLE IF EXISTS ${role}`); // its rights have gone with the database
  await last.end();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** The gateway's door: takes these keys and passes on. */
type Gateway = { url: string; taken: Set<string>; seen: Map<string, number>; refused: number; stop(): Promise<void> };

async function startGateway(sandbox: string, key: string): Promise<Gateway> {
  const server: Server = createServer((request, response) => {
    const [, given = ''] = (request.headers.authorization ?? '').split(' ');
    if (!door.taken.has(given)) {
      door.refused++;
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { type: 'invalid_request_error', message: 'Invalid API Key provided' } }));
      return;
    }
    door.seen.set(given, (door.seen.get(given) ?? 0) + 1);
    const on = ask(`${sandbox}${request.url}`, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    on.on('error', () => response.destroy());
    request.pipe(on);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const door: Gateway = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken: new Set([key]),
    seen: new Map(),
    refused: 0,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return door;
}

/** Orders without a pause, until it is stopped; and what came of each. */
function startLoad() {
  const ends: string[] = [];
  let stopped = false;
  const loop = async () => {
    while (!stopped) ends.push(await placeOne());
  };
  const loops = Array.from({ length: CROWD }, loop);
  return {
    ends,
    more: async (count = ORDERS_BETWEEN) => {
      const wanted = ends.length + count;
      await eventually(`${count} more orders have ended`, () => ends.length >= wanted, 60_000);
    },
    stop: async () => {
      stopped = true;
      await Promise.all(loops);
    },
  };
}

async function placeOne(): Promise<string> {
  const body = { customerId: 'cus_1', items: [{ sku: 'A', quantity: 1 }], paymentMethod: 'pm_card_visa' };
  const headers = { 'content-type': 'application/json', prefer: 'wait=20' };
  const response = await fetch(`${api}/orders`, { method: 'POST', headers, body: JSON.stringify(body) });
  const order = (await response.json()) as { status: string };
  return response.status === 201 ? order.status : `${response.status}`;
}

const isRightFor = (orders: string[]) => expect([...new Set(orders)]).toEqual(['CONFIRMED']);
/** As if all had been idle for long: sessions begin anew. Nobody waits for an answer, and the process has noticed before any does. */
async function endSessions(): Promise<void> {
  const { rows } = await admin.query('SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [
    role,
  ]);
  const pids = rows.map(({ pid }) => pid as number);
  await eventually('they have ended', async () => {
    const { rowCount } = await admin.query('SELECT FROM pg_stat_activity WHERE pid = ANY ($1)', [pids]);
    return rowCount === 0;
  });
  await eventually('the API serves', () => isServing(api));
}
let placed = 0;
async function underLoad(acts: (load: ReturnType<typeof startLoad>) => Promise<void>): Promise<void> {
  const load = startLoad();
  await load.more();
  await acts(load);
  await load.more();
  await load.stop();
  placed += load.ends.length;
  isRightFor(load.ends);
}

test(
  'the database’s password: the file, then the role; no request fails, before, in between and afterwards',
  async () => {
    await underLoad(async () => put('database-url', urlWith('second')));
    await endSessions(); // the role still has the first one
    await underLoad(async (load) => {
      await load.more();
      await setPassword('second');
    });
    await endSessions();
    await underLoad(async () => undefined);
    const { rows } = await admin.query('SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = $1', [role]);
    expect(rows[0].n).toBeGreaterThan(2);
  },
  LIMIT_MS,
);

test(
  'the gateway’s key: both are taken for a while; from the change on the new one is used, and none is refused',
  async () => {
    await underLoad(async (load) => {
      gateway.taken.add('sk_test_second');
      put('gateway-key', 'sk_test_second');
      await eventually('the new one is used', () => (gateway.seen.get('sk_test_second') ?? 0) > 0);
      await load.more(CROWD); // whatever was under way with the old one has been answered
      gateway.taken.delete('sk_test_first');
    });
    expect(gateway.refused).toBe(0);
  },
  LIMIT_MS,
);

test(
  'the secret of the gateway’s webhooks: two are taken while it changes sides, then the new one alone',
  async () => {
    let secret = 'whsec_first';
    const answers: number[] = [];
    const send = async (signedWith = secret) => {
      const body = JSON.stringify({ object: 'event', id: `evt_${randomUUID()}`, type: 'balance.available', data: {} });
      const t = Math.floor(Date.now() / 1_000);
      const v1 = createHmac('sha256', signedWith).update(`${t}.${body}`).digest('hex');
      const headers = { 'content-type': 'application/json', 'stripe-signature': `t=${t},v1=${v1}` };
      return (await fetch(`${api}/webhooks/payments`, { method: 'POST', headers, body })).status;
    };
    await underLoad(async (load) => {
      let stopped = false;
      const sending = (async () => {
        while (!stopped) {
          answers.push(await send());
          await pause(SEND_EVERY_MS);
        }
      })();
      await load.more();
      put('gateway-webhook', 'whsec_second whsec_first');
      await load.more();
      secret = 'whsec_second';
      await load.more();
      put('gateway-webhook', 'whsec_second');
      await load.more();
      stopped = true;
      await sending;
    });
    expect([...new Set(answers)]).toEqual([200]);
    expect(answers.length).toBeGreaterThan(20);
    expect(await send('whsec_first')).toBe(400);
  },
  LIMIT_MS,
);

test(
  'the secret of our own webhooks: both sign while the receiver changes, and every event arrives',
  async () => {
    const { receiver } = around;
    const [first, second] = [receiver.secret, whsec('second')];
    await underLoad(async (load) => {
      put('webhook', `${second} ${first}`);
      await load.more();
      receiver.secret = second;
      await load.more();
      put('webhook', second);
    });
    await eventually('all events have arrived', () => {
      const orders = new Set(receiver.received.map(({ subject }) => subject));
      return orders.size === placed && [...orders].every((id) => `${receiver.sequences(id)}` === '1,2,3,4');
    });
    expect(receiver.rejected).toBe(0);
  },
  LIMIT_MS,
);

test(
  'money, stock and events are right, and the log tells of each change and shows no secret',
  async () => {
    await around.expectRight(placed);
    const lines = await around.logged();
    const changed = lines.filter(({ msg }) => `${msg}`.startsWith('a secret has changed: the new one'));
    expect(new Set(changed.map(({ variable }) => variable))).toEqual(
      new Set(['DATABASE_URL_FILE', 'STRIPE_API_KEY_FILE', 'STRIPE_WEBHOOK_SECRET_FILE', 'WEBHOOK_SECRET_FILE']),
    );
    expect(JSON.stringify(lines)).not.toMatch(/sk_test_|whsec_|:first@|:second@/);
    process.stderr.write(`Secrets changed under load: ${placed} orders, none failed.\n`);
  },
  LIMIT_MS,
);
