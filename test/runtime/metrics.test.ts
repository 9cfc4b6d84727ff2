/** What a scrape costs, however many ask for one. */
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { freePort } from '../../local/processes/ports.js';
import { createHealth } from '../../runtime/health.js';
import { onScrape, startMetrics } from '../../runtime/metrics.js';

const logger = pino({ level: 'silent' });
const never = new Promise<never>(() => undefined);

test('one scrape is made for all who ask within a second, and a gauge that hangs does not hold it up', async () => {
  const port = await freePort();
  const health = createHealth([]);
  const stop = startMetrics({ host: '127.0.0.1', port, role: 'test', health, connectionsMax: 100, logger });
  let refreshed = 0;
  onScrape(async () => {
    refreshed++;
    await never;
  });
  const began = performance.now();
  await Promise.all(
    Array.from({ length: 50 }, async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).arrayBuffer()),
  );
  await (await fetch(`http://127.0.0.1:${port}/metrics`)).arrayBuffer(); // after those, within the second
  const elapsedMs = performance.now() - began;
  expect(refreshed).toBeLessThanOrEqual(Math.ceil(elapsedMs / 1_000)); // a busy machine may need more than the second
  expect(refreshed).toBeLessThan(10);
  expect(elapsedMs).toBeLessThan(20_000); // five of them that waited for the gauge in turn would take longer than that
  await stop();
});
