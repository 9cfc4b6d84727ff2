/**
 * A process's metrics: one registry, to which each role adds its own, and a port of their own that speaks Prometheus' text
 * format. Counting is cheap and never fails; what must be asked for is asked when somebody scrapes.
 */
import { createServer, type Server } from 'node:http';
import type { Logger } from 'pino';
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';

const registry = new Registry();

/** Adds metrics to what this process shows. Only what its roles do: a 0 is a claim, too. */
export function show(metrics: Metric[]): void {
  for (const metric of metrics) registry.registerMetric(metric);
}

const refreshers: (() => Promise<void>)[] = [];

/** @param refresh brings gauges up to date before a scrape is answered; must not throw */
export function onScrape(refresh: () => Promise<void>): void {
  refreshers.push(refresh);
}

/** Nothing that is served may depend on metrics: a port that cannot be had is asked for again. */
const TRY_AGAIN_MS = 10_000;

/** @param role tells the processes of one machine apart, as a label of every metric */
export function startMetrics({
  host,
  port,
  role,
  logger,
}: {
  host: string;
  port: number;
  role: string;
  logger: Logger;
}): () => Promise<void> {
  registry.setDefaultLabels({ role });
  collectDefaultMetrics({ register: registry });
  const server = createServer(async (request, response) => {
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('GET /metrics\n');
      return;
    }
    await Promise.all(refreshers.map((refresh) => refresh()));
    response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics());
  });
  let trying: NodeJS.Timeout | undefined;
  server.on('error', (err) => {
    logger.error({ err }, `no metrics: METRICS_PORT ${port} on ${host} cannot be had; trying again`);
    trying = setTimeout(() => server.listen(port, host), TRY_AGAIN_MS).unref();
  });
  server.listen(port, host);
  return async () => {
    clearTimeout(trying);
    await close(server);
  };
}

function close(server: Server): Promise<void> {
  if (!server.listening) return Promise.resolve();
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
