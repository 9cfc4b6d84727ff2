/** What the API says to browsers: what they may do with an answer, and whose pages may ask. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Answer, expectProblem, ORDER, raw, startTestApi, type TestApi } from '../support/api.js';
import { stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const SHOP = 'https://shop.example';
let issuer: TokenIssuer;
let api: TestApi;
let open: TestApi;
let proxied: TestApi;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000);
  const shared = { db: api.db, databaseUrl: api.databaseUrl };
  const authentication = { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl };
  open = await startTestApi({
    ...shared,
    corsOrigins: [SHOP, 'http://localhost:5173'],
    authentication,
    rateLimit: { ordersPerMinute: 100 },
  });
  proxied = await startTestApi({ ...shared, authentication, trustProxy: '127.0.0.1' });
});
afterAll(async () => {
  await Promise.all([open.stop(), proxied.stop()]);
  await Promise.all([api.stop(), issuer.stop()]);
});

describe('every answer', () => {
  const HEAD = 'Host: localhost\r\nConnection: close\r\n';
  const answers: [string, () => Promise<Answer<unknown>>][] = [
    ['that is data', () => api.get('/orders')],
    ['to a POST', () => api.place()],
    ['that is a problem', () => api.place({ items: [] })],
    ['at a path where there is nothing', () => api.get('/nothing')],
    ['to a method that is not offered', () => api.send('DELETE', '/orders')],
    ['to a path that is none', () => raw(api.port, `GET /orders/%zz HTTP/1.1\r\n${HEAD}\r\n`)],
    ['to what is no HTTP', () => raw(api.port, 'hello\r\n\r\n')],
    ['for want of a token', () => open.get('/orders')],
  ];
  test.each(answers)('%s is not to be guessed at, run, framed or kept', async (_, ask) => {
    const { headers } = await ask();
    expect(Object.fromEntries(headers)).toMatchObject({
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-store',
      'x-correlation-id': expect.stringMatching(/./),
    });
    expect(headers.get('server')).toBeNull();
    expect(headers.get('x-powered-by')).toBeNull();
  });

  test('that streams says so, too', async () => {
    const stream = await api.stream('/events');
    expect(stream.response.headers.get('x-content-type-options')).toBe('nosniff');
    stream.close();
  });

  test('pins HTTPS where it came by HTTPS, and believes only our proxy in that', async () => {
    const https = { 'x-forwarded-proto': 'https' };
    expect((await proxied.get('/livez', https)).headers.get('strict-transport-security')).toBe('max-age=31536000');
    expect((await proxied.get('/livez')).headers.get('strict-transport-security')).toBeNull();
    expect((await open.get('/livez', https)).headers.get('strict-transport-security')).toBeNull();
  });
});

describe('a page of another origin', () => {
  const allowOf = ({ headers }: Answer<unknown>) =>
    [...headers.keys()].filter((name) => name.startsWith('access-control-'));
  const preflight = (to: TestApi, origin: string, method = 'POST') =>
    to.send('OPTIONS', '/orders', undefined, {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization,content-type,idempotency-key',
    });

  test('may do nothing unless it is configured', async () => {
    expectProblem(await preflight(proxied, SHOP), 405, 'method-not-allowed');
    const authorization = await issuer.token({ subject: 'shop', roles: ['service'] });
    const answer = await proxied.get('/orders', { origin: SHOP, authorization });
    expect([answer.status, allowOf(answer)]).toEqual([200, []]);
    for (const refused of [await preflight(api, SHOP), await api.get('/orders', { origin: SHOP })]) {
      expectProblem(refused, 403, 'cross-site'); // where nobody is authenticated
      expect(allowOf(refused)).toEqual([]);
    }
  });

  test('that is configured may ask, without a token for the asking, and read what clients need', async () => {
    const allowed = await preflight(open, SHOP);
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get('access-control-allow-origin')).toBe(SHOP);
    expect(allowed.headers.get('access-control-allow-methods')).toBe('GET, HEAD, POST, PUT');
    for (const header of ['Authorization', 'Content-Type', 'Idempotency-Key', 'Prefer', 'If-None-Match'])
      expect(allowed.headers.get('access-control-allow-headers')?.split(', ')).toContain(header);
    expect(allowed.headers.get('access-control-allow-credentials')).toBeNull();

    const authorization = await issuer.token({ subject: 'shop', roles: ['service'] });
    const placed = await open.send('POST', '/orders', ORDER, { origin: SHOP, authorization });
    expect([placed.status, placed.headers.get('access-control-allow-origin')]).toEqual([201, SHOP]);
    expect(placed.headers.get('vary')).toMatch(/\borigin\b/i);
    const exposed = placed.headers.get('access-control-expose-headers')?.toLowerCase().split(', ');
    const meant = ['location', 'x-correlation-id', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'];
    for (const name of meant) expect([name, placed.headers.has(name)]).toEqual([name, true]);
    expect(exposed).toEqual(expect.arrayContaining([...meant, 'etag', 'idempotent-replayed', 'retry-after']));
  });

  test('can read why it was refused', async () => {
    const answer = await open.get('/orders', { origin: SHOP });
    expectProblem(answer, 401, 'unauthenticated');
    expect(answer.headers.get('access-control-allow-origin')).toBe(SHOP);
  });

  test.each([`${SHOP}.evil.example`, 'https://evil.example', 'http://shop.example', 'null', `${SHOP}:8443`])(
    'that is not configured may not: %s',
    async (origin) => {
      expect((await preflight(open, origin)).headers.get('access-control-allow-origin')).toBeNull();
      const answer = await open.get('/livez', { origin });
      expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    },
  );
});
