/** The saga's messages: what starts it, what it answers, how operators talk to it, and how it appears in lists. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { CHARGING_HELD } from './brakes.js';
import { CANCEL_ORDER_SAGA, cancelOrderSagaId, ORDER_SAGA, orderSagaId, TASK_QUEUE } from './ids.js';
import type { CancellationReason } from './orders.js';
import {
  LAST_UNDO,
  PLAN,
  PLAN_VERSION,
  requireKnownPlan,
  STEPS,
  type StepName,
  stepsOf,
  type UndoName,
  undosOf,
} from './plan.js';

/** Durations in milliseconds. Decided when the saga starts and carried in its input: a deploy never changes its mind. */
export type SagaPolicy = {
  /** How long a step is retried after transient failures before the saga parks and asks for an operator. */
  stepRetryBudgetMs: number;
  /** From the saga's start: a saga still parked then unwinds by itself. */
  sagaDeadlineMs: number;
  /** How long an undo may fail before the saga is marked; it goes on trying for ever. */
  compensationAttentionAfterMs: number;
};

/** What sagas are begun with today. Raised with a release whose patches its predecessor must not meet after a rollback. */
const GENERATION = 3;

/** Opaque ids and durations only: everything here is readable by everyone who can open the Temporal Web UI. */
export type OrderSagaInput = {
  orderId: string;
  policy: SagaPolicy;
  /** Of the plan under which the order was accepted; absent = the first. Steps that are younger are not the order's. */
  planVersion?: number;
  /** Of the code that began it; absent = before there was a count. It decides which patches it may take: workflows/generation. */
  generation?: number;
  /** Only of a run that goes on where a long one stopped: what an operator had asked for, and has not been tried yet. */
  word?: OperatorRequest;
  /** Of the trace that it belongs to, taken from the start's header inside the saga (workflows/trace); in no start's input. */
  traceparent?: string;
};
/** What a saga tells whoever traces it, outside of the sandbox. */
export type TraceSinks = {
  traces: {
    parked(traceparent: string, at: { step: string; failure: string; attempts: number; until: string }): void;
    ended(traceparent: string, result: { status: OrderSagaResult['status'] }): void;
  };
};
/** What a saga alone knows of itself, for the log of the process that runs it. Operators are named by their opaque ids. */
export type SagaFact =
  | { fact: 'parked'; step: string; failure: string; attempt: number; until?: string }
  | { fact: 'asked to try again'; step: string | undefined }
  | { fact: 'asked to cancel'; actor: string; outcome: 'unwinding' | 'confirmed' }
  | { fact: 'started by an operator'; actor: string }
  | { fact: 'decided by an operator'; action: Resolution['action']; step: string; actor: string };
export type LogSinks = { log: { write(fact: SagaFact): void } };
/** An operator's request that this step be tried again; `id` is its own. */
export type OperatorRequest = { step: StepName | UndoName; id: string };
/** `reason` as the order's row says it. */
export type CancelOrderSagaInput = OrderSagaInput & { reason: CancellationReason };
export type OrderSagaResult = { status: 'CONFIRMED' } | { status: 'CANCELLED'; reason: CancellationReason };

export const SAGA_STATES = ['RUNNING', 'COMPENSATING', 'NEEDS_ATTENTION', 'COMPLETED', 'COMPENSATED'] as const;
export type SagaState = (typeof SAGA_STATES)[number];

export const STEP_STATUSES = [
  'pending',
  'running',
  'retrying',
  'parked',
  'completed',
  'refused',
  'skipped',
  'undone',
  'nothing-to-undo',
] as const;
export type StepStatus = (typeof STEP_STATUSES)[number];

export type StepProgress = {
  name: StepName | UndoName;
  kind: 'step' | 'undo';
  status: StepStatus;
  attempts: number;
  startedAt: string | null;
  finishedAt: string | null;
  lastError: string | null;
};
/** A step of which nothing has been tried. */
export const pendingStep = (name: StepProgress['name'], kind: StepProgress['kind']): StepProgress => ({
  name,
  kind,
  status: 'pending',
  attempts: 0,
  startedAt: null,
  finishedAt: null,
  lastError: null,
});
export type SagaProgress = { state: SagaState; steps: StepProgress[] };

/** The messages that a running saga answers; `temporal workflow signal|update|query` reaches them under these very names. */
export const RETRY_SIGNAL = 'retry';
/** What a machine gives to the signal `retry`; an operator gives nothing, so that a button in the Web UI will do. */
export const BY_MACHINE = { by: 'machine' } as const;
/** The prober's, which a saga follows only if time may have mended what it is parked for. */
export const BY_PROBER = { by: 'prober' } as const;
export type RetryRequest = { by: 'operator' | 'machine' | 'prober' };

/** The type of a failure that says that the database did not answer, or could not do it now. */
export const DATABASE_UNAVAILABLE = 'DatabaseUnavailable';
/** The type of a failure that says: a row that the step needs is locked by another transaction just now. */
export const LOCKED = 'Locked';
/**
 * What time alone mends, by the type of failure that a saga is marked with, and the neighbour that has to be back for it. What
 * is not in this list waits for an operator: a mismatch, a finding, a bug.
 */
export const TRANSIENT_FAILURES = {
  /** The gateway did not answer, or not with an outcome. */
  GatewayUnknown: 'gateway',
  /** The database did not answer, or could not do it now. */
  [DATABASE_UNAVAILABLE]: 'database',
  [LOCKED]: 'database',
  /** The account was held for another database; it is tried again once this one has been adopted. */
  AccountHeld: 'gateway',
  /** An attempt hung, or its worker died: what it waited for is not known. */
  TimeoutFailure: 'gateway',
  /** An operator holds charges back. */
  [CHARGING_HELD]: 'brake',
} as const satisfies Record<string, Neighbour>;
/** What has to be back, or, of the brakes, to let go. */
export type Neighbour = 'gateway' | 'database' | 'brake';
export const RESOLVE_UPDATE = 'resolve';
export const CANCEL_UPDATE = 'cancel';
export const PROGRESS_QUERY = 'progress';

/** `operator` is an opaque subject id; `reason` at most 200 characters, without personal data: both are kept for ever. */
export type Resolution = {
  action: 'retry' | 'skip' | 'compensate';
  operator: string;
  reason: string;
  /** The step, or undo, at which its sender has seen the saga; at another one it is refused. A saga that older code runs does not ask. */
  expectedStep?: string;
  /** As the saga was marked then: the type of its failure. */
  expectedFailure?: string;
};
/** Type of the failure by which a saga refuses a decision on what it is not at any more; its detail is a SagaStanding. */
export const NOT_AS_SEEN = 'NotAsSeen';
/** Where a saga stands: null = at no step, marked with no failure. */
export type SagaStanding = { state: SagaState; step: string | null; failure: string | null };
export type CancelRequest = { reason: string; requestedBy: string };
export const REASON_LENGTH_MAX = 200;
/** What an operator writes is kept for ever and shown to many: an id of a person in our own system, never a name. */
export const SUBJECT = /^[A-Za-z0-9][A-Za-z0-9._:@|-]{0,127}$/;

/** Unset while all is well, so that a saga without trouble writes no history for them. */
export const SAGA_STATE = defineSearchAttributeKey('SagaState', SearchAttributeType.KEYWORD);
export const SAGA_STEP = defineSearchAttributeKey('SagaStep', SearchAttributeType.KEYWORD);
export const SAGA_FAILURE = defineSearchAttributeKey('SagaFailure', SearchAttributeType.KEYWORD);
export const CUSTOMER_ID = defineSearchAttributeKey('CustomerId', SearchAttributeType.KEYWORD);

const quoted = (words: readonly string[]) => words.map((word) => `"${word}"`).join(',');
/** Visibility queries: sagas that ask for an operator, and sagas that ended without having come to their end. */
export const STUCK_QUERY = 'SagaState="NEEDS_ATTENTION" AND ExecutionStatus="Running"';
/** Sagas that are parked at a step by what time mends, but for those that a brake holds. */
export const PROBEABLE_QUERY = `${STUCK_QUERY} AND SagaStep IN (${quoted(STEPS)}) AND SagaFailure IN (${quoted(Object.keys(TRANSIENT_FAILURES).filter((type) => type !== CHARGING_HELD))})`;
/** Sagas whose charge waits for a brake. */
export const HELD_QUERY = `${STUCK_QUERY} AND SagaFailure="${CHARGING_HELD}"`;
export const ENDED_FROM_OUTSIDE_QUERY =
  'ExecutionStatus IN ("Failed","Terminated","TimedOut","Canceled") AND WorkflowType IN ("OrderSaga","CancelOrderSaga")';

/** For an operator who opens a saga in the Web UI and has never seen one. */
const orderDetails = (planVersion: number) =>
  `${namesOf(stepsOf(PLAN, planVersion))}; if refused, what was done is undone in reverse. Stuck? Mend the cause: what waits ` +
  'for a neighbour goes on by itself; else send the signal `retry`, or decide with the update `resolve`: docs/runbook.md. ' +
  'Terminating it undoes nothing: what is reserved stays reserved, and what is charged stays charged. Cancelling it unwinds.';
const cancellationDetails = (planVersion: number) =>
  `A confirmed order taken back: ${[...undosOf(stepsOf(PLAN, planVersion)), LAST_UNDO].join(', ')}. It goes on until all is done. Terminating it undoes nothing more.`;
const namesOf = (steps: readonly { name: string }[]) => steps.map(({ name }) => name).join(', ');

/** An order whose saga is to be started: the one that finishes it, or the one that takes it back after its confirmation. */
export type UnstartedSaga = {
  id: string;
  /** As the order's row holds it: the customer's reference, or the client's id of an order older than references. */
  customer: string;
  correlationId: string;
  /** W3C trace context of its acceptance, if that was traced. */
  traceparent?: string | null;
  /** Under which the order was accepted; absent = by this very build. */
  planVersion?: number;
} & ({ kind: 'order' } | { kind: 'cancellation'; reason: CancellationReason });

/**
 * Everything that starting a saga takes, wherever it is started from.
 * @returns the workflow type and its start options, for `client.workflow.start(type, options)`
 * @throws if a newer build has accepted the order under a plan that this one does not know
 */
export function sagaStart(saga: UnstartedSaga, policy: SagaPolicy) {
  const { id, customer, correlationId, kind, planVersion = PLAN_VERSION } = saga;
  requireKnownPlan(id, planVersion);
  const common: OrderSagaInput = { orderId: id, policy, generation: GENERATION, planVersion };
  const input: OrderSagaInput | CancelOrderSagaInput = kind === 'order' ? common : { ...common, reason: saga.reason };
  return {
    type: kind === 'order' ? ORDER_SAGA : CANCEL_ORDER_SAGA,
    options: {
      workflowId: kind === 'order' ? orderSagaId(id) : cancelOrderSagaId(id),
      taskQueue: TASK_QUEUE,
      args: [input] as [typeof input],
      // One saga of a kind per order, for ever; only one that was ended from outside, or by a bug, may be restarted: every
      // step finds what the first has done.
      workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' as const,
      workflowIdConflictPolicy: 'FAIL' as const,
      // A killed worker holds its workflow task for this long. 5 s instead of the default 10 s halves the wait; shorter
      // thrashes: many tasks on a cold worker time out again.
      workflowTaskTimeout: '5s' as const,
      memo: { correlationId },
      typedSearchAttributes: [{ key: CUSTOMER_ID, value: customer }],
      staticSummary: kind === 'order' ? `Order ${id}` : `Cancellation of order ${id}`,
      staticDetails: kind === 'order' ? orderDetails(planVersion) : cancellationDetails(planVersion),
    },
  };
}
