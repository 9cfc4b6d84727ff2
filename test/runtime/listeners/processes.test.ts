/** What a process says of its listeners at its start, and of its health while strangers hold every connection of its API. */
import { spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { afterAll, expect, test } from '@jest/globals';
import { freePort } from '../../../local/processes/ports.js';
import { createHealth } from '../../../runtime/health.js';
import { startMetrics } from '../../../runtime/metrics.js';
import { SILENT, startTestApi } from '../../support/api.js';
import { eventually } from '../../support/conditions.js';
import { stock } from '../../support/database.js';

const stops: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

test('with every connection of the API taken, also by requests in work, health and metrics are answered all the same', async () => {
  const CONNECTIONS_MAX = 20;
  const api = await startTestApi({ connectionsMax: CONNECTIONS_MAX });
  await stock(api.db, 'KEYBOARD', 10);
  const port = await freePort();
  const health = createHealth(['api']);
  health.add('api', async () => ({ ready: true, database: 'up' }));
  stops.push(
    api.stop,
    startMetrics({ host: '127.0.0.1', port, role: 'api', health, connectionsMax: 10, trusted: {}, logger: SILENT }),
  );
  const hold = (to: number, begin: string) =>
    new Promise<Socket>((resolve) => {
      const socket = connect(to, '127.0.0.1', () => socket.write(begin, () => resolve(socket)));
      socket.on('error', () => undefined);
      stops.push(async () => socket.destroy());
    });
  const streams = 'GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n';
  for (let i = 0; i < CONNECTIONS_MAX; i++) await hold(api.port, i % 3 === 0 ? streams : i % 3 === 1 ? 'GET /' : ' ');
  // The metrics port is held as well.
  for (let i = 0; i < 20; i++) await hold(port, 'GET /');
  for (const path of ['/livez', '/readyz', '/metrics'])
    expect([path, (await fetch(`http://127.0.0.1:${port}${path}`)).status]).toEqual([path, 200]);
  expect(await (await fetch(`http://127.0.0.1:${port}/readyz`)).json()).toEqual({
    ready: true,
    roles: { api: { ready: true, database: 'up' } },
  });
  expect((await api.place()).status).toBe(201);
  const metrics = () => fetch(`http://127.0.0.1:${port}/metrics`).then((answer) => answer.text());
  const closed = 'order_saga_connections_closed_total{listener="api",reason="idle",role="api"}';
  await eventually('it is counted', async () => (await metrics()).includes(closed));
});

test('localhost is both of its addresses', async () => {
  const api = await startTestApi({ host: 'localhost' });
  stops.push(api.stop);
  expect((await fetch(`http://127.0.0.1:${api.port}/livez`)).status).toBe(200);
  const hasIpv6 = await new Promise<boolean>((resolve) => {
    const probe = connect({ port: api.port, host: '::1' });
    probe.once('connect', () => resolve(true)).once('error', () => resolve(false));
    stops.push(async () => probe.destroy());
  });
  if (hasIpv6) expect((await fetch(`http://[::1]:${api.port}/livez`)).status).toBe(200);
});

const refusal = (env: Record<string, string>) =>
  spawnSync(process.execPath, ['dist/service/main.js'], {
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing',
      LOG_LEVEL: 'silent',
      ...env,
    },
    encoding: 'utf8',
    timeout: 60_000,
  });

test.each(['all', 'api'])('believing a proxy without authenticating its clients is refused: ROLE=%s', (ROLE) => {
  const { status, stderr } = refusal({ ROLE, TRUST_PROXY: '127.0.0.1' });
  expect({ status, stderr }).toEqual({
    status: 78,
    stderr: expect.stringMatching(/^TRUST_PROXY is set, but AUTH_ISSUER is not: /),
  });
});

test.each([
  ['AUTH_AUDIENCE', 'order-saga'],
  ['AUTH_JWKS_URL', 'https://id.example/keys'],
  ['AUTH_REQUIRE_AT_JWT', 'true'],
])('%s without AUTH_ISSUER is refused: nobody would be asked for a token', (name, value) => {
  const { status, stderr } = refusal({ [name]: value });
  expect({ status, stderr }).toEqual({
    status: 78,
    stderr: expect.stringMatching(`^AUTH_ISSUER is not set, but ${name} is`),
  });
});

test('a name in ALLOWED_HOSTS that is none is refused by its variable', () => {
  const { status, stderr } = refusal({ ALLOWED_HOSTS: 'worker:9464' });
  expect({ status, stderr }).toEqual({ status: 78, stderr: expect.stringMatching(/^ALLOWED_HOSTS is wrong: /) });
});
