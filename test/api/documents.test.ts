/** Documents that strangers may ask for: made once, compressed once, and known by their tag. */
import { get, type IncomingHttpHeaders } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { expectProblem, startServer, startTestApi, type TestApi } from '../support/api.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.stop());

type Raw = { status: number; headers: IncomingHttpHeaders; bytes: Buffer };
/** As it comes over the wire: fetch unpacks what is compressed. */
const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  new Promise<Raw>((resolve, reject) => {
    get({ host: '127.0.0.1', port: api.port, path, headers, method }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes: Buffer.concat(chunks) }),
      );
    }).on('error', reject);
  });

const DOCUMENTS = [
  '/openapi.json',
  '/docs',
  '/docs/json',
  '/docs/static/swagger-ui-bundle.js',
  '/docs/static/swagger-ui.css',
];

test.each(DOCUMENTS)('%s is compressed for whoever takes it so, and the same for whoever does not', async (path) => {
  for (let times = 0; times < 2; times++) {
    const plain = await ask(path);
    const packed = await ask(path, { 'accept-encoding': 'br, gzip;q=0.8' });
    expect([plain.status, packed.status]).toEqual([200, 200]);
    expect([plain.headers['content-encoding'], packed.headers['content-encoding']]).toEqual([undefined, 'gzip']);
    expect(gunzipSync(packed.bytes).equals(plain.bytes)).toBe(true);
    for (const { headers, bytes } of [plain, packed]) {
      expect(headers['content-length']).toBe(`${bytes.length}`);
      expect(headers).toMatchObject({ vary: 'Accept-Encoding', 'cache-control': 'public, max-age=300' });
      expect(headers).not.toHaveProperty('accept-ranges');
    }
    expect(packed.headers['content-type']).toBe(plain.headers['content-type']);
    expect(packed.headers['content-security-policy']).toBe(plain.headers['content-security-policy']);
    expect((await ask(path, { 'accept-encoding': 'gzip;q=0' })).headers['content-encoding']).toBeUndefined();
  }
});

test.each(DOCUMENTS)('%s is not sent again to whoever has it', async (path) => {
  for (const headers of [{}, { 'accept-encoding': 'gzip' }]) {
    const { headers: first } = await ask(path, headers);
    const again = await ask(path, { ...headers, 'if-none-match': `"other", W/${first.etag}` });
    expect([again.status, again.bytes.length, again.headers.etag]).toEqual([304, 0, first.etag]);
    expect((await ask(path, { ...headers, 'if-none-match': '"other"' })).status).toBe(200);
  }
  const head = await ask(path, {}, 'HEAD');
  expect([head.status, head.bytes.length, head.headers['content-length']]).toEqual([
    200,
    0,
    (await ask(path)).headers['content-length'],
  ]);
});

test('however often it is asked for, a document is made once', async () => {
  const { app, client, stop } = await startServer(api);
  const make = app.swagger.bind(app);
  let made = 0;
  app.swagger = ((...args: []) => {
    made++;
    return make(...args);
  }) as typeof app.swagger;
  await client.get('/openapi.json');
  const answers = await Promise.all(Array.from({ length: 32 }, (_, i) => client.get(`/openapi.json?n=${i}`)));
  expect([made, new Set(answers.map(({ text }) => text)).size]).toEqual([1, 1]);
  await stop();
});

test.each(['/docs/static/swagger-ui%2ecss', '/docs/static/./swagger-ui.css', '/docs/static//swagger-ui.css'])(
  'a file has one path: %s is none',
  async (path) => {
    const { status, bytes, headers } = await ask(path);
    expectProblem(
      {
        status,
        text: `${bytes}`,
        body: JSON.parse(`${bytes}`),
        headers: new Headers(headers as Record<string, string>),
      },
      404,
      'not-found',
    );
  },
);
