/**
 * What becomes of each order's saga, a line per fact, where it is known: an attempt at a step or an undo where it ends, all else where the
 * saga says it. An attempt whose worker dies leaves no line; the next one's number tells that it was made. Fields and levels: docs/logs.md.
 */
import type { Info } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure, defaultPayloadConverter, type Headers } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor, InjectedSinks } from '@temporalio/worker';
import type { Logger } from 'pino';
import { type Correlated, CORRELATION_HEADER, orderIdOf } from '../contracts/ids.js';
import { STEPS, UNDOS } from '../contracts/plan.js';
import { REFUSAL, type Refusal } from '../contracts/refusals.js';
import type { LogSinks, SagaFact } from '../contracts/saga.js';
import type { StepInput, StepResult, UndoResult } from '../contracts/steps.js';

const logged = new Set<string>([...STEPS, ...UNDOS, 'beginUnwinding']);

export function logAttempts(logger: Logger, info: Info): ActivityInboundCallsInterceptor {
  const { activityType: step, workflowExecution, attempt } = info;
  if (!logged.has(step)) return {};
  const { workflowId = '', runId } = workflowExecution ?? {};
  return {
    execute: async (input, next) => {
      const [{ triedBefore = 0, correlationId = correlationIdIn(input.headers) } = {}] = input.args as [
        Partial<StepInput & Correlated>?,
      ];
      const began = performance.now();
      const about = () => ({
        correlationId,
        orderId: orderIdOf(workflowId),
        workflowId,
        runId,
        step,
        attempt: triedBefore + attempt,
        ms: Math.round(performance.now() - began),
      });
      try {
        const result = await next(input);
        logger.info({ ...about(), ...outcomeOf(result) }, `${step}: done`);
        return result;
      } catch (err) {
        logFailure(logger, about(), err);
        throw err;
      }
    },
  };
}

/** A charge that was confirmed in the same transaction, an undo that found nothing, what the order's row said. */
function outcomeOf(result: unknown): { confirmed?: true; outcome?: string } {
  const { confirmed, undone, outcome } = (result ?? {}) as Partial<StepResult & UndoResult & { outcome: string }>;
  if (confirmed) return { confirmed };
  const said = undone ?? outcome;
  return said === undefined ? {} : { outcome: said };
}

/** A refusal is business; an attempt that is called off makes way for another; all else is tried again, or parks the saga. */
function logFailure(logger: Logger, about: { step: string }, err: unknown): void {
  const { step } = about;
  const failure = err instanceof ApplicationFailure ? err : undefined;
  if (err instanceof CancelledFailure) logger.debug(about, `${step}: called off`);
  else if (failure?.type !== REFUSAL) logger.warn({ ...about, failure: failure?.type, err }, `${step}: failed`);
  else {
    const [refusal] = (failure.details ?? []) as [Refusal?];
    logger.info({ ...about, reason: refusal?.reason }, `${step}: refused`);
  }
}

function correlationIdIn(headers: Headers): string | undefined {
  const payload = headers[CORRELATION_HEADER];
  return payload && defaultPayloadConverter.fromPayload<string>(payload);
}

/** @param tell hears of each fact, too */
export const logSinks = (
  logger: Logger,
  tell: (workflowId: string, fact: SagaFact) => void = () => undefined,
): InjectedSinks<LogSinks> => ({
  log: {
    write: {
      fn: ({ workflowId, runId, memo }, said) => {
        const { fact, ...fields } = said;
        tell(workflowId, said);
        const { correlationId } = (memo ?? {}) as { correlationId?: string };
        const about = { correlationId, orderId: orderIdOf(workflowId), workflowId, runId, ...fields };
        if (fact === 'parked') logger.warn(about, 'saga: parked');
        else logger.info(about, `saga: ${fact}`);
      },
    },
  },
});
