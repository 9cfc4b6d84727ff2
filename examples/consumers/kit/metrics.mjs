/** Metrics, for Prometheus. */
import { createServer } from 'node:http';
import { Counter, Gauge, Registry } from 'prom-client';

export function createMetrics({ consumer, lanes }) {
  const registry = new Registry();
  registry.setDefaultLabels({ consumer });
  const made = (Kind, name, help, more) => new Kind({ name, help, registers: [registry], ...more });
  const outcomes = made(Counter, 'consumer_events_total', 'Events, by what became of them', {
    labelNames: ['outcome'],
  });
  for (const outcome of ['processed', 'ignored', 'duplicate', 'dead', 'behind']) outcomes.inc({ outcome }, 0);
  made(Gauge, 'consumer_in_hand', 'Messages read and not acknowledged yet', {
    collect() {
      this.set(lanes.inHand());
    },
  });
  made(Gauge, 'consumer_lag_seconds', 'Age of the oldest event in hand; 0 = there is none', {
    collect() {
      const oldestMs = lanes.oldestMs();
      this.set(oldestMs === undefined ? 0 : Math.max(0, (Date.now() - oldestMs) / 1_000));
    },
  });
  return {
    registry,
    outcomes,
    failures: made(Counter, 'consumer_failed_tries_total', 'Tries that failed, of which each event has three'),
    late: made(Counter, 'consumer_late_total', 'Events that were had after a later one of their order'),
    paused: made(Gauge, 'consumer_paused', '1 while its own database is away, and it waits'),
    cutOff: made(Gauge, 'consumer_cut_off', '1 while its destination does not answer, or not as it should'),
    lag: made(Gauge, 'consumer_lag_events', 'Messages that the destination has for it; feed and webhook do not tell'),
  };
}

/** GET /metrics, on this machine only. @param port 0 = none. @returns ends it */
export async function serveMetrics(registry, port) {
  if (port === 0) return async () => undefined;
  const server = createServer(async (request, response) => {
    if (request.url !== '/metrics') return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics());
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
}
