/** A line for each request that has ended: by its route's template, never its path, which a client may put anything into. */
import type { Api } from '../dependencies.js';
import { templateOf } from './request-metrics.js';

/** Asked for every few seconds by machines, or in floods by strangers, each of which has its count in the metrics. */
const QUIET_ROUTES = /^\/(docs|livez|readyz|healthz|health|openapi)/;
const QUIET_STATUSES = new Set([401, 404, 429]);

export function logRequests(app: Api): void {
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
    const { statusCode: status, elapsedTime } = reply;
    const { id } = (request.params ?? {}) as { id?: unknown };
    const line = {
      method: request.method,
      route: templateOf(route),
      status,
      ms: Math.round(elapsedTime * 10) / 10,
      ...(typeof id === 'string' && UUID.test(id) && { orderId: id }),
    };
    const isQuiet = request.is404 || QUIET_STATUSES.has(status) || QUIET_ROUTES.test(route);
    request.log[isQuiet ? 'debug' : 'info'](line, 'request completed');
    done();
  });
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
