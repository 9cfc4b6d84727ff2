/** Temporal and Postgres, frozen: they take connections and say nothing. No process of ours dies of it, or says what is not. */
import { spawnSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  isAlive,
  launch,
  newInstallation,
  type Running,
} from '../support/launcher.js';

/** A scrape waits for 3 s at most, a probe for 1 s; the rest is for a machine that has ten times as much to do as it can. */
const SCRAPE_LIMIT_MS = 12_000;
const PROBE_LIMIT_MS = 10_000;
const POST_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 12_000;
/** Temporal's client needs up to 45 s to notice that a connection is dead, if it does. */
const HEAL_LIMIT_MS = 90_000;

let installation: Installation;
let running: Running;
let client: ApiClient;
let metrics: string;
beforeAll(async () => {
  installation = await newInstallation({ STEP_RETRY_BUDGET: '2s' });
  running = await launch(installation);
  client = clientOf(installation);
  [metrics = ''] = /http:\S+(?=\/metrics)/.exec(running.output()) ?? [];
  await client.stock('PLENTY', 1_000);
}, 120_000);
afterEach(() => client.heal());
afterAll(async () => {
  await running?.stop();
  await installation?.remove();
}, 60_000);

/** The process and all that it has begun. */
const family = (pid: number): number[] => {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', `${pid}`], { encoding: 'utf8' });
  return [pid, ...stdout.split('\n').filter(Boolean).map(Number)];
};
async function whileFrozen(name: string, act: () => Promise<void>): Promise<void> {
  const pids = family(running.pid(name));
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    await act();
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
}
const within = async (limitMs: number, url: string): Promise<{ status: number; text: string }> => {
  const answer = await fetch(url, { signal: AbortSignal.timeout(limitMs) });
  return { status: answer.status, text: await answer.text() };
};
const scrape = async () => {
  const { status, text } = await within(SCRAPE_LIMIT_MS, `${metrics}/metrics`);
  expect(status).toBe(200);
  return text;
};
const says = (line: string) => eventually(`metrics say ${line}`, async () => (await scrape()).includes(line), 60_000);
const isUp = (source: string, value: 0 | 1) => `order_saga_facts_up{source="${source}",role="all"} ${value}`;
const final = async (ids: string[]) => {
  for (const id of ids) expect((await client.final(id, HEAL_LIMIT_MS)).status).toBe('CONFIRMED');
};

test('a frozen Temporal: scrapes and probes are answered, every POST is taken, and known facts stand', async () => {
  const pid = running.pid('all');
  const { id: stuck } = await park();
  const attention = /order_saga_sagas_needing_attention\{step="chargePayment",failure="\w+",role="all"\} 1/;
  await eventually('the stuck saga is shown', async () => attention.test(await scrape()), 60_000);
  const ids: string[] = [];
  await whileFrozen('Temporal', async () => {
    // Two at a time: the second finds the first one's question.
    await eventually(
      'Temporal is silent',
      async () => (await Promise.all([scrape(), scrape()])).every((text) => text.includes(isUp('temporal', 0))),
      60_000,
    );
    expect(await scrape()).toMatch(attention); // an alarm does not end because its source is silent
    for (let i = 0; i < 10; i++) ids.push((await client.post({ PLENTY: 1 })).id);
    expect((await within(PROBE_LIMIT_MS, `${installation.api}/readyz`)).text).toBe('{"ready":true}');
    const { status, text } = await within(PROBE_LIMIT_MS, `${metrics}/readyz`);
    expect([status, JSON.parse(text)]).toMatchObject([
      503,
      {
        ready: false,
        roles: { api: { ready: true }, worker: { ready: false, temporal: 'down' }, relay: { ready: true } },
      },
    ]);
    expect((await within(PROBE_LIMIT_MS, `${metrics}/livez`)).status).toBe(200);
    expect(isAlive(pid)).toBe(true);
    await client.heal();
  });
  expect(running.pid('all')).toBe(pid);
  await final(ids);
  await says(isUp('temporal', 1));
  await eventually(
    'it is ready',
    async () => (await within(PROBE_LIMIT_MS, `${metrics}/readyz`)).status === 200,
    60_000,
  );
  await client.send('POST', `/orders/${stuck}/cancel`, { reason: 'enough' });
  await client.final(stuck, 60_000); // cancelled, unless the prober was faster
}, 300_000);

test('a frozen Postgres: scrapes and probes are answered, a POST is refused in time, and a stop takes seconds', async () => {
  const pid = running.pid('all');
  await says(isUp('database', 1));
  await whileFrozen('Postgres', async () => {
    await says(isUp('database', 0));
    expect(await scrape()).toContain('order_saga_unstarted_orders{role="all"} 0');
    const { status, text } = await within(PROBE_LIMIT_MS, `${installation.api}/readyz`);
    expect([status, text]).toEqual([503, '{"ready":false}']);
    expect((await within(PROBE_LIMIT_MS, `${metrics}/livez`)).status).toBe(200);
    expect((await within(PROBE_LIMIT_MS, `${installation.api}/livez`)).status).toBe(200);
    const body = { customerId: 'cus_system', paymentMethod: 'pm_card_visa', items: [{ sku: 'PLENTY', quantity: 1 }] };
    const answer = await fetch(`${installation.api}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(POST_LIMIT_MS),
    });
    expect(answer.status).toBe(503);
    expect(isAlive(pid)).toBe(true);

    const from = performance.now();
    process.kill(pid, 'SIGTERM');
    await eventually('it has stopped', () => !isAlive(pid), 20_000);
    expect(performance.now() - from).toBeLessThan(STOP_LIMIT_MS);
  });
  await eventually(
    'it runs again',
    async () => (await within(PROBE_LIMIT_MS, `${metrics}/readyz`)).status === 200,
    90_000,
  );
  await final([(await client.post({ PLENTY: 1 })).id]);
}, 300_000);

/** An order that asks for an operator, for as long as the gateway is down. */
async function park(): Promise<{ id: string }> {
  await client.fault({ route: 'charge', mode: 'down', count: null });
  const order = await client.post({ PLENTY: 1 });
  await eventually(
    'it is parked',
    async () => (await client.get<{ state: string }>(`/orders/${order.id}/saga`)).state === 'NEEDS_ATTENTION',
    60_000,
  );
  return order;
}
