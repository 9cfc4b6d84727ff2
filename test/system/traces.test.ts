/** One trace per order, and one story in the logs, from its POST to the consumer of its events, collected from real processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Order } from '../../clients/typescript/client.js';
import { requestCancellation } from '../../domain/orders.js';
import { freePort } from '../../local/processes/ports.js';
import type { Running } from '../../local/processes/program.js';
import { restartSaga } from '../../sagas/restart.js';
import { cliOf } from '../ops/cli.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Collector, type SeenSpan, startCollector, treeOf } from '../support/otlp.js';
import { PATIENT } from '../support/saga.js';
import { isServing, kill, type Surroundings, startSurroundings } from '../support/surroundings.js';

const LIMIT_MS = 180_000;
let around: Surroundings;
let collector: Collector;
let consumers: TestDatabase;
let consumer: ChildProcess;
let api: string;
let metricsPort: number;
let worker: Running;
let traces: Record<string, string>;

beforeAll(async () => {
  [around, collector, consumers] = await Promise.all([startSurroundings(), startCollector(), createTestDatabase()]);
  const { database, temporal } = around;
  await stock(database.db, 'A', 1_000);
  await stock(database.db, 'B', 0);
  traces = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '200' };
  const [port, consumerPort] = [await freePort(), await freePort()];
  metricsPort = await freePort();
  api = `http://127.0.0.1:${port}`;
  consumer = spawn(process.execPath, ['examples/consumers/webhook.mjs'], {
    env: {
      ...{ PATH: process.env['PATH'], DATABASE_URL: consumers.url, PORT: `${consumerPort}`, ...traces },
      WEBHOOK_SECRET: around.receiver.secret,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const policy = { STEP_RETRY_BUDGET: '2s' };
  const common = { DATABASE_URL: database.url, TEMPORAL_ADDRESS: temporal.address, ...policy, ...traces };
  const webhook = around.webhook(`http://127.0.0.1:${consumerPort}/`);
  worker = await startWorker();
  await around.start({ ROLE: 'relay', ...common, ...webhook }, async () => true);
  await around.start({ ROLE: 'api', PORT: `${port}`, METRICS_PORT: `${metricsPort}`, ...common }, () => isServing(api));
}, LIMIT_MS);
afterAll(async () => {
  consumer?.kill('SIGKILL');
  await around?.stop();
  await Promise.all([collector?.stop(), consumers?.drop()]);
}, 60_000);

const startWorker = () =>
  around.start(
    {
      ROLE: 'worker',
      DATABASE_URL: around.database.url,
      TEMPORAL_ADDRESS: around.temporal.address,
      PAYMENTS_URL: around.sandbox.url,
      ...traces,
    },
    async (log) => (await readFile(log, 'utf8')).includes('the worker polls'),
  );

async function fault(set: object | null): Promise<void> {
  const body = set && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(set) };
  const answer = await fetch(`${around.sandbox.url}/sandbox/faults`, { method: set ? 'POST' : 'DELETE', ...body });
  expect(answer.ok).toBe(true);
}

async function place(
  sku: string,
  more: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<Order> {
  const response = await fetch(`${api}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({
      customerId: 'cus_trace',
      items: [{ sku, quantity: 1 }],
      paymentMethod: 'pm_card_visa',
      ...more,
    }),
  });
  expect(response.status).toBe(201);
  return (await response.json()) as Order;
}

async function decide(order: Order, decision: Record<string, string>): Promise<void> {
  const response = await fetch(`${api}/admin/sagas/${order.id}/resolve`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(decision),
  });
  expect(response.status).toBe(200);
}

const spansOf = (order: Order): SeenSpan[] => {
  const found = collector.spans.find(({ attributes }) => attributes['order_saga.order_id'] === order.id);
  return found ? collector.spans.filter(({ traceId }) => traceId === found.traceId) : [];
};
const nameOf = ({ name }: SeenSpan) => name;

/** @returns the trace, once so many of its events have been processed by the consumer */
async function whole(order: Order, events: number): Promise<SeenSpan[]> {
  return eventually('the whole trace is there', () => {
    const spans = spansOf(order);
    const ids = new Set(spans.map(({ spanId }) => spanId));
    const processed = collector.spans.filter(
      ({ name, links }) => /^process /.test(name) && links.some((l) => ids.has(l.spanId)),
    );
    const isEnded = spans.some(({ name }) => name === 'OrderSaga') && spans.some(({ name }) => /^POST /.test(name));
    const delivered = spans.filter(({ name }) => /^deliver /.test(name));
    return processed.length >= events && isEnded && delivered.length >= events && spans;
  });
}

function expectOneTree(spans: SeenSpan[]): void {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
  expect(spans.filter(({ parentSpanId }) => !ids.has(parentSpanId)).map(nameOf)).toEqual(['POST /orders']);
}
/** @returns what all processes have logged about the order: those lines that `grep` finds by its correlation id */
async function storyOf(correlationId: string, ends: string): Promise<Record<string, unknown>[]> {
  const story = await eventually('the story is whole', async () => {
    const lines = (await around.logged()).filter((line) => line['correlationId'] === correlationId);
    return lines.some(({ type }) => type === ends) && lines;
  });
  return story.toSorted((a, b) => String(a['time']).localeCompare(String(b['time'])));
}
const SANDBOX = { headers: { authorization: 'Bearer sk_test_traces' } };
type Charges = { data: { metadata: Record<string, string> }[] };
/** What a line tells, without what differs from run to run; an attempt with its number. */
const factOf = ({ msg, type, attempt, status, reason }: Record<string, unknown>) =>
  [msg, type, attempt, status, reason].filter((word) => word !== undefined).join(' ');
/** What an order's story takes of the log; docs/logs.md says how much. */
function expectBrief(title: string, story: Record<string, unknown>[], bytesMax: number): void {
  const bytes = story.reduce((sum, line) => sum + JSON.stringify(line).length + 1, 0);
  if (process.env['SHOW_TRACES']) process.stderr.write(`\n${title}: ${bytes} bytes of log in ${story.length} lines\n`);
  expect(bytes).toBeLessThan(bytesMax);
}
const show = (title: string, spans: SeenSpan[]) => {
  if (process.env['SHOW_TRACES']) process.stderr.write(`\n## ${title}\n${treeOf(spans, spans[0]?.traceId ?? '')}\n`);
};

test(
  'a confirmed order is one trace, from its POST to the consumer',
  async () => {
    const order = await place('A', {}, { 'x-correlation-id': 'shop:confirmed.1' });
    const spans = await whole(order, 4);
    show('confirmed', spans);
    expectOneTree(spans);
    const tree = treeOf(spans, spans[0]?.traceId ?? '');
    for (const step of ['reserveInventory', 'chargePayment'])
      expect(tree).toMatch(new RegExp(`^ +${step}, attempt 1, done`, 'm'));
    expect(tree).toMatch(/^ +POST \/v1\/payment_intents \[order-saga-worker\]$/m);
    expect(tree).toMatch(/^ +\S.*INSERT outbox.* \[order-saga-worker\]$/m);
    expect(new Set(spans.map(({ service }) => service)).size).toBe(3);
    expect(new Set(collector.spans.map(({ instance }) => instance)).size).toBe(4);
    expect(new Set(collector.requests.map(({ type }) => type))).toEqual(new Set(['application/x-protobuf']));
    // A batch is a trace of its own, which links the transactions.
    const batch = collector.spans.find(
      ({ name, links }) => name === 'send webhook' && links.some((l) => l.traceId === spans[0]?.traceId),
    );
    expect([batch?.parentSpanId, spans.some(({ traceId }) => traceId === batch?.traceId)]).toEqual(['', false]);
    // Each event says by which work it was written.
    const events = await around.database.db.event.findMany({
      where: { orderId: order.id },
      orderBy: { sequence: 'asc' },
    });
    const writers = events.map(({ traceparent }) => spans.find(({ spanId }) => traceparent?.includes(spanId))?.name);
    expect(writers).toEqual(['POST /orders', 'reserveInventory', 'chargePayment', 'chargePayment']);
    expect(JSON.stringify(spans)).not.toMatch(/cus_trace|pm_card_visa|sk_test/);
    const story = await storyOf('shop:confirmed.1', 'order.confirmed');
    expect(story.map(factOf).toSorted()).toEqual([
      'chargePayment: done 1',
      ...['inventory.reserved', 'order.confirmed', 'order.created', 'payment.charged'].map(
        (type) => `event delivered ${type}`,
      ),
      'order accepted',
      'request completed 201',
      'reserveInventory: done 1',
      'saga started',
    ]);
    expectBrief('confirmed', story, 4_096);
    const charges = (await (await fetch(`${around.sandbox.url}/v1/payment_intents`, SANDBOX)).json()) as Charges;
    const charge = charges.data.find(({ metadata }) => metadata['orderId'] === order.id);
    expect(charge?.metadata['correlationId']).toBe('shop:confirmed.1');
    const { orderId, workflowId, runId, traceId } = story.find(({ step }) => step === 'chargePayment') ?? {};
    const run = await around.temporal.client.workflow.getHandle(`order-${order.id}`).describe();
    expect({ orderId, workflowId, runId, traceId }).toEqual({
      ...{ orderId: order.id, workflowId: run.workflowId, runId: run.runId },
      traceId: spans[0]?.traceId,
    });
  },
  LIMIT_MS,
);

/** What a scrape shows, asked in this way. */
async function scrape(accept: string): Promise<{ type: string | null; text: string; names: string[] }> {
  const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`, { headers: { accept } });
  const text = await answer.text();
  const names = [...text.matchAll(/^(\w+)(?:\{| )/gm)].map(([, name]) => name ?? '');
  return { type: answer.headers.get('content-type'), text, names: [...new Set(names)].sort() };
}

test('an exemplar leads from the histogram of POST to a trace, for those who ask for OpenMetrics; series are called the same', async () => {
  const open = await scrape('application/openmetrics-text;version=1.0.0');
  expect(open.type).toMatch(/^application\/openmetrics-text/);
  expect(open.text).toMatch(/\n# EOF\n$/);
  const [, traceId = ''] =
    /^order_saga_order_post_duration_seconds_bucket\{.* # \{trace_id="(\w+)"\}/m.exec(open.text) ?? [];
  expect(collector.spans.map((span) => span.traceId)).toContain(traceId);
  const plain = await scrape('*/*');
  expect([plain.type, plain.text.includes('trace_id')]).toEqual(['text/plain; version=0.0.4; charset=utf-8', false]);
  expect(open.names).toEqual(plain.names);
});

test(
  'so is one that was compensated; a trace that its client has begun goes on',
  async () => {
    const traceId = 'abcd'.repeat(8);
    const headers = {
      'x-correlation-id': 'shop:declined.1',
      traceparent: `00-${traceId}-${'12'.repeat(8)}-01`,
      baggage: 'name=Mallory',
    };
    const order = await place('A', { paymentMethod: 'pm_card_chargeDeclined' }, headers);
    const spans = await whole(order, 3);
    show('compensated', spans);
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
    const tree = treeOf(spans, traceId);
    expect(tree).toMatch(/^ +chargePayment, attempt 1, refused/m);
    expect(tree).toMatch(/^ +releaseInventory, attempt 1, done/m);
    expect(tree).toMatch(/^ +OrderSaga, CANCELLED/m);
    expect(JSON.stringify(collector.spans)).not.toContain('Mallory');
    const story = await storyOf('shop:declined.1', 'order.cancelled');
    expect(story.filter(({ step }) => step !== undefined).map(factOf)).toEqual([
      'reserveInventory: done 1',
      'chargePayment: refused 1 PAYMENT_DECLINED',
      'refundPayment: done 1',
      'releaseInventory: done 1',
      'cancelOrder: done 1',
    ]);
    expect(new Set(story.map(({ level }) => level))).toEqual(new Set(['info']));
    expectBrief('compensated', story, 5_120);
  },
  LIMIT_MS,
);

test(
  'a parked saga is in its trace while it is parked; what an operator does about it is linked, and a killed worker ends no trace',
  async () => {
    await fault({ mode: 'down', route: 'charge', count: null });
    const order = await place('A', {}, { 'x-correlation-id': 'shop:parked.1' });
    const decided = await place('A', {}, { 'x-correlation-id': 'shop:decided.1' });
    await eventually(
      'it is seen to be parked',
      () => spansOf(order).some(({ name }) => name === 'parked at chargePayment'),
      120_000,
    );
    const { traceId } = spansOf(order)[0] as SeenSpan;
    const saga = await fetch(`${api}/orders/${order.id}/saga`);
    expect(await saga.json()).toMatchObject({ state: 'NEEDS_ATTENTION', traceId });
    await kill(worker);
    await fault(null);
    worker = await startWorker();
    await decide(decided, { action: 'compensate', operator: 'op-7', reason: 'ticket 12' });
    const cancelled = await fetch(`${api}/orders/${order.id}/cancel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ reason: 'tired of waiting' }),
    });
    expect(cancelled.status).toBe(202);
    const spans = await whole(order, 2);
    show('parked, its worker killed, cancelled', spans);
    expectOneTree(spans);
    expect(
      new Set(spans.filter(({ service }) => service === 'order-saga-worker').map(({ instance }) => instance)).size,
    ).toBe(2);
    const act = await eventually('the act is there', () =>
      collector.spans.find(({ name }) => name === 'POST /orders/{id}/cancel'),
    );
    expect([act.traceId === traceId, act.links.map((link) => link.traceId)]).toEqual([false, [traceId]]);
    const story = await storyOf('shop:parked.1', 'order.cancelled');
    const ofSaga = story.filter(({ msg }) => String(msg).startsWith('saga: ')).map(factOf);
    expect(new Set(ofSaga).size).toBe(ofSaga.length);
    expect(ofSaga).toEqual([
      expect.stringMatching(/^saga: parked \d+$/),
      'saga: asked to cancel CANCELLED_BY_CUSTOMER',
    ]);
    expect(story.filter(({ actor }) => actor !== undefined).map(({ actor }) => actor)).toEqual(['anonymous']);
    const ofDecided = await storyOf('shop:decided.1', 'order.cancelled');
    expect(ofDecided.filter(({ actor }) => actor !== undefined)).toMatchObject([
      { msg: 'saga: decided by an operator', action: 'compensate', actor: 'op-7', step: 'chargePayment' },
    ]);
    const tries = story.filter(({ step }) => step === 'chargePayment').map(({ msg, attempt }) => `${msg} ${attempt}`);
    expect(tries.length).toBeGreaterThan(1);
    expect(new Set(tries).size).toBe(tries.length);
  },
  LIMIT_MS,
);

test(
  'what an operator does by the CLI is a trace of its own, which links the order’s',
  async () => {
    const order = await place('A');
    const spans = await whole(order, 4);
    const { database, temporal } = around;
    const cli = cliOf({ databaseUrl: database.url, env: temporal }, traces);
    expect(await cli('cancel', order.id, '--reason', 'recalled', '--yes')).toMatchObject({ code: 0, stderr: '' });
    const act = await eventually('the act is there', () => collector.spans.find(({ name }) => name === 'ops cancel'));
    expect([act.service, act.links.map((link) => link.traceId)]).toEqual(['order-saga-ops', [spans[0]?.traceId]]);
    expect(act.attributes).toEqual({ 'order_saga.order_id': order.id, 'order_saga.outcome': 'done' });
    expect(act.traceId).not.toBe(spans[0]?.traceId);
  },
  LIMIT_MS,
);

test(
  'an operator who has a confirmed order taken back by the CLI, which writes no log, is in the story of the order',
  async () => {
    const { database, temporal } = around;
    const order = await place('A', {}, { 'x-correlation-id': 'shop:taken-back.1' });
    await storyOf('shop:taken-back.1', 'order.confirmed');
    await requestCancellation(database.db, order.id, { reason: 'OPERATOR', actor: 'op-7' });
    await restartSaga({ client: temporal.client, db: database.db, policy: PATIENT, operator: 'op-7' }, order.id);
    const story = await storyOf('shop:taken-back.1', 'order.cancelled');
    const workflowId = `order-${order.id}-cancel`;
    expect(story.filter(({ actor }) => actor !== undefined)).toMatchObject([
      { msg: 'saga: started by an operator', actor: 'op-7', orderId: order.id, workflowId },
    ]);
    expect(story.filter((line) => line['workflowId'] === workflowId).map(factOf)).toEqual([
      'saga: started by an operator',
      ...['refundPayment', 'releaseInventory', 'cancelOrder'].map((undo) => `${undo}: done 1`),
    ]);
  },
  LIMIT_MS,
);
