/** The answers over HTTP, and the page that shows them. Whoever reaches the port may read: keep it on this machine, or put a proxy before it. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createCache } from './cache.mjs';
import { askProducts, askStatus, askTotals, BadQuestion, readQuestion } from './queries.mjs';

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};
const LOOPBACK = ['127.0.0.1', '::1', 'localhost', '[::1]'];
const RETRY_AFTER_S = 2;

const QUESTIONS = { '/v1/totals': askTotals, '/v1/products': askProducts };

/** @returns the server, which listens */
export async function serve({ db, settings: { host, port, cacheTtlMs }, log }) {
  const cached = createCache(cacheTtlMs);
  const files = readFiles();
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    void reply(request)
      .catch((err) => {
        log('error', `An answer failed: ${err.message}`, { code: err.code });
        return problem(503, 'The sums cannot be read just now.', { 'retry-after': RETRY_AFTER_S });
      })
      .then(([status, headers, body]) => {
        response.writeHead(status, { ...HEADERS, ...headers });
        response.end(request.method === 'HEAD' ? undefined : body);
      });
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return server;

  async function reply({ method, url, headers }) {
    if (method !== 'GET' && method !== 'HEAD') return problem(405, 'GET and HEAD only.', { allow: 'GET, HEAD' });
    // A page of somebody else's that has its own name lead to this machine is not let in. Who opened it to others is known by other names.
    const name = `${headers.host}`.replace(/:\d+$/, '');
    if (LOOPBACK.includes(host) && !LOOPBACK.includes(name))
      return problem(421, 'This server is not known by that name.');
    const { pathname, searchParams } = new URL(url, 'http://local');
    const file = files.get(pathname);
    if (file) return [200, { 'content-type': file.type, 'cache-control': 'no-cache' }, file.content];
    if (pathname === '/livez') return [200, { 'content-type': 'text/plain' }, 'ok'];
    if (pathname === '/v1/status') return answerTo(await cached(pathname, () => askStatus(db)));
    const ask = Object.hasOwn(QUESTIONS, pathname) ? QUESTIONS[pathname] : undefined;
    if (!ask) return problem(404, 'There is nothing here: /v1/totals, /v1/products, /v1/status.');
    try {
      const question = readQuestion(searchParams);
      return answerTo(await cached(`${pathname} ${JSON.stringify(question)}`, () => ask(db, question)));
    } catch (err) {
      if (err instanceof BadQuestion) return problem(400, err.message);
      throw err;
    }
  }
}

/** How far it is behind is said of the moment at which it is sent, however old the answer is. */
function answerTo(answer) {
  if (!answer) return problem(503, 'The sums are being built for the first time.', { 'retry-after': RETRY_AFTER_S });
  const behindMs = Math.max(0, Date.now() - Date.parse(answer.asOf));
  const { asOf, ...rest } = answer;
  return [
    200,
    { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
    JSON.stringify({ asOf, behindMs, ...rest }),
  ];
}

function problem(status, detail, headers = {}) {
  return [status, { 'content-type': 'application/problem+json', ...headers }, JSON.stringify({ status, detail })];
}

/** All that the page is made of, by this process: nothing of it comes from anywhere else. */
function readFiles() {
  const uplot = createRequire(import.meta.url).resolve('uplot/package.json');
  const of = (url, type) => ({ type: `${type}; charset=utf-8`, content: readFileSync(url) });
  const page = (name) => new URL(`page/${name}`, import.meta.url);
  const vendor = (name) => new URL(`dist/${name}`, `file://${uplot}`);
  return new Map([
    ['/', of(page('index.html'), 'text/html')],
    ['/icon.svg', of(page('icon.svg'), 'image/svg+xml')],
    ['/page.css', of(page('page.css'), 'text/css')],
    ['/page.mjs', of(page('page.mjs'), 'text/javascript')],
    ['/uPlot.mjs', of(vendor('uPlot.esm.js'), 'text/javascript')],
    ['/uPlot.css', of(vendor('uPlot.min.css'), 'text/css')],
  ]);
}
