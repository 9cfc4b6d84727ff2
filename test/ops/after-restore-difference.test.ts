/** What counts as a difference after a restore, where taking a healthy order for one would cost somebody their order. */
import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { RestoredOrder } from '../../domain/after-restore.js';
import { differenceOf, type Sides } from '../../ops/after-restore/difference.js';
import { readTold } from '../../ops/after-restore/history.js';

const order: RestoredOrder = {
  id: 'o',
  customer: 'c',
  status: 'CONFIRMED',
  unwindingReason: null,
  isDue: false,
  payment: 'CHARGED',
  reference: 'pi_1',
  logged: ['reserveInventory', 'chargePayment'],
};
const saga = {
  workflowId: 'order-o',
  runId: 'r',
  status: 'RUNNING',
  told: { done: new Set<string>(), unwinding: null },
};
const sides = (over: Partial<Sides>): Sides => ({
  ...{ orderId: 'o', order, saga: undefined, cancellation: undefined, held: [], givenBack: [] },
  ...over,
});

test('an order that an operator vouches for is not cancelled because a charge besides went back', () => {
  const vouched: RestoredOrder = { ...order, payment: 'SETTLED_OUTSIDE', reference: null };
  expect(differenceOf(sides({ order: vouched, givenBack: ['pi_2'] }))).toBeUndefined();
});

test('a confirmed order with steps after the pivot is its first saga’s', () => {
  expect(differenceOf(sides({ order: { ...order, isDue: true }, saga }))).toBeUndefined();
});

test.each([
  [{ outcome: 'confirmed' }, null],
  [{ outcome: 'unwinding', reason: 'PAYMENT_DECLINED' }, 'PAYMENT_DECLINED'],
])('a saga that asked to unwind, and was told %j, unwinds for %s', async (answer, unwinding) => {
  const payloads = (value: unknown) => ({ payloads: [defaultPayloadConverter.toPayload(value)] });
  const details = { data: payloads({ activity_type: 'beginUnwinding' }), result: payloads(answer) };
  const history = { events: [{ markerRecordedEventAttributes: { markerName: 'core_local_activity', details } }] };
  const client = {
    options: { loadedDataConverter: { payloadCodecs: [] } },
    withDeadline: (_: number, ask: () => unknown) => ask(),
    workflow: { getHandle: () => ({ fetchHistory: async () => history }) },
  } as unknown as Client;
  expect((await readTold(client, 'order-o', 'r')).unwinding).toBe(unwinding);
});
