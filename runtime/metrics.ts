/**
 * A process's metrics: one registry, to which each role adds its own, and a port of their own that speaks Prometheus' text
 * format, and says whether the process lives and is ready, however many strangers keep its other ports busy. Counting is cheap and never fails; gauges that must be read
 * from elsewhere are read at a scrape.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';
import { createCachedRead } from './cached-read.js';
import { asOpenMetrics, OPEN_METRICS } from './exemplars.js';
import { guarded, reportUnexpected, unexpectedErrors } from './guard.js';
import type { Health } from './health.js';
import { closedConnections } from './listeners/connections.js';
import { FRONT_OPTIONS, putFrontBefore } from './listeners/front.js';
import { firstAddressOf, listenOnOtherLoopback } from './listeners/loopback.js';
import { answerUnparsable, problemOf, refusedAtListeners, sendProblem } from './listeners/refusals.js';
import type { Trusted } from './listeners/strangers.js';
import { isTracing } from './tracing/spans.js';

const registry = new Registry();

/** Adds metrics to what this process shows. Only what its roles do: a 0 is a claim, too. */
export function show(metrics: Metric[]): void {
  for (const metric of metrics) registry.registerMetric(metric);
}

const refreshers: (() => Promise<void>)[] = [];
const foreign: (() => Promise<string>)[] = [];

/** @param read lines in Prometheus' text format that a library has made; keeps a limit of its own */
export function showForeign(read: () => Promise<string>): void {
  foreign.push(read);
}

/** @param refresh brings gauges up to date before a scrape is answered; keeps a limit of its own, since scrapes wait for it */
export function onScrape(refresh: () => Promise<void>): void {
  refreshers.push(refresh);
}

/** When this process began; absent for a role = no process of that role is scraped. */
const started = new Gauge({
  name: 'order_saga_process_started_timestamp_seconds',
  help: 'When this process began',
  labelNames: ['node'],
  registers: [],
});
/** What every process shows, beside those of Node (`process_…`, `nodejs_…`). */
export const processMetrics: Metric[] = [started, unexpectedErrors, refusedAtListeners, closedConnections];

/** Fewer than by default: of four kinds each. */
const GC_SECONDS = [0.01, 0.1];
/** Serving must not depend on metrics: a port that is taken is tried again. */
const TRY_AGAIN_MS = 10_000;
/** However many scrape, and however often: the work of one a second. A gauge that is late is shown as it was. */
const SCRAPE = { freshMs: 1_000, refreshLimitMs: 3_000, limitMs: 10_000 };
/** Who asks here is a neighbour, whose request fits into one packet. */
const TIME_LIMITS = { headersTimeout: 5_000, requestTimeout: 5_000, connectionsCheckingInterval: 1_000 };
/** How long a scrape may take nothing of its answer. */
const STALLED_MS = 30_000;

export type MetricsPort = {
  host: string;
  port: number;
  /** A label of every metric, which distinguishes the processes of one machine. */
  role: string;
  health: Health;
  /** Open connections; a new one beyond them takes the place of the one that has been idle longest. */
  connectionsMax: number;
  /** Whom it answers while nobody is authenticated; undefined = the network before it decides. */
  trusted?: Trusted | undefined;
  logger: Logger;
};

export function startMetrics({
  host,
  port,
  role,
  health,
  connectionsMax,
  trusted,
  logger,
}: MetricsPort): () => Promise<void> {
  registry.setDefaultLabels({ role });
  collectDefaultMetrics({ register: registry, gcDurationBuckets: GC_SECONDS });
  show(processMetrics);
  started.set({ node: process.version }, Date.now() / 1_000);
  const scrape = createScrape(role, logger);
  const unanswered = new WeakSet<Socket>();
  const server = createServer({ ...FRONT_OPTIONS, ...TIME_LIMITS }, (request, response) => {
    const { socket } = request;
    // No neighbour asks before it has been answered; who does could have thousands answered in one go, and the API wait for it.
    if (unanswered.has(socket)) return void socket.destroy();
    unanswered.add(socket);
    response.once('finish', () => unanswered.delete(socket));
    answer(request, response, health, scrape).catch((err: unknown) => {
      reportUnexpected(logger, 'metrics port', err);
      if (response.headersSent) response.destroy();
      else respond(response, 500, 'text/plain', 'see the log of this process\n');
    });
  });
  server.setTimeout(STALLED_MS);
  server.on('clientError', answerUnparsable);
  putFrontBefore(server, { listener: 'metrics', trusted, connections: { max: connectionsMax } });
  let trying: NodeJS.Timeout | undefined;
  const listen = guarded(logger, 'metrics port', () => {
    if (!server.listening) server.listen(port, firstAddressOf(host), () => void listenOnOtherLoopback(server, host));
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

/** A role for lines of a library's, which know of none. */
const labelled = (text: string, role: string): string =>
  text === ''
    ? ''
    : `${text.replace(/^(\w+)(?:\{(.*)\})? /gm, (_, name, labels) => `${name}{${labels ? `${labels},` : ''}role="${role}"} `)}\n`;

/** `open`: the same as OpenMetrics, with exemplars. */
type Scraped = { text: string; open?: string };
type Scrape = () => Promise<Scraped | Error>;

/** One at a time, whoever waits for it. */
function createScrape(role: string, logger: Logger): Scrape {
  return createCachedRead<Scraped | Error>({
    freshMs: 0,
    limitMs: SCRAPE.limitMs,
    read: async () => {
      const refreshed = Promise.all(refreshers.map((refresh) => refreshGuarded(refresh, logger)));
      await Promise.race([refreshed, pause(SCRAPE.refreshLimitMs, undefined, { ref: false })]);
      const others = await Promise.all(foreign.map((read) => read().catch(() => ''))); // whose absence shows
      const lines = others.map((text) => labelled(text, role));
      return {
        text: [await registry.metrics(), ...lines].join(''),
        ...(isTracing() && { open: await asOpenMetrics(registry, lines) }),
      };
    },
    otherwise: (err) => (err instanceof Error ? err : new Error('the metrics could not be read in time')),
  });
}

async function answer(
  { method, url, headers }: IncomingMessage,
  response: ServerResponse,
  health: Health,
  scrape: Scrape,
): Promise<void> {
  const path = url?.split('?')[0] ?? '';
  if (!PATHS.includes(path)) return sendProblem(response, problemOf('not-found', `There is ${PATHS.join(', ')}.`));
  if (method !== 'GET' && method !== 'HEAD')
    return sendProblem(response, problemOf('method-not-allowed', 'GET and HEAD are offered here.'), {
      allow: 'GET, HEAD',
    });
  if (path === '/livez') return respond(response, 200, 'application/json', JSON.stringify({ alive: true }));
  if (path === '/readyz') {
    const readiness = await health.read();
    return respond(response, readiness.ready ? 200 : 503, 'application/json', JSON.stringify(readiness));
  }
  const scraped = await scrape();
  if (scraped instanceof Error) throw scraped;
  const wantsOpen = `${headers.accept}`.includes('application/openmetrics-text');
  if (wantsOpen && scraped.open !== undefined) return respond(response, 200, OPEN_METRICS, scraped.open);
  respond(response, 200, registry.contentType, scraped.text);
}

const PATHS = ['/metrics', '/livez', '/readyz'];

/** A refresh that fails is reported; the other gauges are shown all the same. */
async function refreshGuarded(refresh: () => Promise<void>, logger: Logger): Promise<void> {
  try {
    await refresh();
  } catch (err) {
    reportUnexpected(logger, 'scrape', err);
  }
}

/** No page may take it for a script, or run anything in it. */
function respond(response: ServerResponse, status: number, type: string, body: string): void {
  response
    .writeHead(status, {
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
    })
    .end(body);
}

function close(server: Server): Promise<void> {
  if (!server.listening) return Promise.resolve();
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
