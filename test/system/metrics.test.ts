/** Metrics, scraped from real processes after real orders: api, worker and relay apart. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { scrape } from '../../bench/scrape.js';
import { raw } from '../support/api.js';
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

let installation: Installation;
let running: Running;
let client: ApiClient;
let receiver: Receiver;
let ports: number[];
beforeAll(async () => {
  receiver = await startReceiver();
  installation = await newInstallation({
    LOCAL_PROCESSES: 'api,worker,relay',
    ALLOWED_HOSTS: 'orders.internal',
    WEBHOOK_URL: receiver.url,
    WEBHOOK_SECRET: receiver.secret,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    STEP_RETRY_BUDGET: '1s',
    DELIVERY_BACKOFF_MAX: '500ms',
  });
  running = await launch(installation);
  client = clientOf(installation);
  ports = running.metricsPorts();
  await client.stock('PLENTY', 1_000);
  await client.stock('GONE', 0);
}, 120_000);
afterAll(async () => {
  await running?.stop();
  await receiver?.stop();
  await installation?.remove();
}, 30_000);

const [api, worker, relay] = [0, 1, 2].map((index) => () => scrape(ports[index] ?? 0));
const until = (what: string, of: typeof api, series: string, isRight: (is: number) => boolean) =>
  eventually(
    what,
    async () => {
      const all = (await of?.()) ?? new Map<string, number>();
      if (isRight(all.get(series) ?? Number.NaN)) return true;
      const [name = ''] = series.split('{');
      throw new Error(JSON.stringify([...all].filter(([each]) => each.startsWith(name))));
    },
    45_000,
  );

describe('metrics', () => {
  test('have a port for each process, from METRICS_PORT on, and nothing else on it', async () => {
    expect(ports).toHaveLength(3);
    expect(ports[0]).toBeGreaterThanOrEqual(Number(installation.env['METRICS_PORT']));
    expect((await fetch(`http://127.0.0.1:${ports[0]}/orders`)).status).toBe(404);
    const { headers } = await fetch(`http://127.0.0.1:${ports[0]}/metrics`);
    expect(headers.get('content-type')).toMatch(/^text\/plain/);
    for (const [index, role] of ['api', 'worker', 'relay'].entries()) {
      const names = [...(await scrape(ports[index] ?? 0)).keys()];
      expect(names).toContain(`process_resident_memory_bytes{role="${role}"}`);
    }
  });

  test('and health answer this machine only while nobody is authenticated, as the API and the sandbox do', async () => {
    const listeners = [...ports, Number(installation.env['PORT']), Number(installation.env['SANDBOX_PORT'])];
    const ask = async (port: number, headers: string) =>
      (await raw(port, `GET /livez HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`)).status;
    for (const port of listeners) {
      const statuses = [
        await ask(port, 'Host: localhost'),
        await ask(port, 'Host: orders.internal:80'),
        await ask(port, 'Host: evil.example'),
        await ask(port, 'Host: localhost\r\nSec-Fetch-Site: cross-site'),
        await ask(port, 'Host: localhost\r\nX-Forwarded-For: 203.0.113.7'),
        await ask(port, 'Host: localhost\r\nHost: localhost'),
      ];
      expect([port, statuses]).toEqual([port, [200, 200, 421, 403, 403, 400]]);
    }
  });

  test('count orders once: accepted by the API, ended by the relay, delivered by the relay', async () => {
    await relay?.(); // it counts from the first scrape on
    const ends = await Promise.all([
      client.post({ PLENTY: 1 }),
      client.post({ PLENTY: 1 }, 'pm_card_visa', { prefer: 'wait=20' }),
      client.post({ PLENTY: 1 }, 'pm_card_chargeDeclined'),
      client.post({ GONE: 1 }),
    ]).then((orders) => Promise.all(orders.map(({ id }) => client.final(id))));
    expect(ends.map(({ status }) => status)).toEqual(['CONFIRMED', 'CONFIRMED', 'CANCELLED', 'CANCELLED']);
    const end = (status: string, reason: string) =>
      `order_saga_orders_final_total{status="${status}",reason="${reason}",role="relay"}`;
    await until('two are confirmed', relay, end('CONFIRMED', ''), (is) => is === 2);
    await until('one is declined', relay, end('CANCELLED', 'PAYMENT_DECLINED'), (is) => is === 1);
    await until('one is short', relay, end('CANCELLED', 'OUT_OF_STOCK'), (is) => is === 1);
    const deliveries = 'order_saga_deliveries_total{destination="webhook",outcome="taken",role="relay"}';
    const ids = ends.map(({ id }) => id);
    const events = (await client.feed()).filter(({ subject }) => ids.includes(subject));
    expect(events.length).toBeGreaterThanOrEqual(4 + 4 + 5 + 3);
    await until('all events are delivered', relay, deliveries, (is) => is === events.length);
    const counted = await api?.();
    expect(counted?.get('order_saga_orders_accepted_total{role="api"}')).toBe(4);
    // Of those that do not wait for the end.
    expect(counted?.get('order_saga_order_post_duration_seconds_count{role="api",code="201"}')).toBe(3);
    const names = [...((await worker?.()) ?? new Map()).keys()].filter((name) => name.startsWith('order_saga_'));
    const own =
      /^order_saga_(payment_|step_|undo|gateway_|invariant_|verification_|relay_partitions|pool_|process_started|refused_at_listener_total)/;
    expect(names.filter((name) => !own.test(name))).toEqual([]);
  });

  test('count the same orders by outcome, worth and duration, and what was done for them', async () => {
    const confirmed = 'outcome="CONFIRMED"';
    await until('two are confirmed', relay, `order_saga_orders_total{${confirmed},role="relay"}`, (is) => is === 2);
    await until(
      'two are cancelled',
      relay,
      'order_saga_orders_total{outcome="CANCELLED",role="relay"}',
      (is) => is === 2,
    );
    const facts = await relay?.();
    expect(facts?.get(`order_saga_saga_duration_seconds_count{role="relay",${confirmed}}`)).toBe(2);
    expect(facts?.get(`order_saga_saga_duration_seconds_sum{role="relay",${confirmed}}`)).toBeGreaterThan(0);
    expect(facts?.get(`order_saga_orders_amount_minor_total{${confirmed},currency="USD",role="relay"}`)).toBe(2_000);

    const done = await worker?.();
    const refused = 'step="chargePayment",reason="PAYMENT_DECLINED"';
    expect(done?.get(`order_saga_step_refusals_total{${refused},role="worker"}`)).toBe(1);
    expect(done?.get('order_saga_gateway_requests_total{call="charge",outcome="charged",role="worker"}')).toBe(2);
    expect(done?.get('order_saga_gateway_requests_total{call="charge",outcome="declined",role="worker"}')).toBe(1);
    expect(done?.get('order_saga_undos_total{step="cancelOrder",outcome="done",role="worker"}')).toBe(2);
    expect(
      done?.get('order_saga_step_duration_seconds_count{role="worker",step="reserveInventory"}'),
    ).toBeGreaterThanOrEqual(4);
    expect(done?.get('order_saga_relay_partitions_unserved{role="worker"}')).toBe(0);

    const asked = await api?.();
    // Of four, one has waited for the end.
    const posts = 'role="api",method="POST",route="/orders"';
    expect(asked?.get(`order_saga_http_request_duration_seconds_count{${posts}}`)).toBe(3);
    await client.send('POST', '/orders', {});
    await until(
      'a refused one is counted',
      api,
      'order_saga_http_request_errors_total{method="POST",route="/orders",code="4xx",role="api"}',
      (is) => is === 1,
    );
    const order = 'role="api",method="GET",route="/orders/{id}"';
    expect((await api?.())?.get(`order_saga_http_request_duration_seconds_count{${order}}`)).toBeGreaterThan(0);
    for (const read of [api, worker, relay]) {
      const pools = [...((await read?.()) ?? [])].filter(([series]) =>
        series.startsWith('order_saga_pool_connections{'),
      );
      expect(pools.length).toBeGreaterThanOrEqual(3);
    }
  });

  test('say who asks Temporal for work', async () => {
    for (const kind of ['workflow', 'activity'])
      await until('workers ask', relay, `order_saga_pollers{kind="${kind}",role="relay"}`, (is) => is > 0);
  });

  test('say that all is well', async () => {
    for (const source of ['database', 'temporal'])
      await until('it answers', relay, `order_saga_facts_up{source="${source}",role="relay"}`, (is) => is === 1);
    expect((await worker?.())?.get('order_saga_payment_breaker_state{state="closed",role="worker"}')).toBe(1);
    expect((await worker?.())?.get('order_saga_payment_account_state{state="ours",role="worker"}')).toBe(1);
    await until('nothing is unstarted', relay, 'order_saga_unstarted_orders{role="relay"}', (is) => is === 0);
    await until(
      'nothing is owed',
      relay,
      'order_saga_outbox_backlog_events{destination="webhook",role="relay"}',
      (is) => is === 0,
    );
  });

  test('show a backlog, its age and the failures while a receiver refuses', async () => {
    receiver.answer = () => 503;
    const labels = 'destination="webhook",role="relay"';
    try {
      await client.post({ PLENTY: 1 });
      await until('it is owed', relay, `order_saga_outbox_backlog_events{${labels}}`, (is) => is > 0);
      await until('it is late', relay, `order_saga_outbox_lag_seconds{${labels}}`, (is) => is > 0);
      const failed = 'order_saga_deliveries_total{destination="webhook",outcome="unavailable",role="relay"}';
      await until('it fails', relay, failed, (is) => is > 0);
    } finally {
      receiver.answer = () => 204;
    }
    await until('it has gone', relay, `order_saga_outbox_backlog_events{${labels}}`, (is) => is === 0);
  });

  test('show a saga that asks for an operator, by its step and failure', async () => {
    await client.fault({ route: 'charge', mode: 'down', count: null });
    const { id } = await client.post({ PLENTY: 1 });
    // Whether the gateway's refusal or the budget's end is what it failed of is a matter of moments.
    const stuck = /^order_saga_sagas_needing_attention\{step="chargePayment",failure="\w+",role="relay"\}$/;
    const isStuck = ([series, value]: [string, number]) => stuck.test(series) && value === 1;
    const shown = eventually('it is shown as stuck', async () => [...((await relay?.()) ?? [])].some(isStuck), 45_000);
    const parked = until(
      'and as parked',
      relay,
      'order_saga_sagas_parked{step="chargePayment",role="relay"}',
      (is) => is === 1,
    );
    await Promise.all([shown, parked]).finally(() => client.heal());
    const tries = [...((await worker?.()) ?? [])].filter(([series]) =>
      series.startsWith('order_saga_step_retries_total{step="chargePayment",cause="GatewayUnknown"'),
    );
    expect(tries[0]?.[1]).toBeGreaterThan(0);
    const answer = await client.send('POST', `/admin/sagas/${id}/resolve`, {
      action: 'retry',
      operator: 'anonymous',
      reason: 'the gateway is back',
    });
    expect([200, 409]).toContain(answer.status); // 409: the prober was faster
    expect((await client.final(id)).status).toBe('CONFIRMED');
  });
});
