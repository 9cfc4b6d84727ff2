/** A deploy with sagas in flight: each saga ends on the build that it began on. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { readLeftBehind } from '../../sagas/builds.js';
import { findStuck } from '../../sagas/stuck.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

const deploymentName = 'order-saga';
const today = { deploymentName, buildId: 'today' };
const next = { deploymentName, buildId: 'next' };
/** While it is waited that one stands still: hundreds of others would show nothing more. */
const ORDER_EVERY_MS = 500;
/** A step that fails parks the saga at once. */
const IMPATIENT = { stepRetryBudgetMs: 1_000 };

let saga: SagaStack;
beforeAll(async () => {
  saga = await startSagaStack({ version: today });
  await stock(saga.db, 'A', 100);
  await makeCurrent(saga.client, today);
});
afterEach(() => saga.heal());
afterAll(() => saga.stop());

describe('a worker that knows its build', () => {
  test('keeps the sagas that began on it through a deploy that they could not follow; new ones begin on the next', async () => {
    await saga.fault({ route: 'charge', mode: 'down', count: null });
    const parked = await saga.place({ A: 1 }, { policy: IMPATIENT });
    await eventually('the saga parks', async () => (await stateOf(parked.saga.workflowId)) === 'NEEDS_ATTENTION');

    await saga.deploy({ version: next, workflowsPath: join(process.cwd(), 'test/workers/builds/next.ts') });
    await makeCurrent(saga.client, next);
    await saga.heal();

    const fresh = await saga.place({ A: 1 });
    expect(await fresh.result()).toEqual({ status: 'CONFIRMED' });
    expect(await buildOf(fresh.saga.workflowId)).toBe('next');

    expect(await readLeftBehind(saga.client)).toEqual([]);

    await parked.saga.signal('retry');
    expect(await parked.result()).toEqual({ status: 'CONFIRMED' });
    expect(await buildOf(parked.saga.workflowId)).toBe('today');
    expect(await saga.money(parked.order.id)).toEqual({ net: parked.order.total.amount, charges: 1 });
  });

  test('leaves sagas behind when it was the last of its build: they are listed within a minute, while others move', async () => {
    await makeCurrent(saga.client, today);
    await saga.fault({ route: 'charge', mode: 'down', count: null });
    const left = await saga.place({ A: 1 });
    await eventually('its charge is being retried on the old build', async () => {
      const { raw } = await saga.client.workflow.getHandle(left.saga.workflowId).describe();
      return (raw.pendingActivities ?? []).length > 0;
    });
    await saga.dismiss();
    await saga.deploy({ version: next, workflowsPath: join(process.cwd(), 'test/workers/builds/next.ts') });
    await makeCurrent(saga.client, next);
    await saga.heal();
    const listed = await eventually(
      'it is listed',
      async () => {
        expect(await (await saga.place({ A: 1 })).result()).toEqual({ status: 'CONFIRMED' });
        const { sagas } = await findStuck(saga.db, saga.client, PATIENT);
        if (sagas.length > 0) return sagas;
        await pause(ORDER_EVERY_MS);
        return undefined;
      },
      60_000,
    );
    expect(listed).toMatchObject([{ orderId: left.order.id, failure: 'NO_POLLERS', step: 'chargePayment' }]);
    expect(await readLeftBehind(saga.client, 20_000)).toEqual([{ build: 'order-saga:today', sagas: 1 }]);
  }, 150_000);
});

/** What `temporal worker deployment set-current-version` does; refused until a worker of that build has polled. */
async function makeCurrent(client: Client, { buildId }: { buildId: string }): Promise<void> {
  await eventually(`the deployment takes ${buildId}`, () =>
    client.workflowService.setWorkerDeploymentCurrentVersion({
      namespace: 'default',
      deploymentName,
      buildId,
      identity: 'deploy',
    }),
  );
}

async function stateOf(workflowId: string): Promise<unknown> {
  const { searchAttributes } = await saga.client.workflow.getHandle(workflowId).describe();
  return searchAttributes['SagaState']?.[0];
}

async function buildOf(workflowId: string): Promise<string | null | undefined> {
  const { raw } = await saga.client.workflow.getHandle(workflowId).describe();
  return raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId;
}
