/** How much of the service one caller, or all callers together, can use up. */
import { spawn, spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBuckets } from '../../api/load/buckets.js';
import type { ServerSettings } from '../../api/server.js';
import { createSharedBuckets } from '../../api/load/shared-buckets.js';
import { closedPort, expectProblem, ORDER, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';
import { whileStuck } from './stuck-catalogue.js';

let issuer: TokenIssuer;
let base: TestApi;
const started: TestApi[] = [];
beforeAll(async () => {
  issuer = await startTokenIssuer();
  base = await startTestApi();
  await stock(base.db, 'KEYBOARD', 1_000_000);
});
afterAll(async () => {
  await Promise.all(started.map((api) => api.stop()));
  await Promise.all([base.stop(), issuer.stop()]);
});
type Settings = Parameters<typeof startTestApi>[0];
const apiWith = async (settings: Settings) => {
  const api = await startTestApi({ db: base.db, databaseUrl: base.databaseUrl, ...settings });
  started.push(api);
  return api;
};
const limited = (ordersPerMinute: number, redisUrl?: string) =>
  apiWith({
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
    rateLimit: { ordersPerMinute, ...(redisUrl !== undefined && { redisUrl }) },
  });
const as = async (subject: string) => ({ authorization: await issuer.token({ subject, roles: ['service'] }) });
const headersOf = ({ headers }: { headers: Headers }) =>
  ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'retry-after'].map((name) => headers.get(name));

describe('a caller that orders faster than the limit', () => {
  test('is answered 429, when to come back, and how much is left', async () => {
    const api = await limited(3);
    const caller = await as('fast');
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await api.place({}, caller));
    expect(answers.map((answer) => answer.status)).toEqual([201, 201, 201, 429]);
    expect(answers.map(headersOf).map(([limit, remaining]) => [limit, remaining])).toEqual([
      ['3', '2'],
      ['3', '1'],
      ['3', '0'],
      ['3', '0'],
    ]);
    const [, , reset, retryAfter] = headersOf(expectRefused(answers[3]));
    expect(Number(reset)).toBeGreaterThan(50); // three tokens, 20 s each
    expect(Number(retryAfter)).toBeGreaterThan(10);
    expect(Number(retryAfter)).toBeLessThanOrEqual(20);
  });
  const expectRefused = (answer: Awaited<ReturnType<TestApi['place']>> | undefined) => {
    if (!answer) throw new Error('there is no answer');
    expectProblem(answer, 429, 'too-many-requests');
    return answer;
  };

  test('is one subject: others, and other routes, are free; addresses and keys change nothing', async () => {
    const api = await limited(1);
    const caller = await as('one');
    expect((await api.place({}, caller)).status).toBe(201);
    for (const address of ['203.0.113.1', '203.0.113.2', '::1']) {
      const disguise = { ...caller, 'x-forwarded-for': address, forwarded: `for=${address}`, 'x-real-ip': address };
      expectProblem(await api.place({}, disguise), 429, 'too-many-requests');
    }
    expectProblem(await api.place({}, { ...caller, 'idempotency-key': 'fresh' }), 429, 'too-many-requests');
    expect((await api.place({}, await as('another'))).status).toBe(201);
    expect((await api.get('/orders', caller)).status).toBe(200);
  });

  test('loses neither its key nor its order by it', async () => {
    const api = await limited(1);
    await api.place({}, await as('burnt'));
    const keyed = { ...(await as('burnt')), 'idempotency-key': 'k-limited' };
    expectProblem(await api.place({}, keyed), 429, 'too-many-requests');
    expect(await base.db.idempotencyKey.count({ where: { key: 'k-limited' } })).toBe(0);
  });

  test('has a token: without one it is 401, and uses up nothing', async () => {
    const api = await limited(1);
    for (let i = 0; i < 3; i++) expectProblem(await api.place(), 401, 'unauthenticated');
    expect((await api.place({}, await as('patient'))).status).toBe(201);
  });

  test('is not limited where there is no authentication', async () => {
    const open = await apiWith({ rateLimit: { ordersPerMinute: 1 } });
    for (let i = 0; i < 3; i++) {
      const answer = await open.place();
      expect([answer.status, ...headersOf(answer)]).toEqual([201, null, null, null, null]);
    }
  });
});

describe('a bucket', () => {
  test('fills evenly, and never beyond a minute’s worth', async () => {
    let now = 0;
    const take = createBuckets(60, () => now);
    const takeAll = async () => {
      let taken = 0;
      while ((await take('a')).isTaken) taken++;
      return taken;
    };
    expect(await takeAll()).toBe(60);
    now += 1_500;
    expect(await takeAll()).toBe(1);
    now += 500; // with the half that was left
    expect(await takeAll()).toBe(1);
    now += 3_600_000;
    expect(await takeAll()).toBe(60);
  });

  test('is remembered for ten thousand callers, the latest', async () => {
    const take = createBuckets(1, () => 0);
    await take('first');
    for (let i = 0; i < 9_999; i++) await take(`c-${i}`);
    expect((await take('first')).isTaken).toBe(false);
    for (let i = 0; i < 9_999; i++) await take(`d-${i}`);
    expect((await take('first')).isTaken).toBe(false);
    for (let i = 0; i < 10_000; i++) await take(`e-${i}`);
    expect((await take('first')).isTaken).toBe(true);
  });
});

const hasRedis = spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status === 0;
if (!hasRedis) process.stderr.write('`redis-server` is not here: shared rate limits are not tested.\n');
(hasRedis ? describe : describe.skip)('buckets in Redis', () => {
  const startRedis = async (port: number) => {
    const child = spawn(
      'redis-server',
      ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
      {
        stdio: 'ignore',
      },
    );
    await eventually('Redis listens', () => canConnect(port));
    return {
      child,
      stop: async () => {
        child.kill('SIGKILL');
        await eventually('Redis is gone', async () => child.exitCode !== null || child.signalCode !== null);
      },
    };
  };

  /** Patient: a busy machine is not a Redis that is away. */
  const patient = (port: number, perMinute: number) =>
    createSharedBuckets(`redis://127.0.0.1:${port}`, perMinute, SILENT, 30_000);

  test('are shared by processes, to the token, and differ by caller', async () => {
    const port = await closedPort();
    const redis = await startRedis(port);
    const processes = [await patient(port, 20), await patient(port, 20)];
    await eventually('both use Redis', async () => {
      const caller = `warm-up-${Math.random()}`;
      const left = [];
      for (const { take } of processes) left.push(Math.floor((await take(caller)).tokens));
      return left.join() === '19,18';
    });
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => processes[i % 2]?.take('shared')));
    const filledMeanwhile = (performance.now() - began) / 3_000;
    const taken = answers.filter((answer) => answer?.isTaken).length;
    expect(taken).toBeGreaterThanOrEqual(20);
    expect(taken).toBeLessThanOrEqual(20 + filledMeanwhile);
    expect((await processes[1]?.take('another'))?.tokens).toBe(19);
    for (const { stop } of processes) stop();
    await redis.stop();
  });

  test('are each process’s own while Redis is away, hangs, or was never there', async () => {
    const port = await closedPort();
    const api = await limited(2, `redis://127.0.0.1:${port}`);
    const statuses = async (subject: string) => {
      const caller = await as(subject);
      const answers = [];
      for (let i = 0; i < 3; i++) answers.push((await api.place({}, caller)).status);
      return answers;
    };
    expect(await statuses('never')).toEqual([201, 201, 429]);

    const redis = await startRedis(port);
    const { take, stop } = await patient(port, 2);
    let probes = 0;
    await eventually('Redis is used', async () => {
      const probe = `probe-${probes++}`;
      await api.place({}, await as(probe));
      return (await take(probe)).tokens < 0.5; // of two, another process has taken one
    });
    redis.child.kill('SIGSTOP');
    expect(await statuses('hangs')).toEqual([201, 201, 429]);
    redis.child.kill('SIGCONT');
    await redis.stop();
    expect(await statuses('gone')).toEqual([201, 201, 429]);
    stop();
  });
});

const canConnect = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

describe('more than can be answered', () => {
  const shedding = { requestsMax: 5, eventLoopDelayMaxMs: 60_000 };
  test('is refused at once, with a time to come back; health and operators are not', async () => {
    const api = await apiWith({ shedding });
    const { inWork } = await whileStuck(base.databaseUrl, async () => {
      const inWork = Array.from({ length: 5 }, () => api.get('/inventory'));
      const refused = await eventually('the sixth is refused', async () => {
        const answer = await api.get('/orders');
        return answer.status === 503 && answer;
      });
      expectProblem(refused, 503, 'overloaded');
      expect(refused.headers.get('retry-after')).toMatch(/^[1-4]$/);
      expectProblem(await api.place(), 503, 'overloaded');
      expect((await api.get('/livez')).status).toBe(200);
      expect((await api.get('/admin/audit')).status).toBe(200);
      return { inWork };
    });
    await Promise.all(inWork);
    expect((await api.place()).status).toBe(201);
  });

  test('does not count requests that only wait, nor those that have disconnected', async () => {
    const api = await apiWith({ shedding });
    const waiting: ReturnType<TestApi['place']>[] = [];
    for (let i = 0; i < 8; i++) {
      waiting.push(api.place({ externalOrderId: `waits-${i}` }, { prefer: 'wait=30' }));
      const where = { externalOrderId: `waits-${i}` };
      await eventually('it is accepted', async () => (await base.db.order.count({ where })) === 1);
    }
    const streams = [];
    for (let i = 0; i < 8; i++) streams.push(await api.stream('/events'));
    await whileStuck(base.databaseUrl, async () => {
      const leaving = new AbortController();
      const left = Array.from({ length: 5 }, () =>
        fetch(`${api.url}/inventory`, { signal: leaving.signal }).catch(() => 'left'),
      );
      await eventually('they are in work', async () => (await api.get('/orders?limit=1')).status === 503);
      leaving.abort();
      expect(await Promise.all(left)).toEqual(Array(5).fill('left'));
      await eventually('there is room', async () => (await api.get('/orders?limit=1')).status === 200);
    });
    for (const stream of streams) stream.close();
    await api.stop();
    started.splice(started.indexOf(api), 1);
    expect((await Promise.all(waiting)).map((answer) => answer.status)).toEqual(Array(8).fill(201));
  });

  test('is not a burst: 64 clients that post as fast as they can are all served', async () => {
    const api = await apiWith({});
    const orders = process.env['FULL'] === '1' ? 2_000 : 300;
    let left = orders;
    const client = async () => {
      const statuses = [];
      while (left-- > 0) statuses.push((await api.place()).status);
      return statuses;
    };
    const statuses = (await Promise.all(Array.from({ length: 64 }, client))).flat();
    expect(statuses).toEqual(Array(orders).fill(201));
  }, 120_000);

  test('is recognized by the event loop’s delay as well', async () => {
    const api = await apiWith({ shedding: { requestsMax: 1_000, eventLoopDelayMaxMs: 1 } }); // any loop is later
    const refused = await eventually('it is late', async () => {
      const answer = await api.get('/orders');
      return answer.status === 503 && answer;
    });
    expectProblem(refused, 503, 'overloaded');
    expect((await api.get('/livez')).status).toBe(200);
  });
});

describe('a connection', () => {
  const quick: ServerSettings = { timeLimits: { headersMs: 300, requestMs: 600, checkEveryMs: 50 } };
  const HEAD = 'POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
  type Dripping = { socket: Socket; text: () => string; closed: Promise<void> };
  /** Sends `begin`, then one more byte again and again, and never ends. */
  function drip(port: number, begin: string, drop: string): Dripping {
    let text = '';
    let dripping: NodeJS.Timeout | undefined;
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(begin);
      if (drop !== '') dripping = setInterval(() => socket.write(drop), 50);
    });
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => undefined);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    void closed.then(() => clearInterval(dripping));
    return { socket, text: () => text, closed };
  }

  test.each([
    ['its headers', 'GET /orders HTTP/1.1\r\nHost: localhost\r\nX-Slow: ', 'a'],
    ['its request line', 'GET /', 'a'],
    ['its body', `${HEAD}Content-Length: 60000\r\n\r\n{"customerId":"`, 'a'],
    ['chunks of its body', `${HEAD}Transfer-Encoding: chunked\r\n\r\n`, '1\r\na\r\n'],
    ['its headers, saying nothing more', 'GET / HTTP/1.1\r\n', ''],
    ['anything, never having said a word', '', ''],
  ])('that never finishes %s is closed, and others do not notice', async (_, begin, drop) => {
    const api = await apiWith(quick);
    const slow = Array.from({ length: 50 }, () => drip(api.port, begin, drop));
    const healthy = async () => {
      for (let i = 0; i < 20; i++) expect((await api.get('/livez')).status).toBe(200);
      expect((await api.place()).status).toBe(201);
    };
    await Promise.all([healthy(), ...slow.map((each) => each.closed)]);
    for (const { text } of slow)
      expect(text()).toMatch(/^(HTTP\/1\.1 408 Request Timeout\r\n[\s\S]*"code":"request-timeout"|$)/);
  });

  test('beyond the limit takes the place of the one that has been idle longest', async () => {
    const api = await apiWith({ connectionsMax: 3 });
    const idle: Dripping[] = [];
    for (const begin of ['', 'GET /', `${HEAD}Content-Length: 60000\r\n\r\n{`]) {
      const each = drip(api.port, begin, '');
      await new Promise((resolve) => each.socket.once('connect', resolve));
      idle.push(each);
    }
    expect((await api.get('/livez', { connection: 'close' })).status).toBe(200);
    await idle[0]?.closed;
    expect(idle.map(({ socket }) => socket.closed)).toEqual([true, false, false]);
    for (const { socket } of idle) socket.destroy();
  });

  test('may be one of a thousand without a request', async () => {
    const api = await apiWith({});
    const idle = Array.from({ length: 1_000 }, () => drip(api.port, '', ''));
    await eventually('all are there', () => idle.every(({ socket }) => !socket.connecting));
    expect((await api.place()).status).toBe(201);
    for (const { socket } of idle) socket.destroy();
  });

  test('that pipelines its requests is answered in order', async () => {
    const body = JSON.stringify(ORDER);
    const post = `${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`;
    const { text, closed } = drip(
      base.port,
      `${post}${post}GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      '',
    );
    await closed;
    expect([...text().matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])).toEqual(['201', '201', '200']);
  });
});
