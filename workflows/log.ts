/**
 * What only the saga knows, written to the log of the process that runs it: by a sink, which a replay does not call again and which
 * writes no history. What an activity knows as well is logged there, where it costs no way out of the sandbox.
 */
import { proxySinks } from '@temporalio/workflow';
import type { LogSinks, SagaFact } from '../contracts/saga.js';

export function logFact(fact: SagaFact): void {
  proxySinks<LogSinks>().log.write(fact);
}
