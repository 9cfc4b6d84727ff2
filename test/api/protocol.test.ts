import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PROBLEMS } from '../../api/http/problems.js';
import { countStored, expectProblem, ORDER, raw, startTestApi, type TestApi } from '../support/api.js';
import { stock } from '../support/database.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterAll(() => api.stop());

const BODY = JSON.stringify(ORDER);
const HEAD = 'Host: localhost\r\nConnection: close\r\n';
const post = (headers: string, body = BODY) => raw(api.port, `POST /orders HTTP/1.1\r\n${HEAD}${headers}\r\n${body}`);
const sized = (headers: string, body = BODY) => post(`${headers}Content-Length: ${Buffer.byteLength(body)}\r\n`, body);

describe('a body', () => {
  test.each([
    'application/json',
    'Application/JSON',
    'application/json;charset=utf-8',
    'application/json; charset=UTF-8',
    'application/json ; charset="utf-8"',
    'application/json;',
  ])('is taken as %p', async (type) => {
    expect((await sized(`Content-Type: ${type}\r\n`)).status).toBe(201);
  });

  test.each([
    'text/plain',
    'text/json',
    'text/plain; application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/octet-stream',
    'application/xml',
    'application/problem+json',
    'application/vnd.api+json',
    'application/jsonp',
    'application/json/x',
    'application/json, text/plain',
    'application',
    'json',
    '*/*',
    'a b',
    '',
  ])('is refused as %p', async (type) => {
    expectProblem(await sized(`Content-Type: ${type}\r\n`), 415, 'unsupported-media-type');
  });

  test('is refused without a type', async () => {
    expectProblem(await sized(''), 415, 'unsupported-media-type');
  });

  test('is needed', async () => {
    expectProblem(await post('', ''), 400, 'invalid-request', ['']);
    expectProblem(await post('Content-Type: application/json\r\n', ''), 400, 'malformed-json');
    expectProblem(await sized('Content-Type: application/json\r\n', ''), 400, 'malformed-json');
  });

  test('may begin with a byte order mark', async () => {
    expect((await sized('Content-Type: application/json\r\n', `\ufeff${BODY}`)).status).toBe(201);
  });

  test('may come in chunks', async () => {
    const chunked = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
    expect((await post('Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n', chunked)).status).toBe(201);
  });

  test('that never says how long it is must still end at 64 KiB', async () => {
    const chunk = `${(70_000).toString(16)}\r\n${' '.repeat(70_000)}\r\n0\r\n\r\n`;
    expectProblem(
      await post('Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n', chunk),
      413,
      'payload-too-large',
    );
  });

  test.each<[string, string | Uint8Array]>([
    ['gzip', gzipSync(BODY)],
    ['GZIP', gzipSync(' '.repeat(10_000_000))],
    ['deflate', BODY],
    ['br', BODY],
    ['identity, gzip', BODY],
    ['nonsense', BODY],
  ])('that is encoded (%s) is refused, whatever is in it', async (encoding, body) => {
    const before = await countStored(api.db);
    const answer = await api.send('POST', '/orders', body, { 'content-encoding': encoding });
    expectProblem(answer, 415, 'unsupported-media-type');
    expect(await countStored(api.db)).toEqual(before);
  });

  test('that is encoded as itself is taken', async () => {
    expect((await api.send('POST', '/orders', BODY, { 'content-encoding': 'identity' })).status).toBe(201);
  });

  test('is waited for after 100 Continue', async () => {
    const { text } = await sized('Content-Type: application/json\r\nExpect: 100-continue\r\n');
    expect(text).toContain('HTTP/1.1 201 Created');
  });
});

describe('a request that is no HTTP', () => {
  test.each([
    ['words', 'hello\r\n\r\n'],
    ['a version that does not exist', 'GET /livez HTTP/9.9\r\n\r\n'],
    ['two lengths', `POST /orders HTTP/1.1\r\n${HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
    [
      'a length and chunks',
      `POST /orders HTTP/1.1\r\n${HEAD}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['a negative length', `POST /orders HTTP/1.1\r\n${HEAD}Content-Length: -1\r\n\r\n`],
    ['a NUL in a header', `GET /livez HTTP/1.1\r\n${HEAD}X-A: a\0b\r\n\r\n`],
    ['an unknown method', `BREW /coffee HTTP/1.1\r\n${HEAD}\r\n`],
  ])('(%s) is answered with a problem all the same', async (_, request) => {
    expectProblem(await raw(api.port, request), 400, 'malformed-request');
  });

  test('because of the size of its headers is answered with that problem', async () => {
    const answer = await raw(api.port, `GET /livez HTTP/1.1\r\n${HEAD}X-A: ${'a'.repeat(20_000)}\r\n\r\n`);
    expectProblem(answer, 431, 'headers-too-large');
    expect(answer.body).toMatchObject({ detail: 'The headers are larger than 16 KiB.' });
  });

  test('because of the number of its headers is answered with that problem', async () => {
    const some = (n: number) => Array.from({ length: n }, (_, i) => `X-${i}: 1\r\n`).join('');
    expect((await raw(api.port, `GET /livez HTTP/1.1\r\n${HEAD}${some(98)}\r\n`)).status).toBe(200);
    const answer = await raw(api.port, `GET /livez HTTP/1.1\r\n${HEAD}${some(99)}\r\n`);
    expectProblem(answer, 431, 'headers-too-large');
  });

  test.each(['/orders/%zz', '/%c0%ae', '/inventory/%', '/orders?limit=%zz', '/orders?%'])(
    'for its path (%s) is a problem',
    async (path) => {
      const { status, headers, body } = await raw(
        api.port,
        `GET ${path} HTTP/1.1\r\n${HEAD}X-Correlation-ID: c-1\r\n\r\n`,
      );
      expect([status, headers.get('content-type'), headers.get('x-correlation-id')]).toEqual([
        400,
        'application/problem+json',
        'c-1',
      ]);
      expect(body).toMatchObject({ status: 400, correlationId: 'c-1' });
    },
  );
});

describe('a path', () => {
  test.each([
    '/',
    '/order',
    '/orders/',
    '/orders//',
    '//livez',
    '/livez/',
    '/docs/../../etc/passwd',
    '/docs/static/..%2f..%2fpackage.json',
    '/.env',
    '/metrics',
    `/${'x'.repeat(5_000)}`,
  ])('at which there is nothing is 404: %s', async (path) => {
    expectProblem(await raw(api.port, `GET ${path} HTTP/1.1\r\n${HEAD}\r\n`), 404, 'not-found');
  });

  test.each([
    'DELETE /orders',
    'PATCH /orders',
    'PUT /orders',
    'POST /livez',
    'DELETE /inventory/KEYBOARD',
    'TRACE /orders',
    'OPTIONS /orders',
    'POST /events',
  ])('offers its own methods only: %s is 405', async (request) => {
    expectProblem(await raw(api.port, `${request} HTTP/1.1\r\n${HEAD}\r\n`), 405, 'method-not-allowed');
  });

  test('names what it offers instead', async () => {
    const allow = async (path: string) => (await api.send('DELETE', path)).headers.get('allow');
    expect(await allow('/orders')).toBe('GET, HEAD, POST');
    expect(await allow('/inventory/KEYBOARD')).toBe('GET, HEAD, PUT');
    expect(await allow('/nothing')).toBeNull();
  });

  test.each([
    ['QUERY', {}],
    ['PATCH', { 'content-type': 'application/json' }],
    ['PATCH', { 'content-type': 'text/plain', 'content-encoding': 'gzip' }],
  ])('says so of %s before it looks at the body, whatever that is: %j', async (method, headers) => {
    const head = Object.entries({ host: 'localhost', connection: 'close', 'content-length': '2', ...headers });
    const lines = head.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    expectProblem(await raw(api.port, `${method} /orders HTTP/1.1\r\n${lines}\r\n{x`), 405, 'method-not-allowed');
    expectProblem(await raw(api.port, `${method} /nothing HTTP/1.1\r\n${lines}\r\n{x`), 404, 'not-found');
  });

  test('answers HEAD like GET, without a body, also where GET would stream', async () => {
    expect(await api.send('HEAD', '/inventory')).toMatchObject({ status: 200, text: '' });
    expect(await api.send('HEAD', '/events', undefined, { accept: 'text/event-stream' })).toMatchObject({
      status: 200,
      text: '',
    });
  });
});

describe('a query string', () => {
  test.each([
    ['/orders?limit=0', 'querystring/limit'],
    ['/orders?limit=1001', 'querystring/limit'],
    ['/orders?limit=', 'querystring/limit'],
    ['/orders?limit=ten', 'querystring/limit'],
    ['/orders?limit=1.5', 'querystring/limit'],
    ...[
      '1e2',
      '%2B5',
      '+5',
      '%205',
      '5%20',
      '05',
      '0x10',
      '1_0',
      '-0',
      '٣',
      '1%00',
      '1000.0',
      'Infinity',
      '1n',
    ].flatMap((spelling): [string, string][] => [
      [`/orders?limit=${spelling}`, 'querystring/limit'],
      [`/events?limit=${spelling}`, 'querystring/limit'],
    ]),
    ['/orders?limit=1&limit=2', 'querystring/limit'],
    ['/orders?status=pending', 'querystring/status'],
    ['/orders?status=PENDING&status=CONFIRMED', 'querystring/status'],
    ['/orders?status=', 'querystring/status'],
    ['/orders?customerId=', 'querystring/customerId'],
    ['/orders?customerId=a%00b', 'querystring/customerId'],
    ['/orders?customerID=cus_42', 'querystring/customerID'],
    ['/orders?__proto__=1', 'querystring/__proto__'],
    ['/orders?constructor=1', 'querystring/constructor'],
    ['/orders?cursor=', 'querystring/cursor'],
    ['/orders?cursor=x', 'querystring/cursor'],
    ['/orders?cursor=AAAA', 'querystring/cursor'],
    [`/orders?cursor=${'A'.repeat(201)}`, 'querystring/cursor'],
    ['/inventory?limit=0', 'querystring/limit'],
    ['/inventory?cursor=AA', 'querystring/cursor'],
    ['/inventory?after=AA', 'querystring/after'],
    ['/events?limit=1001', 'querystring/limit'],
    ['/events?after=', 'querystring/after'],
    ['/events?after=0', 'querystring/after'],
    ['/events?cursor=MC0w', 'querystring/cursor'],
    [`/events?after=${Buffer.from('9223372036854775808-1').toString('base64url')}`, 'querystring/after'],
    [`/events?after=${Buffer.from('1-9999999999999999999').toString('base64url')}`, 'querystring/after'],
  ])('%s is refused', async (path, pointer) => {
    expectProblem(await api.get(path), 400, 'invalid-request', [pointer]);
  });

  test('names the statuses there are', async () => {
    const { errors } = expectProblem(await api.get('/orders?status=open'), 400, 'invalid-request');
    expect(errors).toEqual([{ pointer: 'querystring/status', detail: 'must be one of PENDING, CONFIRMED, CANCELLED' }]);
  });
});

describe('every problem', () => {
  test('is explained at its type', async () => {
    for (const [code, [status, title, remedy]] of Object.entries(PROBLEMS)) {
      expect(await api.get(`/problems/${code}`)).toMatchObject({
        status: 200,
        body: { type: `/problems/${code}`, code, status, title, remedy },
      });
    }
  });

  test.each(['none', 'constructor', '__proto__', 'toString', 'hasOwnProperty'])(
    'that does not exist (%s) is 404',
    async (code) => {
      expectProblem(await api.get(`/problems/${code}`), 404, 'not-found');
    },
  );
});

test('a failure of ours is answered without a word of what has failed', async () => {
  await api.db.$executeRaw`ALTER TABLE inventory RENAME COLUMN name TO title`; // as no release of ours would
  try {
    const answer = await api.get('/inventory');
    expectProblem(answer, 500, 'internal-error');
    expect(answer.text).not.toMatch(/column|name|P20|prisma|select/i);
  } finally {
    await api.db.$executeRaw`ALTER TABLE inventory RENAME COLUMN title TO name`;
  }
});
