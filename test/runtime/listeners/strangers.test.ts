/** Where nobody is authenticated, no page of another site, no name that is made to point here and no proxy gets a word in. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { openKeys } from '../../../issuer/keys.js';
import { createIssuer } from '../../../issuer/server.js';
import { freePort } from '../../../local/processes/ports.js';
import { createHealth } from '../../../runtime/health.js';
import { LISTENERS, type Listener } from '../../../runtime/listeners/refusals.js';
import { startMetrics } from '../../../runtime/metrics.js';
import { createSandbox } from '../../../sandbox/server.js';
import { type Answer, raw, SILENT, startTestApi, type TestApi } from '../../support/api.js';
import { createTestDatabase, stock } from '../../support/database.js';
import { cleanUp, newDataDir } from '../../sandbox/support.js';

const ALLOWED = 'orders.internal';
const FRIEND = 'https://shop.example';
const allowedHosts = [ALLOWED];
const stops: (() => Promise<unknown>)[] = [cleanUp];
let api: TestApi;

/** One of each that a process of ours opens; a listener that is not here does not compile. */
const start: Record<Listener, () => Promise<number>> = {
  api: async () => {
    api = await startTestApi({ allowedHosts, corsOrigins: [FRIEND] });
    stops.push(api.stop);
    return api.port;
  },
  metrics: async () => {
    const port = await freePort();
    const trusted = { allowedHosts, origins: [FRIEND] };
    const health = createHealth([]);
    stops.push(
      startMetrics({ host: '127.0.0.1', port, role: 'test', health, connectionsMax: 50, trusted, logger: SILENT }),
    );
    return port;
  },
  sandbox: async () => {
    const app = await createSandbox({ dataDir: await newDataDir(), logger: SILENT, allowedHosts });
    stops.push(() => app.close());
    await app.listen({ host: '127.0.0.1', port: 0 });
    return (app.server.address() as AddressInfo).port;
  },
  issuer: async () => {
    const keys = await openKeys(join(await newDataDir(), 'issuer'));
    const app = createIssuer({ issuer: 'http://issuer', audience: 'a', keys, allowedHosts, logger: SILENT });
    stops.push(() => app.close());
    await app.listen({ host: '127.0.0.1', port: 0 });
    return (app.server.address() as AddressInfo).port;
  },
};

const ports = new Map<Listener, number>();
beforeAll(async () => {
  for (const listener of LISTENERS) ports.set(listener, await start[listener]());
});
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});
const ask = (listener: Listener, request: string) => raw(ports.get(listener) ?? 0, request);
const LIVEZ = 'GET /livez HTTP/1.1\r\n';
const END = 'Connection: close\r\n\r\n';
const HOST = 'Host: localhost:3000\r\n';

function expectRefusal(answer: Answer<unknown>, status: number): void {
  expect({ status: answer.status, type: answer.headers.get('content-type'), text: answer.text }).toMatchObject({
    status,
    type: 'application/problem+json',
  });
  expect(answer.body).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
  expect(answer.headers.get('access-control-allow-origin')).toBeNull();
}

const STRANGE: [number, string, string][] = [
  ...[
    'evil.example',
    'evil.example:3000',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evillocalhost',
    'localhost.',
    'shop',
    '0.0.0.0',
    '10.0.0.1',
    '169.254.169.254',
    '127.1',
    '2130706433',
    '[::2]',
    '[::ffff:10.0.0.1]',
    `evil.${ALLOWED}`,
  ].map((host): [number, string, string] => [421, host, `Host: ${host}\r\n`]),
  [403, 'a page of another site', `${HOST}Sec-Fetch-Site: cross-site\r\n`],
  [403, 'a page of another port', `${HOST}Sec-Fetch-Site: same-site\r\n`],
  [403, 'a page that is linked to', `${HOST}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n`],
  [403, 'an older browser’s page', `${HOST}Origin: https://evil.example\r\n`],
  [403, 'a page of another port, of an older browser', `${HOST}Origin: http://localhost:3001\r\n`],
  [403, 'a page without an origin', `${HOST}Origin: null\r\n`],
  [403, 'two origins', `${HOST}Origin: http://localhost:3000\r\nOrigin: https://evil.example\r\n`],
  [403, 'a page that says two things', `${HOST}Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n`],
  ...[
    'Forwarded: for=203.0.113.7',
    'X-Forwarded-For: 203.0.113.7',
    'x-forwarded-host: a',
    'X-Forwarded-Proto: https',
    'X-Forwarded: for=203.0.113.7',
    'X-Real-IP: 203.0.113.7',
    'Via: 1.1 squid',
    'CF-Connecting-IP: 203.0.113.7',
    'X-Client-IP: 203.0.113.7',
  ].map((header): [number, string, string] => [403, header, `${HOST}${header}\r\n`]),
  [400, 'two hosts', `${HOST}Host: localhost\r\n`],
  [400, 'two hosts, one of them strange', `${HOST}Host: evil.example\r\n`],
  [400, 'no host', ''],
  ...['', 'a b', 'user@localhost', 'localhost:x', 'localhost:70000', 'localhost/', '[::1', '[x]', 'a,b', 'é'].map(
    (host): [number, string, string] => [400, `the host “${host}”`, `Host: ${host}\r\n`],
  ),
  [417, 'an expectation', `${HOST}Expect: 200-ok\r\n`],
];

describe.each(LISTENERS)('the listener %s', (listener) => {
  test.each(STRANGE)('answers %d to %s', async (status, _, headers) => {
    expectRefusal(await ask(listener, LIVEZ + headers + END), status);
  });

  test.each([
    'GET /nothing',
    'POST /nothing',
    'OPTIONS /orders',
    'OPTIONS *',
    'GET /docs',
    'GET /openapi.json',
    'GET /events',
    'DELETE /sandbox/faults',
    'POST /token',
    'GET /metrics',
    'GET /%zz',
    'PUT /inventory/KEYBOARD',
  ])('refuses strangers whatever they ask: %s', async (line) => {
    const begin = `${line} HTTP/1.1\r\n`;
    expectRefusal(await ask(listener, `${begin}Host: evil.example\r\n${END}`), 421);
    expectRefusal(await ask(listener, `${begin}${HOST}Sec-Fetch-Site: cross-site\r\n${END}`), 403);
    expectRefusal(
      await ask(listener, `${begin}Host: evil.example\r\nContent-Length: 2\r\nExpect: 100-continue\r\n${END}{}`),
      421,
    );
  });

  test('refuses HEAD, too', async () => {
    expect((await ask(listener, `HEAD /livez HTTP/1.1\r\nHost: evil.example\r\n${END}`)).status).toBe(421);
  });

  test.each([
    'localhost',
    'LOCALHOST:1',
    'orders.localhost:3000',
    '127.0.0.1:3000',
    '127.8.9.10',
    '[::1]:3000',
    ALLOWED,
    `${ALLOWED}:9464`,
  ])('answers to %s', async (host) => {
    expect((await ask(listener, `${LIVEZ}Host: ${host}\r\n${END}`)).status).toBe(200);
  });

  test.each([
    'Sec-Fetch-Site: none',
    'Sec-Fetch-Site: same-origin',
    'Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost:3000',
    'Origin: http://LOCALHOST:3000',
    'Expect: 100-continue',
  ])('answers its own pages and programs: %s', async (headers) => {
    expect((await ask(listener, `${LIVEZ}${HOST}${headers}\r\n${END}`)).text).toMatch(/alive|ok|200 OK/);
  });

  test('goes by the authority of a whole URL, whatever the Host header says', async () => {
    const whole = (url: string, host: string) => ask(listener, `GET ${url} HTTP/1.1\r\nHost: ${host}\r\n${END}`);
    expectRefusal(await whole('http://evil.example/livez', 'localhost'), 421);
    expect((await whole('http://localhost:3000/livez', 'evil.example')).status).toBe(200);
    expect((await whole('HTTP://localhost/livez?a=http://b', 'localhost')).status).toBe(200);
    for (const url of ['ftp://localhost/livez', 'http:///livez', 'http://a@localhost/livez', '*', 'livez'])
      expectRefusal(await whole(url, 'localhost'), 400);
    expect((await whole('http://localhost', 'localhost')).status).toBeLessThan(500);
  });

  test('takes HTTP/1.0, which need name no host elsewhere, by its host only', async () => {
    expect((await ask(listener, 'GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n')).status).toBe(200);
    expectRefusal(await ask(listener, 'GET /livez HTTP/1.0\r\n\r\n'), 421);
  });

  test.each([
    ['words', 'hello\r\n\r\n'],
    ['a tunnel', `CONNECT localhost:443 HTTP/1.1\r\n${HOST}\r\n`],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a folded header', `${LIVEZ}${HOST}X-A: 1\r\n 2\r\n${END}`],
    ['line feeds alone', 'GET /livez HTTP/1.1\nHost: localhost\nConnection: close\n\n'],
    ['a blank before the colon', `${LIVEZ}Host : localhost\r\n${END}`],
    [
      'a length and chunks',
      `POST /livez HTTP/1.1\r\n${HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n${END}0\r\n\r\n`,
    ],
    ['chunks last but one', `POST /livez HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, identity\r\n${END}0\r\n\r\n`],
    ['chunks of HTTP/1.0', `POST /livez HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n${END}0\r\n\r\n`],
    ['two lengths', `POST /livez HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: 7\r\n${END}GET / H`],
    ['a signed length', `POST /livez HTTP/1.1\r\n${HOST}Content-Length: +0\r\n${END}`],
    ['a chunk without a size', `POST /livez HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n${END}zz\r\n\r\n`],
  ])('refuses %s as a problem, or closes', async (_, request) => {
    const { status, headers, text } = await ask(listener, request);
    if (text === '' && Number.isNaN(status)) return;
    // Its route has refused what comes before a chunk that cannot be read; each listener does so in a form of its own.
    if (request.includes('\r\nzz')) expect([400, 401, 404, 405]).toContain(status);
    else expect([status, headers.get('content-type')]).toEqual([400, 'application/problem+json']);
  });
});

test('what cannot be read is not answered amid, or in the place of, an earlier request’s answer', async () => {
  const { text } = await ask('api', `GET /events HTTP/1.1\r\n${HOST}Accept: text/event-stream\r\n\r\nhello\r\n\r\n`);
  expect(text).not.toContain('malformed-request');
  const posted = 'POST /webhooks/payments HTTP/1.1\r\nContent-Length: 0\r\n';
  expect((await ask('api', `${posted}${HOST}\r\nhello\r\n\r\n`)).text).not.toContain('malformed-request');
});

test('a page of an origin in CORS_ORIGINS is no stranger, and no other page changes a price', async () => {
  await stock(api.db, 'KEYBOARD', 10);
  const priced = (unitPrice: number, headers: Record<string, string>) =>
    api.send('PUT', '/inventory/KEYBOARD', { name: 'Keyboard', unitPrice, currency: 'USD', onHand: 10 }, headers);
  const before = await api.get('/inventory/KEYBOARD');
  for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }])
    expect((await priced(1, headers)).status).toBe(403);
  expect((await api.get('/inventory/KEYBOARD')).body).toEqual(before.body);
  const allowed = await priced(2, { origin: FRIEND, 'sec-fetch-site': 'cross-site' });
  expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([200, FRIEND]);
});

test('a body-less POST of another site reaches no handler', async () => {
  const path = '/orders/01999999-9999-7999-8999-999999999999/cancel';
  expect((await api.send('POST', path)).status).not.toBe(403);
  for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }])
    expect((await api.send('POST', path, undefined, headers)).status).toBe(403);
});

test('with authentication a token decides, under whatever name the API is reached', async () => {
  const database = await createTestDatabase();
  const authentication = { issuer: 'https://issuer.example', audience: 'a', rolesClaim: 'roles' };
  const open = await startTestApi({ db: database.db, databaseUrl: database.url, authentication });
  stops.push(database.drop, open.stop);
  const answers = async (headers: string, line = LIVEZ) => (await raw(open.port, line + headers + END)).status;
  expect(await answers('Host: api.example\r\nX-Forwarded-For: 203.0.113.7\r\nSec-Fetch-Site: cross-site\r\n')).toBe(
    200,
  );
  expect(await answers('', 'GET /livez HTTP/1.0\r\n')).toBe(200);
  for (const headers of ['Host: a\r\nHost: b\r\n', 'Host: a b\r\n', '']) expect(await answers(headers)).toBe(400);
  expect(await answers('Host: a\r\nExpect: wonders\r\n')).toBe(417);
});
