/** A database that has lost what an earlier step of the order left behind: no step goes on from there, whatever the saga knows. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { PLAN, STEPS, type StepName, stepsOf } from '../../contracts/plan.js';
import { readOrder } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { createActivities } from '../../workers/worker.js';
import { openLedgers, type TestLedgers } from '../reconciliation/support.js';
import { accept } from '../support/database.js';
import { failureOf } from './undo.js';

let b: TestLedgers;
beforeAll(async () => {
  b = await openLedgers();
});
afterAll(() => b?.stop());

const run = (name: StepName, orderId: string, skippedBy?: string) =>
  new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(
    createActivities({ db: b.db, gateway: b.gateway })[name],
    {
      orderId,
      ...(skippedBy !== undefined && { skippedBy }),
    },
  );

/** As if the transaction of this step had been in the tail that was lost. Its entry in the log, which cannot be taken out, says nothing here. */
async function lose(step: StepName, orderId: string): Promise<void> {
  const { table } = stepsOf(PLAN).find(({ name }) => name === step)?.holds ?? {};
  await b.db.$executeRawUnsafe(`DELETE FROM ${table} WHERE order_id = '${orderId}'`);
}

const earlierThan = (step: StepName): StepName[] => STEPS.slice(0, STEPS.indexOf(step));
const holding = (step: StepName) =>
  earlierThan(step).filter((name) => stepsOf(PLAN).some((planned) => planned.name === name && planned.holds));
const CELLS = STEPS.flatMap((step) => holding(step).map((lost) => ({ step, lost })));

describe('when a database that was restored or failed over has lost what', () => {
  test.each(CELLS)('$lost did, $step takes no effect and asks for an operator', async ({ step, lost }) => {
    const { id } = await b.pending();
    for (const name of earlierThan(step)) await run(name, id);
    const { net } = await b.ledger(id);
    await lose(lost, id);
    const { failure, need } = await failureOf(run(step, id));
    expect([need, failure.nonRetryable]).toEqual(['HoldingLost', true]);
    expect(failure.message).toContain(`What ${lost} did for order ${id} is not in the database`);
    expect(failure.message).toContain('ops after-restore');
    expect(await b.ledger(id)).toMatchObject({ net });
    expect(await readOrder(b.db, id)).toMatchObject({ status: 'PENDING' });
  });

  test.each(CELLS)('$lost did, and an operator had vouched for it, $step goes on', async ({ step, lost }) => {
    const { id } = await accept(b.db, { A: 1 });
    for (const name of earlierThan(step)) await run(name, id, name === lost ? 'op-1' : undefined);
    await run(step, id);
    expect(await b.db.sagaLogEntry.count({ where: { orderId: id, step, outcome: 'completed' } })).toBe(1);
  });

  test.each([false, true])(
    'reserveInventory did while the gateway charged, the charge is not recorded (with the confirmation: %s)',
    async (confirm) => {
      const { id } = await accept(b.db, { A: 1 });
      await expect(recordCharge(b.db, id, `pi_${id}`, undefined, { confirm })).rejects.toThrow(
        'What reserveInventory did',
      );
      expect(await b.db.payment.count({ where: { orderId: id } })).toBe(0);
      expect(await readOrder(b.db, id)).toMatchObject({ status: 'PENDING' });
    },
  );
});
