/** What the first screen says is wrong, and what is to be done about it: of facts as they are in trouble. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COUNTERPARTS } from '../../api/overview/alarms.js';
import { createCalm } from '../../api/overview/calm.js';
import { type CauseKind, cause } from '../../api/overview/cause.js';
import type { PostgresFacts, TemporalFacts } from '../../api/overview/facts.js';
import { withFollowing } from '../../api/overview/following.js';
import { causesOfNeighbours, neighboursOf, type Sources } from '../../api/overview/neighbours.js';
import { createOutages } from '../../api/overview/outages.js';
import { catchingUp, causesOfPostgres } from '../../api/overview/postgres-causes.js';
import { causesOfSagas, findingsOfSagas } from '../../api/overview/saga-causes.js';
import type { StuckSaga } from '../../domain/stuck-sagas.js';
import { SILENT } from '../support/api.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/conditions.js';
import { PATIENT } from '../support/saga.js';

const FACTS = {
  ...{
    open: { count: 0, oldestSeconds: 0, waiting: 0 },
    unstarted: { count: 0, oldestSeconds: 0 },
    feedHeldSeconds: 0,
  },
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
  ...{ invariants: [], verificationStalledSince: null, operations: { running: 0, paused: 0, 'paused-by-itself': 0 } },
  ...{ signs: { stepAt: null, triedAt: null, chargeAt: null }, refusal: null },
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
  expect(causesOfNeighbours(read, { neighbours, began: new Map() }).map(({ title }) => title)).toEqual([
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
  const [first] = causesOfNeighbours(read, { neighbours: neighboursOf(read), began: new Map() });
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
    'chargePayment fails: the payment gateway answers 503',
  );
  expect(said('The payment gateway did not answer (StripeConnectionError)')?.detail).toMatch(
    /by themselves.*did not answer/,
  );
});

test.each([
  ['answered 503 (StripeAPIError)', /^chargePayment fails: the payment gateway answers 503$/],
  ['refused the connection, or is not to be found (StripeConnectionError)', /^chargePayment is refused at once/],
  ['did not answer within 10 s (StripeConnectionError)', /gets no answer from the payment gateway within 10 s$/],
  ['did not answer (StripeConnectionError)', /gets no answer from the payment gateway$/],
])('a gateway that %s is told of in these words', (said, title) => {
  const saga = { ...STUCK, step: 'chargePayment', failure: 'GatewayUnknown' };
  const answer = (message: string, orders: number) => ({ ...saga, step: saga.step, message, orders });
  const errors = [
    answer('The payment gateway does not answer; not asked again before its next probe', 9),
    answer(`The payment gateway ${said}`, 1),
  ];
  expect(causesOfSagas([saga], PATIENT, errors)[0]?.title).toMatch(title);
});

describe('a neighbour that answers, and does not do its work, is not up', () => {
  const pollers = { workflow: 1, activity: 1 };
  const temporalOf = (causes: object[]) => ({
    ...{ at: new Date(), answers: true },
    facts: { causes, pollers, held: 0, more: false, lastAskedSeconds: 1, at: new Date() } as unknown as TemporalFacts,
  });
  const of = (read: Sources, name: string) => neighboursOf(read).find(({ kind }) => kind === name);
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1_000);
  const frozen = (lastAgo: number, waiting: number, causes: object[] = []): Sources => {
    const signs = { stepAt: ago(60), triedAt: ago(lastAgo), chargeAt: null };
    const facts = { ...FACTS, signs, open: { count: 2, oldestSeconds: 20, waiting } };
    return { ...sources(facts), temporal: temporalOf(causes) };
  };

  test('workers that ask for work while orders wait and no step ends are late, and a cause', () => {
    const read = frozen(20, 2);
    const causes = causesOfNeighbours(read, { neighbours: neighboursOf(read), began: new Map() });
    expect(of(read, 'workers')).toMatchObject({ state: 'late', detail: expect.stringMatching(/2 orders wait/) });
    expect(causes.map(({ kind }) => kind)).toEqual(['workers']);
    expect(of(frozen(2, 2), 'workers')?.state).toBe('up');
    expect(of(frozen(20, 0), 'workers')?.state).toBe('up');
    const parked = cause({ kind: 'sagas', title: 't', detail: 'd', count: 2, of: { failure: 'GatewayUnknown' } });
    expect(of(frozen(20, 2, [parked]), 'workers')?.state).toBe('up');
  });

  test('workers are not up while a saga’s tasks are taken by nobody', () => {
    const untaken = cause({ kind: 'sagas', title: 't', detail: 'd', count: 1, of: { failure: 'NO_POLLERS' } });
    expect(of(frozen(2, 0, [untaken]), 'workers')).toMatchObject({
      state: 'late',
      detail: expect.stringMatching(/1 saga/),
    });
  });

  test('a gateway at which sagas are parked is late, though it answers whoever looks', () => {
    const parked = cause({ kind: 'sagas', title: 't', detail: 'd', count: 7, of: { failure: 'GatewayUnknown' } });
    const gateway = { facts: { asked: true, where: 'x', refuses: null } as const, at: new Date(), answers: true };
    const told = of({ ...frozen(2, 0, [parked]), gateway }, 'gateway');
    expect(told).toMatchObject({
      state: 'late',
      detail: expect.stringMatching(/7 sagas are parked at it/),
      lastSuccess: null,
    });
    expect(of({ ...frozen(2, 0), gateway }, 'gateway')?.state).toBe('up');
    const failing = { ...frozen(2, 0), gateway: { ...gateway, facts: { ...gateway.facts, fails: '503' } } };
    const causes = causesOfNeighbours(failing, { neighbours: neighboursOf(failing), began: new Map() });
    expect(causes.map(({ title }) => title)).toEqual(['The payment gateway answers 503']);
  });
});

test('an undo that needs an operator is tried again every minute, a step is not', () => {
  const detail = (step: string) => causesOfSagas([{ ...STUCK, step, failure: 'RefundFailed' }], PATIENT)[0]?.detail;
  expect(detail('refundPayment')).toMatch(/tried again every minute/);
  expect(detail('chargePayment')).toBe('It is not tried again by itself.');
});

describe('what raises an alarm', () => {
  const rules = ['alerts.yml', 'slo.yml'].map((file) => readFileSync(`deploy/prometheus/${file}`, 'utf8')).join('\n');
  const alarms = rules
    .split(/^ +- alert: /m)
    .slice(1)
    .filter((rule) => /severity: (page|ticket)\b/.test(rule))
    .map((rule) => /^\w+/.exec(rule)?.[0]);

  test('is a cause of the first screen, or it is declared why it cannot be; and no other is declared', () => {
    expect(alarms.length).toBeGreaterThan(30);
    expect(Object.keys(COUNTERPARTS).sort()).toEqual([...alarms].sort());
  });

  test('an invariant that is violated is told by its name, with how many and since when', () => {
    const since = new Date('2026-01-01T00:00:00.000Z');
    const figure = { invariant: 'I5 sagas are of orders', violations: 3, since, lookedAt: new Date() };
    const [told] = causesOfPostgres({ ...FACTS, invariants: [figure] });
    expect(told).toMatchObject({ kind: 'invariant', severity: 'bad', count: 3, oldest: since.toISOString() });
    expect(told?.title).toMatch(/does not hold: I5 sagas are of orders/);
  });

  test('a verification that comes to no end, and an operation that paused by itself, are told', () => {
    const operations = { running: 0, paused: 0, 'paused-by-itself': 2 };
    const causes = causesOfPostgres({ ...FACTS, verificationStalledSince: new Date(), operations });
    expect(causes.map(({ kind, count }) => [kind, count])).toEqual([
      ['verification', null],
      ['operation', 2],
    ]);
  });
});

test('orders that wait for longer than they are promised are not calm, though nothing is known to be wrong', () => {
  const open = { count: 31, oldestSeconds: 78, waiting: 31 };
  const backlog = [{ destination: 'webhook', events: 50, oldestAt: new Date() }] as PostgresFacts['backlog'];
  expect(catchingUp({ ...FACTS, open, backlog })).toMatchObject([
    { kind: 'catching-up', severity: 'warn', count: 31, detail: expect.stringMatching(/owed 50 events/) },
  ]);
  expect(catchingUp({ ...FACTS, open: { ...open, oldestSeconds: 5 } })).toEqual([]);
});

test('a database that answers and takes nothing is told since it last took something, not since it last answered', () => {
  let now = new Date('2026-01-01T00:00:00.000Z');
  const note = createOutages(() => now);
  const look = (refusal: PostgresFacts['refusal']) => {
    const read = sources({ ...FACTS, refusal });
    const outages = note(neighboursOf({ ...read, postgres: { ...read.postgres, at: now } }));
    const { lastSuccess } = outages.neighbours.find(({ kind }) => kind === 'postgres') ?? {};
    return [lastSuccess, causesOfNeighbours(read, outages)[0]?.oldest];
  };
  const up = now.toISOString();
  expect(look(null)).toEqual([up, undefined]);
  now = new Date('2026-01-01T00:01:00.000Z');
  expect(look('read-only')).toEqual([up, up]);
  now = new Date('2026-01-01T00:02:00.000Z');
  expect(look('read-only')).toEqual([up, up]);
  expect(look(null)).toEqual([now.toISOString(), undefined]);
});

test('a dispute of an order whose refund is stuck is told with its saga; one of an order that is not is a cause by itself', () => {
  const sagas = [{ ...STUCK, step: 'refundPayment', failure: 'RefundFailed' }];
  const disputed = cause({ kind: 'findings', title: 't', detail: 'd', count: 1, of: { kind: 'DISPUTED' } });
  const follows = (count: number) =>
    withFollowing(
      [...causesOfSagas(sagas, PATIENT), { ...disputed, count }],
      findingsOfSagas([{ kind: 'DISPUTED', orderId: 'a' }], sagas),
    ).map((each) => each.follows);
  expect(follows(1)).toEqual([null, 'sagas/refundPayment/RefundFailed']);
  expect(follows(2)).toEqual([null, null]);
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
    // It may have gone on until the look that finds it gone.
    await eventually('some time has passed', () => Promise.resolve(Date.now() > before + 50));
    const foundGone = Date.now();
    const told = Date.parse((await calm([], true)).since ?? '');
    expect(told).toBeGreaterThanOrEqual(foundGone);
    expect(Date.parse((await calm([], true)).since ?? '')).toBe(told);
    expect(Math.abs(Date.parse((await since()) ?? '') - told)).toBeLessThan(2_000);
    expect(await calm([], false)).toEqual({ isCalm: false, since: null });
  });
});
