/** An operation whose runner, and whose API, are killed amid its canary: others go on where it stood, and no decision is taken twice. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ItemCounts, Operation, OperationItem } from '../../contracts/operations.js';
import { freePort } from '../../local/processes/ports.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { isServing, kill, orderOne, type Surroundings, startSurroundings } from '../support/surroundings.js';

const MANY = 10;

let around: Surroundings;
beforeAll(async () => {
  around = await startSurroundings();
  await stock(around.database.db, 'A', 100);
}, 60_000);
afterAll(() => around?.stop());

const settings = () => ({
  DATABASE_URL: around.database.url,
  PAYMENTS_URL: around.sandbox.url,
  TEMPORAL_ADDRESS: around.temporal.address,
  // Has room for an attempt that a killed worker takes along (10 s: workflows/steps) and for the slow start of the next worker.
  STEP_RETRY_BUDGET: '2m',
  PROBE_EVERY: '1h', // nobody but operators decides
});

async function startApi(): Promise<{ url: string; end: () => Promise<void> }> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const api = await around.start({ ...settings(), ROLE: 'api', PORT: `${port}` }, () => isServing(url));
  return { url, end: () => kill(api) };
}

async function startWorker(): Promise<{ end: () => Promise<void> }> {
  const metrics = await freePort();
  const isReady = async () => (await fetch(`http://127.0.0.1:${metrics}/readyz`).catch(() => undefined))?.ok === true;
  const worker = await around.start({ ...settings(), ROLE: 'worker', METRICS_PORT: `${metrics}` }, isReady);
  return { end: () => kill(worker) };
}

const fault = (body?: object) =>
  fetch(`${around.sandbox.url}/sandbox/faults`, {
    method: body ? 'POST' : 'DELETE',
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
const send = async <T>(url: string, path: string, body?: object): Promise<T> => {
  const answer = await fetch(`${url}${path}`, {
    method: body ? 'POST' : 'GET',
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as T;
};
const sum = (counts: ItemCounts) => Object.values(counts).reduce((a, b) => a + b, 0);

test('goes on where it stood, each decision is taken once, and every order is charged once', async () => {
  const first = await startApi();
  const runner = await startWorker();
  // Holds an order at its charge at once; a gateway that is away would, after the whole budget.
  const brake = (what: string) => send(first.url, `/admin/brakes/charging/${what}`, { reason: 'ticket 4711' });
  await brake('engage');
  for (let n = 0; n < MANY; n++) expect((await orderOne(first.url, `order-${n}`, 'cus_1')).status).toBe(201);
  const parked = () => around.temporal.client.workflow.count('SagaState="NEEDS_ATTENTION"');
  await eventually('all are parked', async () => (await parked()).count === MANY, 60_000);
  await fault({ route: 'charge', mode: 'slow', count: null, delayMs: 1_000 });
  await brake('release');

  const asked = { action: 'retry', sagas: {} };
  const { id, counts } = await send<Operation>(first.url, '/admin/operations/preview', asked);
  const starting = { preview: id, expectedCount: counts.open, reason: 'ticket 4711', ratePerSecond: 20 };
  await send(first.url, '/admin/operations', { ...starting, canary: [1, 3] });
  const begun = () =>
    around.database.db.operationItem.count({ where: { operationId: id, state: 'open', sentTo: { not: null } } });
  const amid = async () => {
    const { counts: now, pause } = await send<Operation>(first.url, `/admin/operations/${id}`);
    if (pause) throw new Error(JSON.stringify(await send(first.url, `/admin/operations/${id}/items?limit=2`)));
    return now.reached === 1 && (await begun()) > 0;
  };
  await eventually('the canary is amid its second wave', amid, 60_000);
  await Promise.all([runner.end(), first.end()]);
  expect(await begun()).toBeGreaterThan(0);

  const [second] = await Promise.all([startApi(), startWorker()]);
  const operation = await eventually(
    'it has ended',
    async () => {
      const now = await send<Operation>(second.url, `/admin/operations/${id}`);
      expect(sum(now.counts)).toBe(MANY);
      if (now.pause) throw new Error(JSON.stringify(await send(second.url, `/admin/operations/${id}/items?limit=10`)));
      return now.endedAt !== null && now;
    },
    150_000,
  );
  expect(operation).toMatchObject({ state: 'finished', counts: { reached: MANY } });
  const { items } = await send<{ items: OperationItem[] }>(second.url, `/admin/operations/${id}/items?limit=100`);
  const decisions = await around.database.db.$queryRaw<{ orderId: string; count: number }[]>`
    SELECT order_id::text AS "orderId", count(*)::int AS count FROM saga_log
    WHERE order_id IN (SELECT order_id FROM operation_items WHERE operation_id = ${id}::uuid) AND actor IS NOT NULL GROUP BY 1`;
  expect(decisions).toHaveLength(MANY);
  expect(decisions.filter(({ count }) => count !== 1)).toEqual([]);
  expect(items.map(({ state }) => state)).toEqual(Array.from({ length: MANY }, () => 'reached'));
  await fault();
  await around.expectRight(MANY);
}, 300_000);
