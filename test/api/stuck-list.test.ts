/** The list of stuck sagas when they are many: by cause, page by page of one moment, and at hand before anybody asks. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { STUCK_QUERY } from '../../contracts/saga.js';
import { createStuckSnapshots } from '../../sagas/stuck-snapshots.js';
import { AWAY, expectProblem, PATIENT, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { parkSagas } from '../support/parked.js';
import { startTemporal } from '../support/saga.js';

/** More than Temporal lists at a time. */
const PARKED = 1_010;
const CAUSES = [
  { step: 'chargePayment', failure: 'GatewayUnknown' },
  { step: 'refundPayment', failure: 'GatewayUnknown' },
] as const;

let env: TestWorkflowEnvironment;
let database: TestDatabase;
let api: TestApi;
let parked: string[];
beforeAll(async () => {
  [env, database] = await Promise.all([startTemporal(), createTestDatabase()]);
  parked = await parkSagas({ db: database.db, client: env.client }, PARKED, CAUSES);
  await eventually('all are visible', async () => (await env.client.workflow.count(STUCK_QUERY)).count === PARKED);
  api = await startTestApi({
    db: database.db,
    databaseUrl: database.url,
    temporal: { ...AWAY, client: () => env.client },
  });
}, 120_000);
afterAll(async () => {
  await api?.stop();
  await env?.teardown();
  await database?.drop();
});

type Listed = {
  sagas: { orderId: string; step: string }[];
  groups: { step: string; count: number; title: string; detail: string }[];
  asOf: string;
  more: boolean;
  next: string | null;
};
const list = async (query: string) => (await api.get<Listed>(`/admin/sagas?${query}`)).body;

test('those of one cause are listed by themselves, and all causes are counted', async () => {
  const { sagas, groups, more, next } = await list('step=refundPayment&failure=GatewayUnknown&limit=1000');
  expect(sagas.map(({ orderId }) => orderId).sort()).toEqual(parked.filter((_, i) => i % 2 === 1).sort());
  expect(groups.map(({ step, count }) => [step, count]).sort()).toEqual([
    ['chargePayment', PARKED / 2],
    ['refundPayment', PARKED / 2],
  ]);
  expect(groups.map(({ title }) => title).sort()).toEqual([
    'chargePayment gets no answer from the payment gateway',
    'refundPayment gets no answer from the payment gateway',
  ]);
  expect(groups[0]?.detail).toMatch(/go on by themselves/);
  expect([more, next]).toEqual([false, null]);
  expect((await list('step=refundPayment&failure=Locked')).sagas).toEqual([]);
  expectProblem(await api.get('/admin/sagas?step=a%20b'), 400, 'invalid-request');
});

test('further pages are of the moment of the first, and have every saga once', async () => {
  const first = await list('limit=600');
  const rest = await list(`limit=600&cursor=${first.next}`);
  expect(rest.asOf).toBe(first.asOf);
  expect([...first.sagas, ...rest.sagas].map(({ orderId }) => orderId).sort()).toEqual([...parked].sort());
});

test('a list of more than Temporal lists at a time is at hand before anybody asks, and not for long', async () => {
  let now = Date.now();
  const asked = { count: 0 };
  const client = () => {
    asked.count++;
    return env.client;
  };
  const snapshots = createStuckSnapshots({ db: database.db, client, policy: PATIENT, now: () => now });
  expect(await snapshots.keepAtHand()).toBe(true);
  const before = asked.count;
  now += 19_000;
  const atHand = await snapshots.read('NEEDS_ATTENTION', false);
  expect([atHand.sagas.length, now - atHand.at.getTime()]).toEqual([PARKED, 19_000]);
  await eventually('it is read anew behind the answer', () => asked.count > before);
  now += 60_000;
  expect((await snapshots.read('NEEDS_ATTENTION', false)).at.getTime()).toBeGreaterThan(atHand.at.getTime());
});
