/**
 * What becomes of the attempts at steps and undos in this worker, counted where each ends. An attempt whose worker dies is counted by
 * no process; what it leaves behind is seen in `oldest_open_order_age_seconds` and by Temporal.
 */
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { ApplicationFailure } from '@temporalio/common';
import { STEPS, UNDOS } from '../contracts/plan.js';
import { NEEDS_OPERATOR, type Need, REFUSAL, type Refusal } from '../contracts/refusals.js';
import { DATABASE_UNAVAILABLE, LOCKED, TRANSIENT_FAILURES } from '../contracts/saga.js';
import type { UndoResult } from '../contracts/steps.js';
import { observeTraced } from '../runtime/exemplars.js';
import { exemplarTraceId } from '../runtime/tracing/spans.js';
import { stepDuration, stepRefusals, stepRetries, undoFailures, undos } from './metrics.js';

const isStep = new Set<string>(STEPS);
const isUndo = new Set<string>(UNDOS);

/** @param activity the activity's name */
export function countAttempts(activity: string): ActivityInboundCallsInterceptor {
  const isOurs = isStep.has(activity) || isUndo.has(activity);
  if (!isOurs) return {};
  const labels = { step: activity };
  return {
    execute: async (input, next) => {
      const began = performance.now();
      try {
        const result = await next(input);
        if (isUndo.has(activity)) undos.inc({ step: activity, outcome: (result as UndoResult).undone });
        return result;
      } catch (err) {
        countFailure(activity, err);
        throw err;
      } finally {
        observeTraced(stepDuration, labels, (performance.now() - began) / 1_000, exemplarTraceId());
      }
    },
  };
}

function countFailure(activity: string, err: unknown): void {
  const failure = err instanceof ApplicationFailure ? err : undefined;
  if (failure?.type === REFUSAL) {
    const [refusal] = (failure.details ?? []) as [Refusal?];
    stepRefusals.inc({ step: activity, reason: refusal?.reason ?? '' });
  } else if (isStep.has(activity)) stepRetries.inc({ step: activity, cause: causeOf(failure) });
  else undoFailures.inc({ step: activity, cause: causeOf(failure) });
}

/** Each costs a series per step: what is not on this list is a bug, which the log describes. */
const CAUSES = new Set([
  ...Object.keys(TRANSIENT_FAILURES),
  DATABASE_UNAVAILABLE,
  LOCKED,
  'GatewayMismatch',
  'RefundFailed',
  'HoldingLost',
]);

function causeOf(failure: ApplicationFailure | undefined): string {
  const [need] = (failure?.type === NEEDS_OPERATOR ? (failure.details ?? []) : []) as [Need?];
  const kind = need?.kind ?? failure?.type ?? '';
  return CAUSES.has(kind) ? kind : 'other';
}
