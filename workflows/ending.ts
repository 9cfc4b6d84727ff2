/** The end of a saga: what it leaves behind in its progress, and which answers and log entries it still owes. */
import { allHandlersFinished, CancellationScope, condition } from '@temporalio/workflow';
import type { OrderSagaResult } from '../contracts/saga.js';
import { showState } from './attention.js';
import { noteNotTaken } from './decisions.js';
import type { Saga } from './saga.js';
import { traceEnd } from './trace.js';

/** The last act of a saga. @returns the result, once every update that was accepted has its answer */
export async function endSaga(saga: Saga, result: OrderSagaResult): Promise<OrderSagaResult> {
  const { progress, decisions } = saga;
  progress.setState(result.status === 'CONFIRMED' ? 'COMPLETED' : 'COMPENSATED');
  const { unanswered } = decisions;
  // Also after the workflow itself was cancelled: what is owed to the log is written all the same.
  if (result.status === 'CONFIRMED' && unanswered)
    await CancellationScope.nonCancellable(() => noteNotTaken(saga, unanswered, 'the order was confirmed first'));
  if (result.status === 'CANCELLED') showState(saga, `Cancelled: ${result.reason}. Everything has been undone.`);
  const owesNothing = () => allHandlersFinished() && decisions.areNoted;
  // Most sagas: a scope and a condition are ten promises, each of which the SDK takes a stack of. Same answer, same moment.
  if (!owesNothing()) await CancellationScope.nonCancellable(() => condition(owesNothing));
  traceEnd(saga, result);
  return result;
}
