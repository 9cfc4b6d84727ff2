/** When an order that is not done is cancelled by its own saga. */
import { CHARGING_HELD } from '../contracts/brakes.js';
import type { SagaView } from './saga-view.js';

/** @returns null if it has no saga that runs, if that cannot be read, or while a brake has its clock stand still */
export function deadlineOf(saga: SagaView): string | null {
  if (!saga.asked || !saga.known || saga.execution !== 'RUNNING' || saga.policy === undefined) return null;
  if (saga.marked.failure === CHARGING_HELD) return null;
  return new Date(Date.parse(saga.startedAt) + saga.policy.sagaDeadlineMs).toISOString();
}
