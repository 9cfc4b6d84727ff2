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
  expect(refreshed).toBe(1);
  expect(performance.now() - began).toBeLessThan(8_000);
  await stop();
});
