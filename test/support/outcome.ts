/** How a saga ends. One that does not says where it stands and why, which a test that merely runs out of time would not. */
import type { WorkflowHandle } from '@temporalio/client';
import type { OrderSagaResult } from '../../contracts/saga.js';
import { progressOf } from './decisions.js';

/** Less than a test may take. */
const PATIENCE_MS = 45_000;

/** @throws Error with what the saga says of its steps, if it has not ended in time */
export async function outcomeOf(saga: WorkflowHandle): Promise<OrderSagaResult> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => void whereItStands(saga).then((text) => reject(new Error(text))), PATIENCE_MS);
  });
  try {
    return await Promise.race([saga.result() as Promise<OrderSagaResult>, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function whereItStands(saga: WorkflowHandle): Promise<string> {
  const introduction = `${saga.workflowId} has not ended after ${PATIENCE_MS / 1000} s:`;
  try {
    const { steps } = await progressOf(saga);
    const lines = steps.map(({ name, status, attempts, lastError }) => {
      const trouble = lastError === undefined ? '' : `, attempt ${attempts}: ${lastError}`;
      return `  ${name} ${status}${trouble}`;
    });
    return [introduction, ...lines].join('\n');
  } catch (err) {
    return `${introduction} it does not say why (${(err as Error).message})`;
  }
}
