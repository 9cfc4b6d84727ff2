/**
 * Load shedding: a request that cannot be served in time is refused at once (503 with Retry-After), so that the others are
 * served well. Two signs: the requests in work, and an event loop that is late. Health is never shed, or a supervisor that
 * restarts unhealthy processes would make it worse; nor are the operators' routes, by which an overload is ended. Requests
 * that only wait (`Prefer: wait`, event streams) are not in work.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Api } from '../dependencies.js';
import { Problem } from '../http/problems.js';
import { createWorkload, type Workload } from './workload.js';

export type SheddingSettings = {
  /**
   * Requests in work at a time. A process accepts some 400 orders a second on two cores, and a request waits at most 3 s for
   * a connection to Postgres (runtime/database): a request behind more than a thousand would wait in vain.
   */
  requestsMax: number;
  /** How late the event loop may be, on the average of half a second, twice in a row: one long pause is no overload. */
  eventLoopDelayMaxMs: number;
};

const SAMPLE_EVERY_MS = 500;
const SAMPLES_LATE = 2;
/** Spread, so that the refused clients do not all come back at once. */
const RETRY_AFTER_MAX_S = 4;

/** Refuses what would be too much, before it costs anything. @returns where requests take their places once their caller is known */
export function shedLoad(app: Api, { requestsMax, eventLoopDelayMaxMs }: SheddingSettings): Workload {
  let late = 0;
  const workload = createWorkload(requestsMax);
  const delay = monitorEventLoopDelay();
  delay.enable();
  const sampling = setInterval(() => {
    late = delay.mean / 1e6 > eventLoopDelayMaxMs ? late + 1 : 0;
    delay.reset();
  }, SAMPLE_EVERY_MS).unref();
  app.addHook('onClose', async () => {
    clearInterval(sampling);
    delay.disable();
  });
  app.addHook('onRequest', (request, _reply, done) => {
    const isOverloaded = workload.isFull() || late >= SAMPLES_LATE;
    done(isOverloaded && !isNeverShed(request.routeOptions.url) ? overloaded() : undefined);
  });
  return workload;
}

export const overloaded = () =>
  new Problem(
    'overloaded',
    'More is asked than can be answered in time; nothing was done.',
    {},
    {
      retryAfterS: 1 + Math.floor(Math.random() * RETRY_AFTER_MAX_S),
    },
  );

export const isNeverShed = (url = ''): boolean => url === '/livez' || url === '/readyz' || url.startsWith('/admin/');
