/** What the first screen says is wrong, and what is to be done about it: of facts as they are in trouble. */
import { expect, test } from '@jest/globals';
import type { PostgresFacts } from '../../api/overview/facts.js';
import { causesOfNeighbours, neighboursOf, type Sources } from '../../api/overview/neighbours.js';
import { causesOfPostgres } from '../../api/overview/postgres-causes.js';
import { causesOfSagas } from '../../api/overview/saga-causes.js';
import type { StuckSaga } from '../../domain/stuck-sagas.js';
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

test('a key that the gateway refuses is said to be refused, and nothing is promised; silence is told as silence', () => {
  const saga = { ...STUCK, step: 'chargePayment', failure: 'GatewayUnknown' };
  const said = (message: string) =>
    causesOfSagas([saga], PATIENT, [{ step: 'chargePayment', failure: 'GatewayUnknown', message, orders: 1 }])[0];
  const refused = said('The payment gateway answered 401 (StripeAuthenticationError)');
  expect(refused?.title).toMatch(/refused by the payment gateway/);
  expect(refused?.detail).toMatch(/The key is refused: correct .* answered 401/);
  expect(refused?.detail).not.toMatch(/by themselves/);
  expect(said('The payment gateway did not answer (StripeConnectionError)')?.detail).toMatch(
    /by themselves.*did not answer/,
  );
});

test('an undo that needs an operator is tried again every minute, a step is not', () => {
  const detail = (step: string) => causesOfSagas([{ ...STUCK, step, failure: 'RefundFailed' }], PATIENT)[0]?.detail;
  expect(detail('refundPayment')).toMatch(/tried again every minute/);
  expect(detail('chargePayment')).toBe('It is not tried again by itself.');
});
