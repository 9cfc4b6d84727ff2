/** The end of a saga: what it leaves behind in its progress, and which answers and log entries it still owes. */
import { allHandlersFinished, CancellationScope, condition, patched } from '@temporalio/workflow';
import type { OrderSagaResult } from '../contracts/saga.js';
import type { Decision } from '../contracts/steps.js';
import { showState } from './attention.js';
import { noteNotTaken } from './decisions.js';
import type { Saga } from './saga.js';
import { traceEnd } from './trace.js';

/** The last act of a saga. @returns the result, once every update that was accepted has its answer */
export async function endSaga(saga: Saga, result: OrderSagaResult): Promise<OrderSagaResult> {
  const { progress, decisions } = saga;
  progress.setState(result.status === 'CONFIRMED' ? 'COMPLETED' : 'COMPENSATED');
  const isConfirmed = result.status === 'CONFIRMED';
  const { unanswered } = decisions;
  if (isConfirmed && unanswered) await noteConfirmedFirst(saga, unanswered);
  if (result.status === 'CANCELLED') showState(saga, `Cancelled: ${result.reason}. Everything has been undone.`);
  await payDebts(saga);
  // A handler that was waited for has given up asking the order's row.
  const late = decisions.unanswered;
  if (isConfirmed && late && late !== unanswered && patched('late-unanswered')) {
    await noteConfirmedFirst(saga, late);
    await payDebts(saga);
  }
  traceEnd(saga, result);
  return result;
}

/** Also after the workflow itself was cancelled: what is owed to the log is written all the same. */
const noteConfirmedFirst = (saga: Saga, decision: Decision): Promise<void> =>
  CancellationScope.nonCancellable(() => noteNotTaken(saga, decision, 'the order was confirmed first'));

async function payDebts({ decisions }: Saga): Promise<void> {
  const owesNothing = () => allHandlersFinished() && decisions.areNoted;
  // Most sagas: a scope and a condition are ten promises, each of which the SDK takes a stack of. Same answer, same moment.
  // Also after the workflow itself was cancelled.
  if (!owesNothing()) await CancellationScope.nonCancellable(() => condition(owesNothing));
}
