/** One order as a picture, as the API answers it: on real sagas with faults, and once Temporal has forgotten them. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { cancelOrderSagaId, orderSagaId } from '../../contracts/ids.js';
import { createCursors } from '../../domain/cursors.js';
import { noteStepFailure } from '../../domain/step-failures.js';
import type { Entry } from '../../explanation/timeline/entries.js';
import { readTimeline, type Timeline } from '../../explanation/timeline/timeline.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { AWAY, closedPort, lostTemporal, startTestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept } from '../support/database.js';
import { PATIENT } from '../support/saga.js';
import { KEY, openStage, type Stage } from './stage.js';
import { cancelAndEnd, confirmed, parkedAt, retrying, useStage } from './staging.js';

let stage: Stage;
let closeLost: (() => Promise<unknown>) | undefined;
beforeAll(async () => {
  stage = await openStage();
  useStage(stage);
});
afterEach(async () => {
  await stage.s.db.relayCursor.deleteMany();
  await stage.s.db.deadLetter.deleteMany();
  stage.broken.clear();
  await stage.s.heal();
});
afterAll(async () => {
  await closeLost?.();
  await stage.s.stop();
});

type Sources = Parameters<typeof readTimeline>[0];
const timelineOf = async (id: string, changed: Partial<Sources> = {}): Promise<Timeline> => {
  const ledger = createPaymentGateway({ url: stage.s.sandboxUrl, apiKey: KEY, timeoutMs: 2_000 });
  const { db, client, sandboxUrl } = stage.s;
  const sources = { db, client: client as Client | undefined, gateway: { where: sandboxUrl, ledger } };
  const timeline = await readTimeline({ ...sources, policyOfToday: PATIENT, probeEveryMs: 30_000, ...changed }, id);
  if (timeline === null) throw new Error(`there is no order ${id}`);
  return timeline;
};
const linesOf = ({ entries }: Timeline, lane?: Entry['lane']) =>
  entries.filter((entry) => lane === undefined || entry.lane === lane).map(({ what, status }) => `${what} [${status}]`);

/** As the end of its retention does. */
const forget = async (workflowId: string): Promise<void> => {
  const { client } = stage.s;
  const known = { namespace: 'default', workflowExecution: { workflowId } };
  await client.workflowService.deleteWorkflowExecution(known);
  const isGone = () =>
    client.workflow
      .getHandle(workflowId)
      .describe()
      .then(() => false)
      .catch((err: unknown) => err instanceof WorkflowNotFoundError);
  await eventually('Temporal has forgotten it', isGone, 60_000);
};

test('a confirmed order’s picture has its steps, its charge, its events and what was delivered, in the order of time', async () => {
  await createCursors(stage.s.db, ['hook']);
  await stage.s.db.relayCursor.updateMany({ where: { destination: 'hook' }, data: { feedXid: 2n ** 60n } });
  const id = await confirmed();
  const timeline = await timelineOf(id);
  // When it was seen to begin is noted beside its steps; on a busy machine it has waited for that.
  expect(linesOf(timeline, 'saga').filter((line) => !/ to begin/.test(line))).toEqual([
    'accepted [done]',
    'reserveInventory: completed [done]',
    'chargePayment: completed [done]',
    'confirmOrder: completed [done]',
  ]);
  expect(linesOf(timeline, 'money')).toEqual(['charged: 10.00 USD [done]']);
  expect(linesOf(timeline, 'events')).toEqual([
    '1 order.created [done]',
    '2 inventory.reserved [done]',
    '3 payment.charged [done]',
    '4 order.confirmed [done]',
  ]);
  expect(linesOf(timeline, 'deliveries')).toEqual(['hook: events 1 to 4 delivered [delivered]']);
  expect(timeline.entries.find(({ kind }) => kind === 'charge')?.money).toEqual({
    ...{ amount: 1_000, currency: 'USD' },
    reference: expect.stringMatching(/^pi_/),
  });
  const times = timeline.entries.map(({ at }) => at);
  expect(times).toEqual(times.toSorted());
  expect(timeline).toMatchObject({ isFinal: true, missing: [], omitted: [], explanation: { situation: 'confirmed' } });
}, 60_000);

test('a parked order’s picture tells which tries failed and why, that it waits, and what comes next by itself', async () => {
  const id = await parkedAt('chargePayment');
  await stage.until(id, 'parked');
  const timeline = await eventually('the parking is kept', async () => {
    const seen = await timelineOf(id);
    return seen.entries.some(({ kind, status }) => kind === 'wait' && status === 'parked') && seen;
  });
  expect(timeline.entries.filter(({ kind }) => kind === 'attempt')).toMatchObject([
    {
      ...{ step: 'chargePayment', status: 'failed', source: 'log' },
      attempts: { first: 1, times: expect.any(Number) },
      error: { failure: 'Error', message: 'chargePayment is broken for a test' },
    },
  ]);
  const now = timeline.entries.filter(({ until }) => until === null).map(({ what, status }) => `${what} [${status}]`);
  expect(now.join('\n')).toMatch(/chargePayment: parked \[parked\]/);
  expect(now.join('\n')).toMatch(/confirmOrder: its turn is to come \[pending\]/);
  expect(now.join('\n')).toMatch(/if chargePayment is still not done, the order is CANCELLED.* \[awaited\]/);
  expect(timeline).toMatchObject({ isFinal: false, missing: [] });
}, 60_000);

test('what happened is told the same after Temporal’s retention: failed tries, the wait, the decision, the undos, the money', async () => {
  const id = await parkedAt('chargePayment');
  await stage.until(id, 'parked');
  await eventually('the parking is kept', async () =>
    linesOf(await timelineOf(id)).some((line) => /parked for/.test(line)),
  );
  stage.broken.clear();
  const retried = await stage.ops('retry', id, '--yes', '--reason', 'mended');
  expect(retried).toMatchObject({ code: 0 });
  await stage.until(id, 'confirmed');
  await cancelAndEnd(id);
  const before = await timelineOf(id);
  expect(before.saga.runId).not.toBeNull();
  await Promise.all([forget(orderSagaId(id)), forget(cancelOrderSagaId(id))]);
  const after = await timelineOf(id);

  expect(after.saga.runId).toBeNull();
  expect({ ...after, at: '', saga: {}, explanation: {} }).toEqual({ ...before, at: '', saga: {}, explanation: {} });
  expect(linesOf(after, 'attempts').join()).toMatch(/chargePayment: tries 1 to \d+ failed/);
  const saga = after.entries.filter(({ lane }) => lane === 'saga');
  // When its sagas were seen to begin is noted beside their steps.
  const told = saga.filter(({ what }) => !/ to begin/.test(what));
  expect(told.map(({ kind, status, step = '' }) => `${kind} ${status} ${step}`.trim())).toEqual([
    'accepted done',
    'step done reserveInventory',
    'step done chargePayment',
    'wait done chargePayment',
    'decision decided',
    'step done confirmOrder',
    'decision decided',
    'undo undone refundPayment',
    'undo undone releaseInventory',
    'undo undone cancelOrder',
  ]);
  expect(saga.find(({ kind }) => kind === 'decision')).toMatchObject({
    ...{ what: 'retry', by: expect.any(String) },
    reason: expect.stringContaining('mended'),
  });
  expect(linesOf(after, 'money')).toEqual(['charged: 10.00 USD [done]', 'given back: 10.00 USD [done]']);
}, 120_000);

test('an unwinding order’s picture tells what was decided, what is undone, and what is still to be', async () => {
  stage.broken.add('refundPayment');
  const id = await retrying();
  await stage.until(id, 'retrying');
  await stage.ops('compensate', id, '--yes', '--reason', 'given up');
  await stage.until(id, 'unwinding');
  const timeline = await eventually('its undo has failed', async () => {
    const seen = await timelineOf(id);
    return seen.entries.some(({ kind, step }) => kind === 'attempt' && step === 'refundPayment') && seen;
  });
  const lines = linesOf(timeline).join('\n');
  expect(lines).toMatch(/^compensate \[decided\]$/m);
  expect(lines).toMatch(/^to be given up: OPERATOR \[decided\]$/m);
  expect(lines).toMatch(/^releaseInventory: its turn is to come \[pending\]$/m);
  expect(lines).toMatch(/^cancelOrder: its turn is to come \[pending\]$/m);
  expect(lines).toMatch(/^refundPayment: unwinding \[running\]$/m);
  const next = timeline.entries.find(({ kind, lane }) => kind === 'next' && lane === 'attempts');
  expect(next).toMatchObject({ step: 'refundPayment', error: { message: 'refundPayment is broken for a test' } });
}, 60_000);

test('where Temporal and the gateway are away the rest is told, and what is missing is named', async () => {
  const id = await confirmed();
  const lost = await lostTemporal();
  const ledger = createPaymentGateway({ url: `http://127.0.0.1:${await closedPort()}`, apiKey: KEY, timeoutMs: 500 });
  const timeline = await timelineOf(id, { client: lost.client(), gateway: { where: 'nowhere', ledger } });
  expect(timeline.missing.map(({ source }) => source)).toEqual(['saga', 'gateway']);
  expect(linesOf(timeline, 'money')).toEqual(['charged: 10.00 USD, as recorded [done]']);
  expect(timeline.entries.find(({ kind }) => kind === 'charge')).toMatchObject({ source: 'row' });
  expect(linesOf(timeline, 'saga')).toContain('confirmOrder: completed [done]');
  closeLost = lost.close; // later: what nobody waits for any more is still tried again
}, 60_000);

test('a gateway and a Temporal that hang are waited for three seconds, and told as not asked', async () => {
  const silent = () => new Promise<never>(() => undefined);
  const ledger = { findCharges: silent, readCharge: silent, readRefunds: silent, readDisputes: silent };
  const gateway = { where: 'Stripe', ledger };
  const { explanation } = await timelineOf(await confirmed(), { client: { withDeadline: silent } as never, gateway });
  expect(explanation.sources.gateway).toBe('not asked: the gateway did not answer within 3 s');
  expect(explanation.sources.saga).toMatch(/^not reached: Temporal, or the key store .* did not answer within 3 s$/);
}, 8_000);

test('what each destination has been sent is told: delivered, waiting, held by a dead letter', async () => {
  const { db } = stage.s;
  await createCursors(db, ['good', 'late', 'strict']);
  const id = await confirmed();
  const all = { feedXid: 2n ** 60n };
  await db.relayCursor.updateMany({ where: { destination: { in: ['good', 'strict'] } }, data: all });
  const letter = { destination: 'strict', orderId: id, sequence: 2, type: 'inventory.reserved', cause: 'rejected' };
  const { id: letterId } = await db.deadLetter.create({ data: { ...letter, error: '400 no', attempts: 3 } });
  const timeline = await timelineOf(id);
  expect(linesOf(timeline, 'deliveries').toSorted()).toEqual([
    'good: events 1 to 4 delivered [delivered]',
    'late: events 1 to 4 not delivered yet [waiting]',
    'strict: event 1 delivered [delivered]',
    'strict: event 2 (inventory.reserved) is held: a dead letter waits for a decision [dead]',
    'strict: events 3 to 4 behind a dead letter [waiting]',
  ]);
  expect(timeline.entries.find(({ status }) => status === 'dead')).toMatchObject({
    ...{ deadLetterId: `${letterId}`, until: null },
    error: { failure: 'rejected', message: '400 no' },
  });
}, 60_000);

test('thousands of tries are one entry with their count, and what is not shown is counted', async () => {
  const { db } = stage.s;
  const { id } = await accept(db, { A: 1 });
  const failed = { orderId: id, step: 'refundPayment', kind: 'failed', message: 'away' } as const;
  await noteStepFailure(db, { ...failed, failure: 'GatewayUnknown', attempt: 1 });
  await db.$executeRaw`UPDATE step_failures SET times = 9999, last_attempt = 9999 WHERE order_id = ${id}::uuid`;
  await noteStepFailure(db, { ...failed, failure: 'GatewayUnknown', attempt: 10_000 });
  for (let i = 0; i < 150; i++) await noteStepFailure(db, { ...failed, failure: `Kind${i}`, attempt: i });
  await noteStepFailure(db, { ...failed, failure: 'Kind7', attempt: 7 });
  await db.sagaLogEntry.createMany({
    data: Array.from({ length: 130 }, () => ({ orderId: id, step: 'resolve', outcome: 'retry', attempts: 0 })),
  });
  const timeline = await timelineOf(id);
  const tries = timeline.entries.filter(({ kind }) => kind === 'attempt');
  expect(tries).toHaveLength(100);
  expect(tries.find(({ error }) => error?.failure === 'GatewayUnknown')?.attempts).toEqual({
    ...{ first: 1, last: 10_000, times: 10_000 },
  });
  expect(timeline.omitted).toEqual([{ lane: 'saga', count: 30, why: 'older entries of the log' }]);
  expect(timeline.entries.length).toBeLessThan(250);
});

test('over HTTP it is the same with its link, and an unknown order is none', async () => {
  const id = await confirmed();
  const temporal = { ...AWAY, client: () => stage.s.client };
  const api = await startTestApi({ db: stage.s.db, databaseUrl: stage.s.databaseUrl, temporal });
  try {
    const told = await api.get<Timeline>(`/admin/orders/${id}/timeline`);
    const { entries, explanation } = await timelineOf(id, { gateway: { why: 'no key' } });
    expect(told.body.entries).toEqual(entries);
    expect(told.body.explanation.situation).toBe(explanation.situation);
    expect(told.body.missing).toMatchObject([{ source: 'gateway', why: expect.stringContaining('no key') }]);
    expect((await api.get(`/admin/orders/${randomUUID()}/timeline`)).status).toBe(404);
    expect((await api.get('/admin/orders/nonsense/timeline')).status).toBe(404);
  } finally {
    await api.stop();
  }
}, 60_000);
