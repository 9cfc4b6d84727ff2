/**
 * Rate, errors and duration of every route, by its template. What is counted of a route is looked up once and kept: a request
 * costs two additions. POST /orders has a finer histogram of its own (routes/order-placement).
 */
import type { Api } from '../dependencies.js';
import { requestDuration, requestsFailed } from '../metrics.js';

type Counted = { observe: (seconds: number) => void; failed: Map<number, () => void> };

export function countRequests(app: Api): void {
  const routes = new Map<string, Counted>();
  app.addHook('onResponse', (request, reply, done) => {
    const url = request.is404 ? undefined : request.routeOptions.url;
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const key = url === undefined ? '' : `${method} ${url}`;
    let counted = routes.get(key);
    if (!counted) {
      const labels = url === undefined ? { method: '', route: 'none' } : { method, route: templateOf(url) };
      counted = countedAs(labels);
      routes.set(key, counted);
    }
    if (!isWaiting(reply)) counted.observe(reply.elapsedTime / 1_000);
    if (reply.statusCode >= 400) counted.failed.get(Math.floor(reply.statusCode / 100))?.();
    done();
  });
}

/** An answer that the client has asked to be late, or that goes on for as long as it listens. */
const isWaiting = (reply: { getHeader(name: string): unknown; hasHeader(name: string): boolean }): boolean =>
  reply.hasHeader('preference-applied') || String(reply.getHeader('content-type')).startsWith('text/event-stream');

function countedAs(labels: { method: string; route: string }): Counted {
  const duration = requestDuration.labels(labels);
  return {
    observe: (seconds) => duration.observe(seconds),
    failed: new Map([4, 5].map((family) => [family, () => requestsFailed.inc({ ...labels, code: `${family}xx` })])),
  };
}

/** As the OpenAPI document writes it; the pages of the documentation are one route. */
export const templateOf = (url: string): string => (url.startsWith('/docs') ? '/docs' : url.replace(/:(\w+)/g, '{$1}'));
