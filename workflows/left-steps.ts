/** Steps that a saga has turned away from: what became of each shows once the undos have looked. */
import type { CancellationReason } from '../contracts/orders.js';
import { type SagaPlan, type StepName, stepNamed } from '../contracts/plan.js';
import type { LeftStep } from '../contracts/steps.js';
import type { Saga } from './saga.js';
import type { StepLine } from './state/progress.js';

/** Gives them the status that stays; to be called when all undos are done. @returns what the log does not know of them */
export function concludeLeftSteps({ plan, progress }: Saga): LeftStep[] {
  const { steps } = progress;
  return steps
    .filter((line) => isLeft(plan, line))
    .flatMap((line) => {
      const { name, attempts, lastError } = line;
      const step = name as StepName;
      const undo = steps.find((other) => other.name === stepNamed(plan, step)?.undo);
      if (undo?.status === 'undone' || undo?.status === 'skipped') progress.setStatus(line, 'undone');
      else if (line.status !== 'refused') progress.setStatus(line, 'nothing-to-undo');
      return attempts === 0 ? [] : [{ step, outcome: line.status, attempts, lastError }];
    });
}

/** A refusal of its own is a step's end; that of the order's row only says that it came too late. */
function isLeft(plan: SagaPlan, { kind, name, status, lastError }: StepLine): boolean {
  if (kind !== 'step' || status === 'completed' || status === 'skipped') return false;
  return status !== 'refused' || !stepNamed(plan, name)?.refusals?.includes(lastError as CancellationReason);
}
