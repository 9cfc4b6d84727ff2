/** What a scrape is made of: the process that runs all roles has 650 series at most, of the SDK's too, whatever is asked of it. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { scrape } from '../../bench/scrape.js';
import { eventually } from '../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  launch,
  newInstallation,
  type Running,
} from '../support/launcher.js';
import { type Receiver, startReceiver } from '../support/receiver.js';

const SERIES_MAX = 650;

let installation: Installation;
let running: Running;
let client: ApiClient;
let receiver: Receiver;
let port: number;
beforeAll(async () => {
  receiver = await startReceiver();
  installation = await newInstallation({
    WEBHOOK_URL: receiver.url,
    WEBHOOK_SECRET: receiver.secret,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    STEP_RETRY_BUDGET: '1s',
  });
  running = await launch(installation);
  client = clientOf(installation);
  port = running.metricsPorts()[0] ?? 0;
  await client.stock('PLENTY', 1_000);
  await client.stock('GONE', 0);
}, 120_000);
afterAll(async () => {
  await running?.stop();
  await receiver?.stop();
  await installation?.remove();
}, 60_000);

const names = async () => new Set([...(await scrape(port)).keys()].map((series) => series.replace(/\{.*/, '')));

/** One request at least to each route that the API documents, most of them refused. */
async function askEveryRoute(): Promise<void> {
  const { paths } = await client.get<{ paths: Record<string, Record<string, unknown>> }>('/openapi.json');
  for (const [path, methods] of Object.entries(paths))
    for (const method of Object.keys(methods)) {
      const url = `${installation.api}${path.replace(/\{\w+\}/g, '01a1fc4b-2622-70f0-8b6b-725674f9c1d0')}`;
      const headers = { 'content-type': 'application/json' };
      const body = ['post', 'put', 'patch'].includes(method) ? { body: '{}', headers } : {};
      const answer = await fetch(url, { method: method.toUpperCase(), ...body, signal: AbortSignal.timeout(10_000) });
      await answer.body?.cancel();
    }
  await (await fetch(`${installation.api}/nowhere`)).arrayBuffer();
}

test('orders of every end, a gateway that is away and every route asked: 650 series at most', async () => {
  await scrape(port); // the relay counts from the first one on
  const ends = await Promise.all([
    client.post({ PLENTY: 1 }),
    client.post({ PLENTY: 1 }, 'pm_card_chargeDeclined'),
    client.post({ GONE: 1 }),
    client.post({ PLENTY: 1 }, 'pm_card_visa', { prefer: 'wait=20' }),
  ]);
  for (const { id } of ends) await client.final(id);
  expect((await client.send('POST', `/orders/${ends[0]?.id}/cancel`, { reason: 'not wanted' })).status).toBeLessThan(
    300,
  );
  await client.fault({ route: 'charge', mode: 'down', count: null });
  const parked = await client.post({ PLENTY: 1 });
  try {
    await eventually('it is parked', async () => (await names()).has('order_saga_sagas_parked'), 60_000);
  } finally {
    await client.heal();
  }
  await client.final(parked.id, 60_000);
  receiver.answer = () => 422;
  await client.post({ PLENTY: 1 });
  await eventually('a dead letter is shown', async () => (await names()).has('order_saga_dead_letters_open'), 60_000);
  await askEveryRoute();

  const series = [...(await scrape(port)).keys()];
  const byName: Record<string, number> = {};
  for (const each of series) {
    const name = each.replace(/(_bucket|_count|_sum)?\{.*/, '');
    byName[name] = (byName[name] ?? 0) + 1;
  }
  const most = Object.entries(byName).sort(([, a], [, b]) => b - a);
  if (series.length > SERIES_MAX) throw new Error(`${series.length} series: ${JSON.stringify(most)}`);
  expect(new Set(series).size).toBe(series.length);
});

test('Temporal’s SDK tells of its slots, pollers, waits, memory and failures on the same port', async () => {
  const shown = await names();
  for (const name of [
    'temporal_worker_task_slots_available',
    'temporal_worker_task_slots_used',
    'temporal_num_pollers',
    'temporal_workflow_task_schedule_to_start_latency_seconds_bucket',
    'temporal_activity_schedule_to_start_latency_seconds_bucket',
    'temporal_workflow_task_execution_latency_seconds_count',
    'temporal_sticky_cache_hit_total',
    'temporal_sticky_cache_size',
    'temporal_activity_execution_failed_total',
  ])
    expect([...shown]).toContain(name);
  for (const name of shown) expect(name).toMatch(/^(order_saga|process|nodejs|temporal)_/);
});
