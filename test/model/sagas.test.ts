/**
 * Sagas that have really run, amid failures, lost answers, cancellations, skips and runs ended from outside, are paths of the model,
 * with the very events that they have told. In full runs only: recorded sagas are held against it in every run (model.test.ts).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { sagaStart } from '../../contracts/saga.js';
import { requestCancellation } from '../../domain/orders.js';
import { eventTypes, stock } from '../support/database.js';
import { resolve } from '../support/decisions.js';
import { ifModelled, runModel } from '../support/model.js';
import { outcomeOf } from '../support/outcome.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

const AT_A_TIME = 12;
const ROUNDS = 5;
const SHORT = { ...PATIENT, stepRetryBudgetMs: 1_500, sagaDeadlineMs: 15_000 };
const whenFull = process.env['FULL'] === '1' ? describe : describe.skip;

/** Now it fails before it has done anything, now after it has: then its answer is lost. */
const unreliable =
  <I, R>(act: (input: I) => Promise<R>) =>
  async (input: I): Promise<R> => {
    if (Math.random() < 0.15) throw new Error('planted failure');
    const result = await act(input);
    if (Math.random() < 0.15) throw new Error('planted loss of the answer');
    return result;
  };

whenFull('sagas that have run', () => {
  let s: SagaStack;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'order-saga-lived-'));
    s = await startSagaStack({
      activities: (real) => ({
        ...real,
        reserveInventory: unreliable(real.reserveInventory),
        chargePayment: unreliable(real.chargePayment),
        confirmOrder: unreliable(real.confirmOrder),
        beginUnwinding: unreliable(real.beginUnwinding),
        refundPayment: unreliable(real.refundPayment),
        releaseInventory: unreliable(real.releaseInventory),
        cancelOrder: unreliable(real.cancelOrder),
      }),
    });
    await stock(s.db, 'A', 1_000_000);
    await stock(s.db, 'NONE', 0);
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    await s.stop();
  });

  const place = (paymentMethod = 'pm_card_visa', sku = 'A') =>
    s.place({ [sku]: 1 }, { paymentMethod, policy: { ...SHORT } });
  const soon = () => pause(Math.random() * 300);
  /** What may become of an order; each is to be refused what it is refused. */
  const FATES = [
    async () => (await place()).result(),
    async () => (await place('pm_card_chargeDeclined')).result(),
    async () => (await place('pm_card_visa', 'NONE')).result(),
    async () => (await place('pm_sandbox_timeout_after_charge')).result(),
    async () => (await place('pm_sandbox_error_after_charge')).result(), // until its deadline
    async () => {
      const { saga, result } = await place();
      await soon();
      await saga
        .executeUpdate('cancel', { args: [{ reason: 'changed my mind', requestedBy: 'cus_1' }] })
        .catch(() => {});
      return result();
    },
    async () => {
      const { order, result } = await place();
      await soon();
      await requestCancellation(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
      return result();
    },
    async () => {
      const { saga, result } = await place('pm_sandbox_error_after_charge');
      for (let n = 0; n < 20; n++) {
        await soon();
        await resolve(saga, { action: Math.random() < 0.5 ? 'skip' : 'compensate' }).catch(() => {});
      }
      return result();
    },
    async () => {
      const { order, saga } = await place();
      await soon();
      await saga.terminate('a test').catch(() => {});
      const { type, options } = sagaStart({ ...order, kind: 'order' }, SHORT);
      await s.client.workflow.start(type, options).catch(() => {}); // it has ended by itself
      return outcomeOf(s.client.workflow.getHandle(options.workflowId));
    },
    async () => {
      const { order, result } = await place();
      await result();
      await requestCancellation(s.db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
      const { type, options } = sagaStart({ ...order, kind: 'cancellation', reason: 'CANCELLED_BY_CUSTOMER' }, SHORT);
      return outcomeOf(await s.client.workflow.start(type, options));
    },
  ];

  ifModelled(
    'the model admits each of them, with its events',
    async () => {
      const fates = Array.from({ length: AT_A_TIME * ROUNDS }, (_, n) => FATES[n % FATES.length] as (typeof FATES)[0]);
      for (let begun = 0; begun < fates.length; begun += AT_A_TIME)
        await Promise.all(fates.slice(begun, begun + AT_A_TIME).map((fate) => fate()));
      const events: Record<string, string[]> = {};
      let count = 0;
      for await (const { workflowId, runId } of s.client.workflow.list()) {
        const orderId = workflowId.replace(/^order-/, '').replace(/-cancel$/, '');
        events[orderId] ??= await eventTypes(s.db, orderId);
        const history = await s.client.workflow.getHandle(workflowId, runId).fetchHistory();
        await writeFile(join(folder, `${workflowId}.${runId}.json`), historyToJSON(history));
        count++;
      }
      expect(count).toBeGreaterThanOrEqual(fates.length);
      await writeFile(join(folder, 'events.json'), JSON.stringify(events));
      expect(runModel('--histories', folder) ?? { status: 0 }).toMatchObject({ status: 0 });
    },
    900_000,
  );
});
