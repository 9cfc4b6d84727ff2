/** How long a saga may be open, by what it was given, before it has to say that it needs someone. */
import { STEPS } from '../contracts/plan.js';
import type { SagaPolicy } from '../contracts/saga.js';
import type { Ledgers } from './ledgers.js';

/** Beyond the budgets: for what a busy service takes, and for the lists, which trail. */
const MARGIN_MS = 60_000;

export const openAtMostMs = (policy: SagaPolicy): NonNullable<Ledgers['openAtMostMs']> => ({
  unmarked: STEPS.length * policy.stepRetryBudgetMs + MARGIN_MS,
  inAll: policy.sagaDeadlineMs + policy.compensationAttentionAfterMs + MARGIN_MS,
});
