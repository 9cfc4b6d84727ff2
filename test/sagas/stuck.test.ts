/** Stuck sagas are found also when Temporal has nothing to say of them: Postgres knows which orders wait. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { requestCancellation } from '../../domain/orders.js';
import { findStuck } from '../../sagas/stuck.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 100);
});
afterEach(() => s.heal());
afterAll(() => s.stop());

const stuck = async (orderId: string) => {
  const { sagas } = await findStuck(s.db, s.client, { ...PATIENT, sagaDeadlineMs: 86_400_000 });
  return sagas.filter((saga) => saga.orderId === orderId);
};
const hoursAgo = async (orderId: string, hours: number) => {
  await s.db.$executeRaw`
    UPDATE orders SET created_at = now() - ${hours}::int * interval '1 h', updated_at = now() - ${hours}::int * interval '1 h'
    WHERE id = ${orderId}::uuid`;
};

describe('an order that waits is listed as stuck', () => {
  test('when its saga never began, once the sweep has had its time', async () => {
    const order = await accept(s.db, { A: 1 });
    expect(await stuck(order.id)).toEqual([]);
    await hoursAgo(order.id, 2);
    expect(await stuck(order.id)).toMatchObject([{ failure: 'NOT_STARTED', runId: null, status: 'PENDING' }]);
  });

  test('when its saga is nowhere to be seen although it began: ended from outside, and forgotten by Temporal since', async () => {
    const order = await accept(s.db, { A: 1 });
    await s.db.order.update({ where: { id: order.id }, data: { sagaStartedAt: new Date() } });
    await hoursAgo(order.id, 2);
    expect(await stuck(order.id)).toMatchObject([{ failure: 'NO_SAGA', runId: null, status: 'PENDING' }]);
  });

  test('but not while its saga runs, however slowly; once it was ended, under what ended it', async () => {
    await s.fault({ route: 'charge', mode: 'down', count: null });
    const { order, saga } = await s.place({ A: 1 });
    await hoursAgo(order.id, 2);
    expect(await stuck(order.id)).toEqual([]);

    await saga.terminate('by mistake');
    await eventually('it is listed as terminated', async () => (await stuck(order.id))[0]?.failure === 'TERMINATED');
    expect(await stuck(order.id)).toHaveLength(1);
  });

  test('when it is confirmed and to be taken back, and nothing takes it back', async () => {
    const { order, result } = await s.place({ A: 1 });
    expect(await result()).toEqual({ status: 'CONFIRMED' });
    await requestCancellation(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await hoursAgo(order.id, 2);
    expect(await stuck(order.id)).toMatchObject([
      { failure: 'NOT_STARTED', workflowId: `order-${order.id}-cancel`, status: 'CONFIRMED' },
    ]);
  });
});
