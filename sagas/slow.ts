/**
 * Slow orders: open for longer than a saga without trouble takes, and not yet stuck. No operator is needed for them, but one who
 * looks just after something has broken sees here what it is, before anything is given up on.
 */
import type { Client } from '@temporalio/client';
import pLimit from 'p-limit';
import { cancelOrderSagaId, orderSagaId } from '../contracts/ids.js';
import type { SlowOrder } from '../domain/stuck-sagas.js';
import { describeRun } from './describe.js';
import { type Wait, waitOf } from './waits.js';

const PARALLEL_MAX = 16;

/** `waitsFor`: a Wait's, or `its-start`: Temporal knows no saga of it that runs. */
export type SlowSaga = SlowOrder &
  Omit<Wait, 'waitsFor'> & { workflowId: string; waitsFor: Wait['waitsFor'] | 'its-start' };

/** Slow orders that wait for the same: usually one cause. */
export type SlowGroup = Pick<SlowSaga, 'waitsFor' | 'step' | 'lastError'> & { count: number; oldest: SlowSaga };

/** @returns what each of them waits for: a question to Temporal for each */
export async function describeSlow(client: Client, orders: SlowOrder[]): Promise<SlowSaga[]> {
  const limit = pLimit(PARALLEL_MAX);
  return Promise.all(orders.map((order) => limit(() => describeOne(client, order))));
}

async function describeOne(client: Client, order: SlowOrder): Promise<SlowSaga> {
  const { orderId, takingBack } = order;
  const workflowId = takingBack ? cancelOrderSagaId(orderId) : orderSagaId(orderId);
  const saga = await describeRun(client, workflowId);
  if (saga?.status.name === 'RUNNING') return { ...order, workflowId, ...waitOf(saga) };
  return { ...order, workflowId, waitsFor: 'its-start', step: null, attempt: null, lastError: null, at: null };
}

/** @param sagas the longest waiting first. @returns the largest group first */
export function groupSlow(sagas: SlowSaga[]): SlowGroup[] {
  const groups = new Map<string, SlowGroup>();
  for (const saga of sagas) {
    const { waitsFor, step, lastError } = saga;
    const key = JSON.stringify([waitsFor, step, lastError]);
    const group = groups.get(key);
    if (group) group.count++;
    else groups.set(key, { waitsFor, step, lastError, count: 1, oldest: saga });
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}
