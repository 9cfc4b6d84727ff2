/** Operations over HTTP, carried out by a runner that really runs, on sagas that are really stuck. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pLimit from 'p-limit';
import type { ItemCounts, Operation, OperationItem } from '../../contracts/operations.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { readOrder } from '../../domain/orders.js';
import { startOperations } from '../../workers/operations/runner.js';
import { AWAY, expectProblem, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { assertStockConserved, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const MANY = 9;
const LIMIT_MS = 120_000;
const policy = { stepRetryBudgetMs: 2_500, compensationAttentionAfterMs: 1_200 };

let s: SagaStack;
let api: TestApi;
let issuer: TokenIssuer;
/** The same, where everybody is known. */
let strict: TestApi;
let stopRunner: () => Promise<void>;
beforeAll(async () => {
  [s, issuer] = await Promise.all([startSagaStack(), startTokenIssuer()]);
  await stock(s.db, 'PLENTY', 10_000);
  const common = {
    ...{ db: s.db, databaseUrl: s.databaseUrl, temporal: { ...AWAY, client: () => s.client } },
    policy: { ...PATIENT, ...policy },
  };
  api = await startTestApi(common);
  strict = await startTestApi({
    ...common,
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  stopRunner = startOperations({
    ...{ db: s.db, keys: auditKeys([]), client: () => s.client, where: 'test/default' },
    policy: { ...PATIENT, ...policy },
    logger: SILENT,
  });
}, LIMIT_MS);
afterEach(async () => {
  await s.heal();
  await assertStockConserved(s.db);
});
afterAll(async () => {
  await stopRunner();
  await Promise.all([api.stop(), strict.stop()]);
  await Promise.all([s.stop(), issuer.stop()]);
});

const stuckCount = async () =>
  (await s.client.workflow.count('SagaState="NEEDS_ATTENTION" AND ExecutionStatus="Running"')).count;

async function park(count: number): Promise<string[]> {
  const before = await stuckCount();
  await s.fault({ route: 'charge', mode: 'down', count: null });
  const few = pLimit(8);
  const placed = await Promise.all(Array.from({ length: count }, () => few(() => s.place({ PLENTY: 1 }, { policy }))));
  await eventually('all are parked', async () => (await stuckCount()) >= before + count, 60_000);
  return placed.map(({ order }) => order.id);
}

const preview = (body: object) => api.send<Operation>('POST', '/admin/operations/preview', body);
const start = (of: Operation, body: object = {}, key?: string) =>
  api.send<Operation>(
    'POST',
    '/admin/operations',
    { preview: of.id, expectedCount: of.counts.open, reason: 'ticket 9', operator: 'op-9', ratePerSecond: 50, ...body },
    key === undefined ? {} : { 'idempotency-key': key },
  );
const tell = (id: string, word: string) =>
  api.send<Operation>('POST', `/admin/operations/${id}/${word}`, { operator: 'op-8', reason: 'ticket 9' });
const read = async (id: string) => (await api.get<Operation>(`/admin/operations/${id}`)).body;
const itemsOf = async (id: string) =>
  (await api.get<{ items: OperationItem[] }>(`/admin/operations/${id}/items?limit=1000`)).body.items;
const sum = (counts: ItemCounts) => Object.values(counts).reduce((a, b) => a + b, 0);
const ended = (id: string) =>
  eventually(
    `operation ${id} has ended`,
    async () => {
      const operation = await read(id);
      expect(sum(operation.counts)).toBe(operation.total);
      if (operation.state === 'paused') throw new Error(JSON.stringify([operation, await itemsOf(id)]));
      return operation.endedAt !== null && operation;
    },
    60_000,
  );
const paused = (id: string) =>
  eventually(
    `operation ${id} has paused`,
    async () => {
      const operation = await read(id);
      return operation.state === 'paused' && operation;
    },
    60_000,
  );

test(
  'what a preview has frozen is retried, each once and under the name of who decided it, and what came later is left alone',
  async () => {
    const ids = await park(MANY);
    const asked = { action: 'retry', sagas: { step: 'chargePayment' } };
    const frozen = (await preview(asked)).body;
    expect(frozen).toMatchObject({
      ...{ state: 'previewed', total: MANY, counts: { open: MANY }, startedAt: null },
      amounts: [{ amount: MANY * 1_000, currency: 'USD' }],
    });
    const [late] = await park(1);
    await s.heal();
    expectProblem(await start(frozen, { expectedCount: MANY + 1 }), 409, 'count-differs', ['/expectedCount']);
    expectProblem(await start(frozen, { action: 'compensate' }), 409, 'operation-not-possible');
    expect((await read(frozen.id)).state).toBe('previewed');

    const [first, repeated] = [await start(frozen, {}, 'key-1'), await start(frozen, {}, 'key-1')];
    expect([first.status, repeated.status, repeated.text]).toEqual([201, 201, first.text]);
    expect(repeated.headers.get('idempotent-replayed')).toBe('true');
    const places = [first, repeated].map(({ headers }) => headers.get('location'));
    expect(places).toEqual([`/admin/operations/${frozen.id}`, `/admin/operations/${frozen.id}`]);
    expectProblem(await start(frozen), 409, 'operation-not-possible');

    const operation = await ended(frozen.id);
    expect(operation).toMatchObject({ state: 'finished', counts: { reached: MANY, open: 0 }, startedBy: 'op-9' });
    const items = await itemsOf(frozen.id);
    expect(items.map(({ orderId }) => orderId).sort()).toEqual(ids.toSorted());
    for (const id of ids) {
      expect((await readOrder(s.db, id))?.status).toBe('CONFIRMED');
      expect(await s.money(id)).toEqual({ net: 1_000, charges: 1 });
    }
    expect((await readOrder(s.db, late as string))?.status).toBe('PENDING');
    const acts = await s.db.auditAct.findMany({ where: { resource: { in: ids }, kind: 'act' } });
    expect(acts.map(({ subject, reason }) => `${subject} ${reason}`)).toEqual(ids.map(() => 'op-9 ticket 9'));

    const again = (await preview({ action: 'retry', orderIds: ids })).body;
    expect(again).toMatchObject({ counts: { 'already-done': MANY, open: 0 } });
    expect(again.skipped).toEqual([{ because: 'the order is CONFIRMED', count: MANY }]);
    const rest = (await preview(asked)).body;
    await start(rest);
    expect((await ended(rest.id)).counts).toMatchObject({ reached: 1 });
  },
  LIMIT_MS,
);

test(
  'an operation whose gateway is away pauses by itself after its canary, says why, and goes on when it is resumed',
  async () => {
    await park(MANY);
    const frozen = (await preview({ action: 'retry', sagas: {} })).body;
    await start(frozen, { canary: [1, 2, 5] });
    const stopped = await paused(frozen.id);
    expect(stopped).toMatchObject({
      pause: { by: null, because: 'the canary has failed' },
      counts: { failed: 1, open: MANY - 1 },
    });
    expect(await itemsOf(frozen.id)).toMatchObject([
      { no: 1, state: 'failed', message: expect.stringContaining('chargePayment') },
      ...Array.from({ length: MANY - 1 }, () => ({ begunAt: null })),
    ]);

    await eventually('the canary has parked again', async () => (await stuckCount()) === MANY, 30_000);
    await s.heal();
    expect(await tell(frozen.id, 'resume')).toMatchObject({ status: 200, body: { state: 'running', pause: null } });
    expect((await ended(frozen.id)).counts).toMatchObject({ failed: 1, reached: MANY - 1 });

    const failed = (await preview({ action: 'retry', items: { operation: frozen.id, states: ['failed'] } })).body;
    expect(failed.counts.open).toBe(1);
    await start(failed);
    expect((await ended(failed.id)).counts).toMatchObject({ reached: 1 });
  },
  LIMIT_MS,
);

test(
  'aborted by two at once it ends once: what had begun comes to its end, all else is skipped, and nothing begins after that',
  async () => {
    const ids = await park(MANY);
    const frozen = (await preview({ action: 'compensate', orderIds: ids })).body;
    const stream = await api.stream(`/admin/operations/${frozen.id}`);
    await start(frozen, { canary: [], ratePerSecond: 2 });
    await eventually('some have begun', async () => (await itemsOf(frozen.id)).some(({ begunAt }) => begunAt !== null));
    const answers = await Promise.all(['abort', 'abort', 'pause'].map((word) => tell(frozen.id, word)));
    expect(answers.slice(0, 2).map(({ status }) => status)).toEqual([200, 200]);
    const begun = (await itemsOf(frozen.id)).filter(({ begunAt }) => begunAt !== null).length;
    const operation = await ended(frozen.id);
    expect(operation).toMatchObject({
      state: 'aborted',
      abortedBy: 'op-8',
      counts: { open: 0, skipped: MANY - begun },
    });
    const items = await itemsOf(frozen.id);
    expect(items.filter(({ begunAt }) => begunAt !== null)).toHaveLength(begun);
    for (const { orderId, state } of items)
      expect((await readOrder(s.db, orderId))?.status).toBe(state === 'reached' ? 'CANCELLED' : 'PENDING');
    expectProblem(await tell(frozen.id, 'resume'), 409, 'operation-not-possible');
    const aborts = await s.db.auditAct.findMany({ where: { resource: frozen.id, route: { endsWith: 'abort' } } });
    expect(aborts).toHaveLength(1);
    await eventually('the stream has ended', async () => stream.ended());
    const last = stream.events.at(-1) as unknown as { data: Operation };
    expect(last.data).toMatchObject({ id: frozen.id, state: 'aborted', counts: operation.counts });

    const rest = (await preview({ action: 'compensate', sagas: {} })).body;
    await start(rest, { canary: [] });
    expect((await ended(rest.id)).counts).toMatchObject({ reached: MANY - begun });
  },
  LIMIT_MS,
);

test(
  'a saga that has gone on by itself since the preview is not decided on',
  async () => {
    const [id] = await park(1);
    const frozen = (await preview({ action: 'compensate', sagas: {} })).body;
    await s.fault({ route: 'charge', mode: 'slow', count: null, delayMs: 60_000 });
    await s.client.workflow.getHandle(`order-${id}`).signal('retry', { by: 'somebody else' } as never);
    await eventually('it goes on', async () => (await stuckCount()) === 0, 20_000).catch(() => undefined);
    const isParked = (await stuckCount()) > 0;
    await s.heal();
    if (!isParked) {
      await start(frozen);
      expect((await ended(frozen.id)).counts.reached).toBe(0);
      expect((await itemsOf(frozen.id))[0]?.state).toMatch(/skipped|already-done/);
    }
    const rest = (await preview({ action: 'retry', orderIds: [id] })).body;
    if (rest.counts.open > 0) {
      await start(rest);
      await ended(rest.id);
    }
  },
  LIMIT_MS,
);

test(
  'a `skip` is of the step that the preview has shown: where it showed none, or the saga is at another by now, nothing is skipped',
  async () => {
    const [id] = (await park(1)) as [string];
    const unseen = 'its saga waits at no step that could be skipped';
    const placed = (await s.place({ PLENTY: 1 }, { policy })).order.id;
    const both = (await preview({ action: 'skip', orderIds: [id, id.toUpperCase(), placed] })).body;
    expect(both).toMatchObject({ total: 2, counts: { open: 1, skipped: 1 }, skipped: [{ because: unseen, count: 1 }] });
    const seen = [
      { seenState: 'COMPENSATING', seenStep: 'confirmOrder' },
      { seenState: null, seenStep: null },
      { seenState: 'NEEDS_ATTENTION', seenStep: null },
    ];
    for (const data of seen) {
      const frozen = (await preview({ action: 'skip', orderIds: [id] })).body;
      expect(frozen.counts.open).toBe(1);
      await s.db.operationItem.updateMany({ where: { operationId: frozen.id }, data });
      await start(frozen);
      expect((await ended(frozen.id)).counts).toMatchObject({ skipped: 1, open: 0 });
      expect((await itemsOf(frozen.id))[0]?.message).toMatch(/has moved on since the preview|the preview saw no step/);
    }
    expect(await s.money(id)).toEqual({ net: 0, charges: 0 });
    await eventually('both are parked', async () => (await stuckCount()) >= 2, 60_000);
    await s.heal();
    const rest = (await preview({ action: 'retry', sagas: {} })).body;
    await start(rest);
    await ended(rest.id);
  },
  LIMIT_MS,
);

test(
  'a `retry` is of what the preview has shown: at another step by now, or ended from outside since, nothing is tried and nobody charged',
  async () => {
    const [id] = (await park(1)) as [string];
    const asked = { action: 'retry', orderIds: [id] };
    const elsewhere = (await preview(asked)).body;
    await s.db.operationItem.updateMany({ where: { operationId: elsewhere.id }, data: { seenStep: 'confirmOrder' } });
    const unseen = (await preview(asked)).body;
    expect([elsewhere.counts.open, unseen.counts.open]).toEqual([1, 1]);
    const [item] = await itemsOf(unseen.id);
    expect(item?.seen).toEqual({ state: 'NEEDS_ATTENTION', step: 'chargePayment', failure: 'GatewayUnknown' });
    await s.heal();
    await start(elsewhere);
    expect((await ended(elsewhere.id)).counts).toMatchObject({ skipped: 1, open: 0 });
    expect((await itemsOf(elsewhere.id))[0]?.message).toContain('not at confirmOrder');

    await s.client.workflow.getHandle(`order-${id}`).terminate('customer is a fraud');
    await start(unseen);
    expect((await ended(unseen.id)).counts).toMatchObject({ skipped: 1, open: 0 });
    expect((await itemsOf(unseen.id))[0]?.message).toContain('was TERMINATED, which was not so when this was decided');
    expect(await s.money(id)).toEqual({ net: 0, charges: 0 });
    expect((await readOrder(s.db, id))?.status).toBe('PENDING');

    const seen = await eventually('a preview shows that it was terminated', async () => {
      const { body } = await preview(asked);
      return (await itemsOf(body.id))[0]?.seen.failure === 'TERMINATED' && body;
    });
    await start(seen);
    expect((await ended(seen.id)).counts).toMatchObject({ reached: 1 });
    expect(await s.money(id)).toEqual({ net: 1_000, charges: 1 });
  },
  LIMIT_MS,
);

test('what cannot be meant is refused by name, and nothing is frozen', async () => {
  const before = await s.db.operation.count();
  const missing = '01a1fc4b-2622-70f0-8b6b-725674f9c1d0';
  expectProblem(await preview({ action: 'retry' }), 422, 'nothing-selected', ['/orderIds']);
  expectProblem(await preview({ action: 'retry', deadLetters: {} }), 422, 'nothing-selected', ['/deadLetters']);
  expectProblem(await preview({ action: 'retry', sagas: {}, orderIds: [missing] }), 422, 'nothing-selected');
  expectProblem(await preview({ action: 'retry', orderIds: [missing] }), 422, 'unknown-items');
  expectProblem(await preview({ action: 'retry', sagas: {} }), 422, 'nothing-selected');
  expectProblem(await preview({ action: 'destroy', sagas: {} }), 400, 'invalid-request', ['/action']);
  expectProblem(await preview({ action: 'retry', sagas: { step: 'x' } }), 400, 'invalid-request', ['/sagas/step']);
  const none = { preview: missing, expectedCount: 1, reason: 'x' };
  expectProblem(await api.send('POST', '/admin/operations', none), 409, 'operation-not-possible');
  expectProblem(await tell(missing, 'pause'), 404, 'not-found');
  expectProblem(await api.get('/admin/operations/17'), 404, 'not-found');
  expectProblem(await api.get('/admin/operations?cursor=x'), 400, 'invalid-request', ['querystring/cursor']);
  expect(await s.db.operation.count()).toBe(before);
});

test('an auditor reads operations and their items, and is refused everything else; a customer sees nothing', async () => {
  const auditor = { authorization: await issuer.token({ roles: ['auditor'] }) };
  const customer = { authorization: await issuer.token({ roles: ['customer'] }) };
  const [{ id }] = (await strict.get<{ operations: [Operation] }>('/admin/operations', auditor)).body.operations;
  const paths = ['', `/${id}`, `/${id}/items`].map((path) => `/admin/operations${path}`);
  for (const path of paths) {
    expect((await strict.get(path, auditor)).status).toBe(200);
    expectProblem(await strict.get(path, customer), 403, 'forbidden');
  }
  const word = { reason: 'x' };
  for (const act of ['pause', 'resume', 'abort'])
    expectProblem(await strict.send('POST', `/admin/operations/${id}/${act}`, word, auditor), 403, 'forbidden');
  const asked = { action: 'retry', sagas: {} };
  expectProblem(await strict.send('POST', '/admin/operations/preview', asked, auditor), 403, 'forbidden');
  const starting = { preview: id, expectedCount: 1, reason: 'x' };
  expectProblem(await strict.send('POST', '/admin/operations', starting, auditor), 403, 'forbidden');
});
