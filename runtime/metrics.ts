/**
 * A process's metrics: one registry, to which each role adds its own, and a port of their own that speaks Prometheus' text
 * format, and says whether the process lives and is ready. Counting is cheap and never fails; gauges that must be read
 * from elsewhere are read at a scrape.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import { guarded, reportUnexpected, unexpectedErrors } from './guard.js';
import type { Health } from './health.js';

const registry = new Registry();

/** Adds metrics to what this process shows. Only what its roles do: a 0 is a claim, too. */
export function show(metrics: Metric[]): void {
  for (const metric of metrics) registry.registerMetric(metric);
}

const refreshers: (() => Promise<void>)[] = [];

/** @param refresh brings gauges up to date before a scrape is answered; keeps a limit of its own, since scrapes wait for it */
export function onScrape(refresh: () => Promise<void>): void {
  refreshers.push(refresh);
}

/** Serving must not depend on metrics: a port that is taken is tried again. */
const TRY_AGAIN_MS = 10_000;

/** @param role a label of every metric, which distinguishes the processes of one machine */
export function startMetrics({
  host,
  port,
  role,
  health,
  logger,
}: {
  host: string;
  port: number;
  role: string;
  health: Health;
  logger: Logger;
}): () => Promise<void> {
  registry.setDefaultLabels({ role });
  collectDefaultMetrics({ register: registry });
  show([unexpectedErrors]);
  const server = createServer((request, response) => {
    answer(request, response, health, logger).catch((err: unknown) => {
      reportUnexpected(logger, 'metrics port', err);
      if (response.headersSent) response.destroy();
      else respond(response, 500, 'text/plain', 'see the log of this process\n');
    });
  });
  let trying: NodeJS.Timeout | undefined;
  const listen = guarded(logger, 'metrics port', () => {
    if (!server.listening) server.listen(port, host);
  });
  // Also of a connection that could not be accepted, while the port is held.
  server.on('error', (err) => {
    logger.error({ err }, `no metrics: METRICS_PORT ${port} on ${host} cannot be had; trying again`);
    clearTimeout(trying);
    trying = setTimeout(listen, TRY_AGAIN_MS).unref();
  });
  listen();
  return async () => {
    clearTimeout(trying);
    await close(server);
  };
}

async function answer(
  { method, url }: IncomingMessage,
  response: ServerResponse,
  health: Health,
  logger: Logger,
): Promise<void> {
  const path = method === 'GET' ? url?.split('?')[0] : undefined;
  switch (path) {
    case '/metrics':
      await Promise.all(refreshers.map((refresh) => refreshGuarded(refresh, logger)));
      return respond(response, 200, registry.contentType, await registry.metrics());
    case '/livez':
      return respond(response, 200, 'application/json', JSON.stringify({ alive: true }));
    case '/readyz': {
      const readiness = await health.read();
      return respond(response, readiness.ready ? 200 : 503, 'application/json', JSON.stringify(readiness));
    }
    default:
      return respond(response, 404, 'text/plain', 'GET /metrics, /livez, /readyz\n');
  }
}

/** A refresh that fails is reported; the other gauges are shown all the same. */
async function refreshGuarded(refresh: () => Promise<void>, logger: Logger): Promise<void> {
  try {
    await refresh();
  } catch (err) {
    reportUnexpected(logger, 'scrape', err);
  }
}

function respond(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type }).end(body);
}

function close(server: Server): Promise<void> {
  if (!server.listening) return Promise.resolve();
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
