/** What one caller may have of the API, over all routes, beside all others. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { CallerLimits } from '../../api/load/parties.js';
import type { Order } from '../../contracts/orders.js';
import { createHealth } from '../../runtime/health.js';
import { startMetrics } from '../../runtime/metrics.js';
import { type Answer, closedPort, expectProblem, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';
import { whileStuck } from './stuck-catalogue.js';

let issuer: TokenIssuer;
let base: TestApi;
let order: Order;
const started: TestApi[] = [];
beforeAll(async () => {
  issuer = await startTokenIssuer();
  base = await startTestApi();
  await stock(base.db, 'KEYBOARD', 1_000_000);
  order = await accept(base.db, { KEYBOARD: 1 }, { customerId: 'ann' });
});
afterAll(async () => {
  await Promise.all(started.map((api) => api.stop()));
  await Promise.all([base.stop(), issuer.stop()]);
});

/** Buckets that do not fill while a test looks: of 51, which is the dearest request; nothing else is in the way. */
const SLOW: CallerLimits = {
  customerPerSecond: 0.01,
  servicePerSecond: 0.01,
  strangerPerSecond: 0.01,
  customerAtATime: 100,
  serviceAtATime: 100,
  turnWaitMaxMs: 30_000,
  refusalsPerSecond: 1_000,
};
const FULL = 51;
const PLENTY = { ...SLOW, customerPerSecond: 10_000, servicePerSecond: 10_000, strangerPerSecond: 10_000 };

async function apiWith(callerLimits: CallerLimits, settings: Parameters<typeof startTestApi>[0] = {}) {
  const api = await startTestApi({
    db: base.db,
    databaseUrl: base.databaseUrl,
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
    callerLimits,
    ...settings,
  });
  started.push(api);
  return api;
}
const as = async (subject: string, role: string) => ({
  authorization: await issuer.token({ subject, roles: [role] }),
});
type Headings = Awaited<ReturnType<typeof as>>;

/** @returns how often the request was served before it was refused for its rate */
async function servedBeforeRefused(ask: () => Promise<Answer<unknown>>): Promise<number> {
  for (let served = 0; served <= 2 * FULL; served++) {
    const answer = await ask();
    if (answer.status === 429) {
      expectProblem(answer, 429, 'too-many-requests');
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      return served;
    }
    expect(answer.status).toBeLessThan(300);
  }
  throw new Error('it is never refused');
}
const empty = async (api: TestApi, caller: Headings) =>
  servedBeforeRefused(() => api.get('/inventory/KEYBOARD', caller));

describe('a caller', () => {
  test('that asks for more than its bucket holds is refused at every route, and others are served', async () => {
    const api = await apiWith(SLOW);
    const ann = await as('ann', 'customer');
    for (let i = 0; i < 3; i++) expect((await api.get(`/orders/${order.id}/saga`, ann)).status).toBe(200); // 15 each
    for (let i = 0; i < 6; i++) expect((await api.get(`/orders/${order.id}`, ann)).status).toBe(200);
    for (const path of ['/orders', `/orders/${order.id}`, `/orders/${order.id}/events`, '/inventory'])
      expectProblem(await api.get(path, ann), 429, 'too-many-requests');
    expectProblem(await api.place({ customerId: 'ann' }, ann), 429, 'too-many-requests');
    expectProblem(await api.send('POST', `/orders/${order.id}/cancel`, { reason: 'x' }, ann), 429, 'too-many-requests');
    expect((await api.get('/inventory', await as('bob', 'customer'))).status).toBe(200);
    expect((await api.get(`/orders/${order.id}`, await as('ann', 'service'))).status).toBe(429); // in ann's name
    expect((await api.get('/inventory', await as('shop', 'service'))).status).toBe(200);
  });

  test.each([
    ['one order', 1, () => `/orders/${order.id}`],
    ['a saga', 15, () => `/orders/${order.id}/saga`],
    ['a page of 100', 6, () => '/orders'],
    ['a page of 1,000', 51, () => '/orders?limit=1000'],
    ['a page of 1,000 things', 51, () => '/inventory?limit=1000'],
  ])('pays for %s as much as it costs', async (_, cost, path) => {
    const api = await apiWith(SLOW);
    const ann = await as('ann', 'customer');
    expect(await servedBeforeRefused(() => api.get(path(), ann))).toBe(Math.floor(FULL / cost));
  });

  test('pays for orders and for cancelling them, whatever its Idempotency-Keys', async () => {
    const api = await apiWith(SLOW);
    const carl = await as('carl', 'customer');
    let key = 0;
    const place = () => api.place({ customerId: 'carl' }, { ...carl, 'idempotency-key': `carl-${key++}` });
    expect(await servedBeforeRefused(place)).toBe(Math.floor(FULL / 12));
    const own = await accept(base.db, { KEYBOARD: 1 }, { customerId: 'cora' });
    const cora = await as('cora', 'customer');
    const cancel = () =>
      api.send('POST', `/orders/${own.id}/cancel`, { reason: 'x' }, { ...cora, 'idempotency-key': `cora-${key++}` });
    expect(await servedBeforeRefused(cancel)).toBe(Math.floor(FULL / 10));
  });

  test('is told when the bucket holds enough again, and is served then', async () => {
    const api = await apiWith({ ...SLOW, customerPerSecond: 15 });
    const ann = await as('ann', 'customer');
    const saga = () => api.get(`/orders/${order.id}/saga`, ann);
    let answer = await saga();
    for (let i = 0; i < FULL && answer.status === 200; i++) answer = await saga();
    expectProblem(answer, 429, 'too-many-requests');
    expect(answer.headers.get('retry-after')).toBe('1');
    await eventually('it is served again', async () => (await saga()).status === 200, 5_000);
  });

  test('is its subject and its role: neither its address nor another token changes anything', async () => {
    const api = await apiWith(SLOW);
    await empty(api, await as('dan', 'customer'));
    const disguised = { ...(await as('dan', 'customer')), 'x-forwarded-for': '203.0.113.1', 'idempotency-key': 'k' };
    expectProblem(await api.get('/inventory', disguised), 429, 'too-many-requests');
  });

  test('is not distinguished where there is no authentication', async () => {
    const { authentication: _, ...open } = { authentication: undefined, callerLimits: SLOW };
    const api = await startTestApi({ db: base.db, databaseUrl: base.databaseUrl, ...open });
    started.push(api);
    for (let i = 0; i < 2 * FULL; i++) expect((await api.get('/inventory/KEYBOARD')).status).toBe(200);
    for (let i = 0; i < 10; i++) expect((await api.get('/openapi.json')).status).toBe(200);
  });
});

describe('bytes', () => {
  test('of a page are owed when they are more than its rows paid for', async () => {
    const skus = Array.from({ length: 100 }, (_, i) => `A-LARGE-ORDER-HAS-${i}`);
    for (const sku of skus) await stock(base.db, sku, 100);
    const lines = Object.fromEntries(skus.map((sku) => [sku, 1]));
    for (let i = 0; i < 19; i++) await accept(base.db, lines, { customerId: 'large' });
    const api = await apiWith(SLOW);
    const page = async () => api.get('/orders?limit=19&customerId=large', await as('large', 'customer'));
    expect((await page()).text.length).toBeGreaterThan(100_000);
    expect(await servedBeforeRefused(page)).toBeLessThanOrEqual(4);
    const behind = await apiWith({ ...SLOW, servicePerSecond: 500 });
    const shop = await as('shop', 'service');
    const asked = () => behind.get('/orders?limit=19&customerId=large', shop);
    expect(await servedBeforeRefused(asked)).toBeLessThanOrEqual(5);
  });

  test.each([
    ['its length', (text: string) => text],
    ['none', (text: string) => new Blob([text]).stream()],
  ])('of a body are paid for by a service that says %s', async (_, bodyOf) => {
    const api = await apiWith(SLOW);
    const shop = await as('shop', 'service');
    const wrong = `{"items":[${'{"a":1},'.repeat(8_000)}{}]}`;
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++) {
      const headers = { ...shop, 'content-type': 'application/json' };
      const init = { method: 'POST', headers, body: bodyOf(wrong), duplex: 'half' };
      statuses.push((await fetch(`${api.url}/orders`, init as RequestInit)).status);
    }
    expect(statuses.filter((status) => status === 400).length).toBeGreaterThanOrEqual(5);
    expect(statuses.slice(7)).toEqual([429]);
  });
});

describe('a customer behind a service', () => {
  const orderFor = (api: TestApi, customerId: string, shop: Headings) => api.place({ customerId }, shop);

  test('is refused by itself: the service’s other customers are served, and have its orders', async () => {
    const api = await apiWith({ ...SLOW, servicePerSecond: 500 }, { rateLimit: { ordersPerMinute: 20 } });
    const shop = await as('shop', 'service');
    expect(await servedBeforeRefused(() => orderFor(api, 'greedy', shop))).toBe(Math.floor(FULL / 12));
    for (let i = 0; i < 30; i++) expectProblem(await orderFor(api, 'greedy', shop), 429, 'too-many-requests');
    const others = await Promise.all(Array.from({ length: 14 }, (_, i) => orderFor(api, `modest-${i}`, shop)));
    expect(others.map(({ status }) => status)).toEqual(Array(14).fill(201)); // 20 a minute, less the 6
  });

  test('is refused at its list, its orders and their sagas, too', async () => {
    const api = await apiWith({ ...SLOW, servicePerSecond: 500 });
    const shop = await as('shop', 'service');
    expect(await servedBeforeRefused(() => api.get('/orders?customerId=eve&limit=1000', shop))).toBe(1);
    expect(await servedBeforeRefused(() => api.get(`/orders/${order.id}/saga`, shop))).toBe(3);
    expect(await servedBeforeRefused(() => api.get(`/orders/${order.id}`, shop))).toBe(FULL - 45);
    expectProblem(await api.get(`/orders/${order.id}/events`, shop), 429, 'too-many-requests');
    expect((await api.get('/orders?limit=1000', shop)).status).toBe(200);
  });

  test('is the same customer as with a token of its own', async () => {
    const api = await apiWith({ ...SLOW, servicePerSecond: 500 });
    await empty(api, await as('fay', 'customer'));
    expectProblem(await orderFor(api, 'fay', await as('shop', 'service')), 429, 'too-many-requests');
  });

  test('pays for its order; its service, which has a limit of orders, may place many at once', async () => {
    const api = await apiWith(SLOW);
    const shop = await as('shop', 'service');
    const placed = await Promise.all(Array.from({ length: FULL }, (_, i) => orderFor(api, `buyer-${i}`, shop)));
    expect(placed.map(({ status }) => status)).toEqual(Array(FULL).fill(201));
  });

  test('cannot empty the service’s bucket by being refused', async () => {
    const api = await apiWith({ ...SLOW, servicePerSecond: 50 }); // holds 100
    const shop = await as('shop', 'service');
    await servedBeforeRefused(() => orderFor(api, 'greedy', shop)); // 4 × 12, and one for the refusal
    for (let i = 0; i < 20; i++) expectProblem(await orderFor(api, 'greedy', shop), 429, 'too-many-requests');
    expect((await orderFor(api, 'modest', shop)).status).toBe(201);
  });
});

test('a customer behind a service that goes on although it is refused takes up none of the service’s turns', async () => {
  const api = await apiWith({
    ...SLOW,
    servicePerSecond: 500,
    serviceAtATime: 2,
    refusalsPerSecond: 1,
    turnWaitMaxMs: 500,
  });
  const shop = await as('shop', 'service');
  const greedy = () => api.get('/orders?customerId=greedy&limit=1000', shop);
  expect((await greedy()).status).toBe(200);
  const flood = Array.from({ length: 20 }, greedy);
  const modest = await Promise.all(Array.from({ length: 20 }, (_, i) => api.get(`/orders?customerId=m-${i}`, shop)));
  expect(modest.map(({ status }) => status)).toEqual(Array(20).fill(200));
  for (const answer of await Promise.all(flood)) expectProblem(answer, 429, 'too-many-requests');
});

test('a customer behind a service is refused at once, however often: held, it would take the service’s connections', async () => {
  const api = await apiWith({ ...SLOW, servicePerSecond: 500, refusalsPerSecond: 1 });
  const shop = await as('shop', 'service');
  const greedy = () => api.get('/orders?customerId=greedy&limit=1000', shop);
  expect((await greedy()).status).toBe(200);
  const began = performance.now();
  for (let i = 0; i < 20; i++) expectProblem(await greedy(), 429, 'too-many-requests');
  expect(performance.now() - began).toBeLessThan(2_000); // held, they would take 19 seconds
});

test('an operator whose bucket is empty ends an overload all the same', async () => {
  const api = await apiWith(SLOW);
  const operator = await as('op-7', 'operator');
  await empty(api, operator);
  const product = { name: 'Keyboard', unitPrice: 1_000, currency: 'USD', onHand: 1_000_000 };
  for (let i = 0; i < 3; i++) {
    expect((await api.get('/admin/audit?limit=1000', operator)).status).toBe(200);
    expect((await api.get('/admin/dead-letters?limit=1000', operator)).status).toBe(200);
    expect((await api.send('PUT', '/inventory/KEYBOARD', product, operator)).status).toBe(200);
    const own = await accept(base.db, { KEYBOARD: 1 });
    expect((await api.send('POST', `/orders/${own.id}/cancel`, { reason: 'x' }, operator)).status).toBe(202);
  }
  expectProblem(await api.get('/orders', operator), 429, 'too-many-requests');
});

test('an address without a token has a bucket at each open route; health is never refused', async () => {
  const api = await apiWith(SLOW);
  expect(await servedBeforeRefused(() => api.get('/openapi.json'))).toBe(Math.floor(FULL / 10));
  expect(await servedBeforeRefused(() => api.get('/docs/static/index.html'))).toBe(Math.floor(FULL / 2));
  for (let i = 0; i < 2 * FULL; i++) expect((await api.get('/livez')).status).toBe(200);
  expect((await api.get('/problems/not-found')).status).toBe(200);
});

test('an IPv6 client is one, whichever of its addresses it asks from', async () => {
  const api = await apiWith(SLOW, { trustProxy: '127.0.0.1' });
  let asked = 0;
  const ask = () => api.get('/openapi.json', { 'x-forwarded-for': `2001:db8:0:1::${(++asked).toString(16)}` });
  expect(await servedBeforeRefused(ask)).toBe(Math.floor(FULL / 10));
  expect((await api.get('/openapi.json', { 'x-forwarded-for': '2001:db8:0:2::1' })).status).toBe(200);
});

test.each([
  ['health', 'GET', '/livez', 200],
  ['preflights', 'OPTIONS', '/orders', 204],
])(
  '%s, however often one address asks, is answered, later and later, and others are served',
  async (_, method, path, status) => {
    const api = await apiWith(PLENTY, { corsOrigins: ['https://shop.example'], trustProxy: '127.0.0.1' });
    const ask = (from: string) =>
      api.send(method, path, undefined, {
        'x-forwarded-for': from,
        origin: 'https://shop.example',
        'access-control-request-method': 'POST',
      });
    const began = performance.now();
    const answered = Array.from({ length: 500 }, async () => {
      expect((await ask('203.0.113.1')).status).toBe(status);
      return performance.now() - began;
    });
    expect((await ask('203.0.113.2')).status).toBe(status);
    const others = performance.now() - began;
    const took = (await Promise.all(answered)).sort((a, b) => a - b);
    expect(took[250]).toBeGreaterThan(1_000);
    expect(took[499]).toBeGreaterThan(2_500); // a hundred a second of one sender
    expect(others).toBeLessThan(took[499] as number);
  },
);

/** How many statements wait for the catalogue. */
async function lockWaits(): Promise<number> {
  const rows = await base.db.$queryRaw<{ n: number }[]>`
    SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
  return rows[0]?.n ?? 0;
}
const refusedOf = (answers: Answer<unknown>[]) => answers.filter(({ status }) => status === 429);

describe('the requests in work', () => {
  const shedding = { requestsMax: 9, eventLoopDelayMaxMs: 60_000 };

  test('are at most half one caller’s: it is refused the next, another is not', async () => {
    const api = await apiWith(PLENTY, { shedding });
    const [greedy, modest] = [await as('greedy', 'service'), await as('modest', 'customer')];
    const { hers, his } = await whileStuck(base.databaseUrl, async () => {
      const hers = Array.from({ length: 5 }, () => api.get('/inventory', greedy));
      const refused = await eventually('she has her share', async () => {
        const answer = await api.get('/orders?limit=1', greedy);
        return answer.status === 429 && answer;
      });
      expect(refused.headers.get('retry-after')).toBe('1');
      const his = [api.get('/inventory', modest)];
      expect((await api.get('/orders?limit=1', modest)).status).toBe(200);
      return { hers, his };
    });
    expect(refusedOf(await Promise.all([...hers, ...his]))).toEqual([]);
    expect((await api.get('/orders', greedy)).status).toBe(200);
  });

  test('are at most a third those of one customer of a service: the service’s others are served', async () => {
    const api = await apiWith(PLENTY, { shedding });
    const shop = await as('shop', 'service');
    await whileStuck(base.databaseUrl, async () => {
      const inWork: Promise<Answer<unknown>>[] = [];
      for (let refused = false; !refused; ) {
        const order = api.place({ customerId: 'greedy' }, shop);
        let answer: Answer<unknown> | undefined;
        void order.then((given) => {
          answer = given;
        });
        await eventually('it is in work or refused', async () => answer || (await lockWaits()) > inWork.length);
        refused = answer !== undefined;
        if (answer) expectProblem(answer, 429, 'too-many-requests');
        else inWork.push(order);
      }
      expect(inWork.length).toBe(3);
      expect((await api.get('/orders?limit=1&customerId=modest', shop)).status).toBe(200);
    });
  });
});

describe('the turn of a request', () => {
  test('comes in order among its caller’s, and does not hold up another’s', async () => {
    const api = await apiWith({ ...PLENTY, customerAtATime: 2 });
    const [greedy, modest] = [await as('greedy', 'customer'), await as('modest', 'customer')];
    const ended: string[] = [];
    const hers = await whileStuck(base.databaseUrl, async () => {
      const stuck = Array.from({ length: 2 }, () => api.get('/inventory', greedy));
      await eventually('both are in work', async () => (await lockWaits()) === 2);
      const waiting = Array.from({ length: 5 }, () =>
        api.get('/orders?limit=1', greedy).then(() => ended.push('hers')),
      );
      expect((await api.get('/orders?limit=1', modest)).status).toBe(200);
      ended.push('his');
      return [...stuck, ...waiting];
    });
    await Promise.all(hers);
    expect(ended).toEqual(['his', ...Array(5).fill('hers')]);
  });

  test('is given up after a while, with 429, and the turns go on afterwards', async () => {
    const api = await apiWith({ ...PLENTY, customerAtATime: 1, turnWaitMaxMs: 100 });
    const greedy = await as('greedy', 'customer');
    const { stuck } = await whileStuck(base.databaseUrl, async () => {
      const stuck = api.get('/inventory', greedy);
      await eventually('it is in work', async () => (await lockWaits()) === 1);
      expectProblem(await api.get('/orders', greedy), 429, 'too-many-requests');
      return { stuck };
    });
    expect((await stuck).status).toBe(200);
    expect((await api.get('/orders', greedy)).status).toBe(200);
  });

  test('is free again when its client has disconnected, waiting or in work', async () => {
    const api = await apiWith({ ...PLENTY, customerAtATime: 1 });
    const greedy = await as('greedy', 'customer');
    await whileStuck(base.databaseUrl, async () => {
      const leaving = new AbortController();
      const leave = () =>
        fetch(`${api.url}/inventory`, { headers: greedy, signal: leaving.signal }).catch(() => undefined);
      const left = Array.from({ length: 5 }, leave);
      await eventually('one is in work', async () => (await lockWaits()) === 1);
      leaving.abort();
      await Promise.all(left);
      expect((await api.get('/orders?limit=1', greedy)).status).toBe(200);
    });
  });
});

test('a client that disconnects while its token is verified leaves no turn behind', async () => {
  const api = await apiWith({ ...PLENTY, customerAtATime: 1, turnWaitMaxMs: 500 });
  for (let i = 0; i < 100; i++) {
    const token = await issuer.token({ subject: 'ann', roles: ['customer'], claims: { i } }); // none is remembered
    await new Promise<void>((closed) => {
      const socket = connect(api.port, '127.0.0.1', () =>
        socket.write(`GET /inventory HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${token}\r\n\r\n`, () =>
          socket.resetAndDestroy(),
        ),
      );
      socket.on('error', () => undefined).once('close', () => closed());
    });
  }
  expect((await api.get('/inventory', await as('ann', 'customer'))).status).toBe(200);
});

describe('requests that are pipelined', () => {
  const ask = (path: string, times: number) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`.repeat(times);

  test('are worked on one after another, and answered in order', async () => {
    const api = await startTestApi({
      db: base.db,
      databaseUrl: base.databaseUrl,
      shedding: { requestsMax: 3, eventLoopDelayMaxMs: 60_000 },
    });
    started.push(api);
    let text = '';
    const socket = connect(api.port, '127.0.0.1');
    socket.on('data', (chunk) => {
      text += chunk;
    });
    await whileStuck(base.databaseUrl, async () => {
      socket.write(ask('/inventory', 50) + ask('/nothing', 1));
      for (let i = 0; i < 20; i++) expect((await api.get('/orders?limit=1')).status).toBe(200);
    });
    const statuses = () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]);
    await eventually('all are answered', () => statuses().length === 51);
    expect(statuses()).toEqual([...Array(50).fill('200'), '404']);
    socket.write(ask('/livez', 1)); // it goes on
    await eventually('one more is answered', () => statuses().length === 52);
    socket.destroy();
  });

  test('end their connection if there are too many', async () => {
    const api = await startTestApi({ db: base.db, databaseUrl: base.databaseUrl, pipelinedMax: 10 });
    started.push(api);
    const socket = connect(api.port, '127.0.0.1');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined).resume();
    await whileStuck(base.databaseUrl, async () => {
      socket.write(ask('/inventory', 50));
      await closed;
    });
    expect((await api.get('/inventory')).status).toBe(200);
  });
});

describe('a caller that goes on although it is refused', () => {
  const SLOWED = { ...SLOW, refusalsPerSecond: 5 };
  /** How many of these are answered with this status before the first that is held for a second. */
  async function answeredAtOnce(ask: () => Promise<Answer<unknown>>, status: number): Promise<number> {
    for (let answered = 0; answered < 100; answered++) {
      const began = performance.now();
      expect((await ask()).status).toBe(status);
      if (performance.now() - began > 900) return answered;
    }
    throw new Error('none is held');
  }

  test('is answered a second later; others are not', async () => {
    const api = await apiWith(SLOWED);
    const [greedy, modest] = [await as('greedy', 'customer'), await as('modest', 'customer')];
    await empty(api, greedy);
    expect(await answeredAtOnce(() => api.get('/orders', greedy), 429)).toBeGreaterThanOrEqual(3);
    const began = performance.now();
    const held = Array.from({ length: 20 }, () => api.get('/orders', greedy).then(() => performance.now()));
    expect((await api.get('/orders?limit=1', modest)).status).toBe(200);
    const served = performance.now();
    const sent = await Promise.all(held);
    expect(sent.filter((at) => at - began > 900).length).toBeGreaterThanOrEqual(10);
    expect(served).toBeLessThan(Math.max(...sent));
  });

  test.each([
    ['without a token', '/orders', 401],
    ['at paths where there is nothing', '/nothing', 404],
  ])('%s is known by its address', async (_, path, status) => {
    const api = await apiWith(SLOWED);
    expect(await answeredAtOnce(() => api.get(path), status)).toBeGreaterThanOrEqual(5);
    expect((await api.get('/inventory', await as('modest', 'customer'))).status).toBe(200);
  });
});

test('refusals are counted, by status and reason', async () => {
  const port = await closedPort();
  const stop = startMetrics({
    host: '127.0.0.1',
    port,
    role: 'api',
    health: createHealth([]),
    connectionsMax: 10,
    logger: SILENT,
  });
  const api = await apiWith(SLOW, { rateLimit: { ordersPerMinute: 1 } });
  const scrape = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const countOf = async (status: number, reason: string) => {
    const line = new RegExp(
      `^order_saga_requests_refused_total\\{status="${status}",reason="${reason}".*\\} (\\d+)$`,
      'm',
    );
    return Number(line.exec(await scrape())?.[1] ?? 0);
  };
  const shop = await as('shop', 'service');
  const refusals: [number, string, () => Promise<Answer<unknown>>][] = [
    [400, 'invalid-request', () => base.place({ items: [] })],
    [401, 'unauthenticated', () => api.get('/orders')],
    [403, 'forbidden', () => api.get('/events', shop).then(async () => api.get('/admin/audit', shop))],
    [404, 'not-found', () => api.get('/nothing')],
    [429, 'orders', () => api.place({}, shop).then(() => api.place({}, shop))],
    [429, 'rate', () => empty(api, shop).then(() => api.get('/orders', shop))],
  ];
  for (const [status, reason, provoke] of refusals) {
    const before = await countOf(status, reason);
    expect((await provoke()).status).toBe(status);
    // A scrape is shared for a second.
    await eventually(`${reason} is counted`, async () => (await countOf(status, reason)) > before);
  }
  await stop();
});

test('a token that has just been verified stands for itself only', async () => {
  const api = await apiWith(PLENTY);
  const { authorization } = await as('ann', 'customer');
  expect((await api.get(`/orders/${order.id}`, { authorization })).status).toBe(200);
  const [head, payload, signature = ''] = authorization.split('.');
  const forged = `${head}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
  expectProblem(await api.get(`/orders/${order.id}`, { authorization: forged }), 401, 'unauthenticated');
  const twice = await new Promise<string>((resolve) => {
    const socket = connect(api.port, '127.0.0.1', () =>
      socket.write(
        `GET /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: ${authorization}\r\nAuthorization: ${forged}\r\n\r\n`,
      ),
    );
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
  });
  expect(twice).toMatch(/^HTTP\/1\.1 401 /);
});
