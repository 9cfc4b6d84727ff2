/**
 * Keeps in Postgres which attempts have failed and where sagas were parked, for when Temporal has forgotten it. Nobody waits for it, and
 * it is dropped rather than queued: while Postgres is away there is nothing to be kept, and a saga must not be slower for it.
 */
import type { Info } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import type { Logger } from 'pino';
import { CHARGING_HELD } from '../contracts/brakes.js';
import { orderIdOf } from '../contracts/ids.js';
import { STEPS, UNDOS } from '../contracts/plan.js';
import { NEEDS_OPERATOR, type Need, REFUSAL } from '../contracts/refusals.js';
import type { SagaFact } from '../contracts/saga.js';
import type { StepInput } from '../contracts/steps.js';
import type { Database } from '../domain/database.js';
import { noteStepFailure, type StepFailure } from '../domain/step-failures.js';

const kept = new Set<string>([...STEPS, ...UNDOS, 'beginUnwinding']);
/** That wait to be written, one after the other, so that they are counted as they came; in an outage many fail at once. */
const WAITING_MAX = 500;

export type FailureKeeper = {
  ofAttempts(info: Info): ActivityInboundCallsInterceptor;
  ofParking(workflowId: string, fact: SagaFact): void;
};

export function keepFailures(db: Database, logger: Logger): FailureKeeper {
  let waiting = 0;
  let written = Promise.resolve();
  const keep = (it: StepFailure) => {
    if (waiting >= WAITING_MAX) return;
    waiting++;
    written = written
      .then(() => noteStepFailure(db, it))
      .catch((err: unknown) => logger.debug({ err, orderId: it.orderId, step: it.step }, 'a failure was not kept'))
      .then(() => {
        waiting--;
      });
  };
  return {
    ofAttempts: ({ activityType: step, workflowExecution, attempt }) => {
      if (!kept.has(step)) return {};
      const orderId = orderIdOf(workflowExecution?.workflowId ?? '');
      return {
        execute: async (input, next) => {
          try {
            return await next(input);
          } catch (err) {
            const [{ triedBefore = 0 } = {}] = input.args as [Partial<StepInput>?];
            const said = failureOf(err);
            if (said) keep({ orderId, step, kind: 'failed', attempt: triedBefore + attempt, ...said });
            throw err;
          }
        },
      };
    },
    ofParking: (workflowId, fact) => {
      if (fact.fact !== 'parked') return;
      const { step, failure, attempt } = fact;
      keep({ orderId: orderIdOf(workflowId), step, kind: 'parked', failure, message: null, attempt });
    },
  };
}

/** A refusal is an outcome, a held charge was never tried, and what is called off has not failed. */
function failureOf(err: unknown): Pick<StepFailure, 'failure' | 'message'> | undefined {
  if (err instanceof CancelledFailure) return undefined;
  if (!(err instanceof ApplicationFailure)) return { failure: 'Error', message: null };
  const { type, message, details } = err;
  if (type === REFUSAL || type === CHARGING_HELD) return undefined;
  const [need] = (type === NEEDS_OPERATOR ? (details ?? []) : []) as [Need?];
  return { failure: need?.kind ?? type ?? 'Error', message };
}
