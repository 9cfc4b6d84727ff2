/** How a saga ends. One that does not says where it stands and why, which a test that merely runs out of time would not. */
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { OrderSagaResult } from '../../contracts/saga.js';
import { progressOf } from './decisions.js';

/** Less than a test may take. */
const PATIENCE_MS = 45_000;

/**
 * @param askedBy the function to whose caller a failure should point
 * @throws Error with what the saga says of its steps, if it has not ended in time
 */
export async function outcomeOf(
  saga: WorkflowHandle,
  askedBy: (...given: never[]) => unknown = outcomeOf,
): Promise<OrderSagaResult> {
  const late = new Error();
  Error.captureStackTrace(late, askedBy);
  const frames = late.stack?.split('\n').slice(1) ?? [];
  const waiting = new AbortController();
  const timer = setTimeout(() => waiting.abort(), PATIENCE_MS);
  try {
    return (await saga.client.withAbortSignal(waiting.signal, () => saga.result())) as OrderSagaResult;
  } catch (err) {
    if (!waiting.signal.aborted) throw err;
    late.message = `${saga.workflowId} has not ended after ${PATIENCE_MS / 1000} s:\n${await whereItStands(saga)}`;
    late.stack = [`Error: ${late.message}`, ...frames].join('\n');
    throw late;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Ends every saga, and with it whatever still waits for one: a test that ran out of time goes on waiting, and would throw, where
 * no code catches it, when its connection has been closed, which ends Jest with all the files that it has still to run.
 */
export async function endSagas(client: Client): Promise<void> {
  try {
    for await (const { workflowId, runId } of client.workflow.list({ query: 'ExecutionStatus="Running"' })) {
      const end = client.workflow.getHandle(workflowId, runId).terminate('the test file is over');
      await end.catch(() => {}); // it has ended by itself
    }
  } catch {
    // The server has gone: some tests have it go.
  }
}

async function whereItStands(saga: WorkflowHandle): Promise<string> {
  try {
    const { steps } = await progressOf(saga);
    return steps
      .map(({ name, status, lastError }) => `  ${name} ${status}${lastError ? `: ${lastError}` : ''}`)
      .join('\n');
  } catch (err) {
    return `  it does not say where it stands (${(err as Error).message})`;
  }
}
