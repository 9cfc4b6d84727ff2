/** What the first screen says is wrong, and what is to be done about it: of facts as they are in trouble. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createCalm } from '../../api/overview/calm.js';
import { type CauseKind, cause } from '../../api/overview/cause.js';
import type { PostgresFacts } from '../../api/overview/facts.js';
import { causesOfNeighbours, neighboursOf, type Sources } from '../../api/overview/neighbours.js';
import { causesOfPostgres } from '../../api/overview/postgres-causes.js';
import { causesOfSagas } from '../../api/overview/saga-causes.js';
import type { StuckSaga } from '../../domain/stuck-sagas.js';
import { SILENT } from '../support/api.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { PATIENT } from '../support/saga.js';

const FACTS = {
  ...{ open: { count: 0, oldestSeconds: 0 }, unstarted: { count: 0, oldestSeconds: 0 }, feedHeldSeconds: 0 },
  ...{
    backlog: [],
    destinations: [],
    moved: [],
    letters: [],
    recentLetters: [],
    findings: [],
    brakes: [],
    spending: [],
  },
  ...{ erasures: { late: 0, oldestSeconds: 0, stalled: {} }, account: { heldSince: null, heldBecause: null } },
  ...{ signs: { stepAt: null, chargeAt: null }, refusal: null },
} as unknown as PostgresFacts;
const UNHEARD = { facts: undefined, at: undefined, answers: undefined };
const sources = (facts: PostgresFacts): Sources => ({
  postgres: { facts, at: new Date(), answers: true },
  ...{ temporal: UNHEARD, gateway: UNHEARD, breaker: undefined },
});
const STUCK = {
  ...{ orderId: 'a', workflowId: 'order-a', state: 'NEEDS_ATTENTION', status: 'PENDING' },
  ...{ startedAt: '2026-01-01T00:00:00.000Z', total: { amount: 1_000, currency: 'USD' } },
} as unknown as StuckSaga;

test.each(['read-only', 'standby'] as const)('a database that is %s is a cause, and is not up', (refusal) => {
  const read = sources({ ...FACTS, refusal });
  const neighbours = neighboursOf(read);
  expect(neighbours.find(({ kind }) => kind === 'postgres')?.state).toBe('down');
  expect(causesOfNeighbours(read, neighbours).map(({ title }) => title)).toEqual([
    'The database takes no changes: orders are refused with 503',
  ]);
});

test('who has not answered yet is being asked', () => {
  const temporal = neighboursOf(sources(FACTS)).find(({ kind }) => kind === 'temporal');
  expect(temporal).toMatchObject({ state: 'unknown', detail: 'is being asked' });
});

test.each([
  [{ error: 'The payment gateway did not answer, ECONNREFUSED', tookMs: 12 }, /^It fails at once: .* ECONNREFUSED\. /],
  [{ error: 'no answer within 5000 ms', tookMs: 5_003 }, /^It gives no answer in 5 s: no answer within 5000 ms\. /],
])('of a gateway that is away it is said how it fails: %j', (failure, said) => {
  const read = { ...sources(FACTS), gateway: { facts: undefined, at: undefined, answers: false, failure } };
  const [first] = causesOfNeighbours(read, neighboursOf(read));
  expect([first?.title, first?.detail]).toEqual(['The payment gateway does not answer', expect.stringMatching(said)]);
});

test('an account that is held is told of once, without money', () => {
  const found = {
    kind: 'ACCOUNT_HELD',
    action: 'reported',
    currency: '',
    count: 1,
    amount: 0,
    oldest: new Date(),
    recent: 1,
  };
  const account = { ...FACTS.account, heldSince: new Date(), heldBecause: 'it speaks for another' };
  const causes = causesOfPostgres({ ...FACTS, account, findings: [found] });
  expect(causes.map(({ kind, atStake }) => [kind, atStake])).toEqual([['account', []]]);
});

test('a key that the gateway refuses is said to be refused, and nothing is promised but what follows its repair; silence is told as silence', () => {
  const saga = { ...STUCK, step: 'chargePayment', failure: 'GatewayUnknown' };
  const said = (message: string) =>
    causesOfSagas([saga], PATIENT, [{ step: 'chargePayment', failure: 'GatewayUnknown', message, orders: 1 }])[0];
  const refused = said('The payment gateway answered 401 (StripeAuthenticationError)');
  expect(refused?.title).toMatch(/refused by the payment gateway/);
  expect(refused?.detail).toMatch(/The key is refused: correct .* answered 401/);
  expect(refused?.detail).toMatch(/No waiting mends it\. Once a worker has the right key, they go on by themselves/);
  expect(said('The payment gateway answered 503 (StripeAPIError)')?.title).toBe(
    'chargePayment is put off by the payment gateway: it answers 503',
  );
  expect(said('The payment gateway did not answer (StripeConnectionError)')?.detail).toMatch(
    /by themselves.*did not answer/,
  );
});

test('an undo that needs an operator is tried again every minute, a step is not', () => {
  const detail = (step: string) => causesOfSagas([{ ...STUCK, step, failure: 'RefundFailed' }], PATIENT)[0]?.detail;
  expect(detail('refundPayment')).toMatch(/tried again every minute/);
  expect(detail('chargePayment')).toBe('It is not tried again by itself.');
});

describe('calm is since', () => {
  let t: TestDatabase;
  beforeAll(async () => {
    t = await createTestDatabase();
    await stock(t.db, 'A', 10);
  });
  afterAll(() => t.drop());

  /** As a process tells that has just begun, and knows what Postgres does. */
  const since = async () => (await createCalm(t.db, SILENT)([], true)).since;
  const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000);

  test('what happened last has ended, whoever looks and whenever; where nothing was wrong, since the first order', async () => {
    expect(await since()).toBeNull();
    const { id: orderId } = await accept(t.db, { A: 1 });
    await t.db.order.update({ where: { id: orderId }, data: { createdAt: minutesAgo(60) } });
    expect(await since()).toBe((await t.db.order.findUnique({ where: { id: orderId } }))?.createdAt.toISOString());
    const ends: [string, Date, (at: Date) => Promise<unknown>][] = [
      [
        'a parked saga’s, when its step was done',
        minutesAgo(50),
        async (at) => {
          const parked = { orderId, step: 'chargePayment', kind: 'parked', failure: 'GatewayUnknown' };
          const when = { firstAttempt: 1, lastAttempt: 3, firstAt: minutesAgo(55), lastAt: minutesAgo(55) };
          await t.db.stepFailure.create({ data: { ...parked, ...when } });
          await t.db.sagaLogEntry.create({
            data: { orderId, step: 'chargePayment', outcome: 'completed', attempts: 4, at },
          });
        },
      ],
      [
        'a finding’s',
        minutesAgo(40),
        async (updatedAt) => {
          const money = { amount: 1n, currency: 'USD', orderId: 'nobody', gatewayReference: 'pi_1' };
          await t.db.reconciliationFinding.create({
            data: { ...money, kind: 'ORPHAN_CHARGE', action: 'cancelled', updatedAt },
          });
        },
      ],
      [
        'a dead letter’s',
        minutesAgo(30),
        async (closedAt) => {
          const event = { destination: 'webhook', orderId: randomUUID(), sequence: 1, type: 'order.created' };
          const refusal = { cause: 'rejected', error: '422', attempts: 1, state: 'DELIVERED', closedAt };
          await t.db.deadLetter.create({ data: { ...event, ...refusal, updatedAt: closedAt } });
        },
      ],
      [
        'a brake’s',
        minutesAgo(20),
        async (releasedAt) => {
          const engaged = { brake: 'charging', engagedBy: 'op-7', reason: 'r', engagedAt: minutesAgo(25) };
          await t.db.brakePeriod.create({
            data: { ...engaged, releasedAt, releasedBy: 'op-7', releaseReason: 'r' },
          });
        },
      ],
    ];
    for (const [what, at, happens] of ends) {
      await happens(at);
      expect([what, await since(), await since()]).toEqual([what, at.toISOString(), at.toISOString()]);
    }
  });

  test('a neighbour was last seen to be away, by any process', async () => {
    const down = cause({ kind: 'temporal' satisfies CauseKind, title: 't', detail: 'd' });
    const calm = createCalm(t.db, SILENT);
    const before = Date.now();
    expect(await calm([down], true)).toEqual({ isCalm: false, since: null });
    const told = Date.parse((await calm([], true)).since ?? '');
    expect(told).toBeGreaterThanOrEqual(before);
    expect(Math.abs(Date.parse((await since()) ?? '') - told)).toBeLessThan(2_000);
    expect(await calm([], false)).toEqual({ isCalm: false, since: null });
  });
});
