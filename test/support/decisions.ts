/** What an operator does with a running saga, and what the saga tells. */
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { Resolution, SagaProgress } from '../../contracts/saga.js';
import { eventually } from './conditions.js';

export const progressOf = (saga: WorkflowHandle) => saga.query<SagaProgress>('progress');
export const statusOf = (progress: SagaProgress, name: string) =>
  progress.steps.find((step) => step.name === name)?.status;

export const resolve = (saga: WorkflowHandle, resolution: Partial<Resolution>) =>
  saga.executeUpdate<SagaProgress, [Partial<Resolution>]>('resolve', {
    args: [{ operator: 'op-7', reason: 'tested by hand', ...resolution }],
  });

/** @returns the saga as visibility lists it, once it is in the list of those that need attention */
export const listedAsStuck = (client: Client, orderId: string) =>
  eventually('the saga is listed as stuck', async () => {
    const query = `SagaState="NEEDS_ATTENTION" AND WorkflowId="order-${orderId}"`;
    for await (const saga of client.workflow.list({ query })) return saga;
    return undefined;
  });
