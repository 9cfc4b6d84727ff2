/** What happens to an order next if nobody does anything, and when: so that an operator can decide to wait. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { SAGA_FAILURE, SAGA_STATE, SAGA_STEP, type SagaPolicy, TRANSIENT_FAILURES } from '../contracts/saga.js';
import { CHARGING_HELD } from '../contracts/brakes.js';
import { STEPS } from '../contracts/plan.js';
import type { OrderState } from '../domain/orders.js';
import { endedFromOutside } from '../sagas/execution.js';
import { isKeyRefused } from './refused-key.js';
import { codecsOf, readPayload } from '../sagas/payloads/reading.js';
import { waitOf } from '../sagas/waits.js';

/** `at` null = at no time that is known: `what` says after what. */
export type NextAct = { what: string; at: string | null };

/** The relay's supervision leaves the saga's own clock time to come first (relay/open-orders). */
const OVERDUE_MARGIN_MS = 60_000;

export type Standing = {
  order: { createdAt: string };
  orderState: OrderState;
  /** The saga that has work to do for the order, as Temporal has it; null = it knows none; undefined = it does not answer. */
  saga: WorkflowExecutionDescription | null | undefined;
  /** What that saga was begun with; undefined = not known. */
  policy: SagaPolicy | undefined;
  /** What one that is begun today is given. */
  policyOfToday: SagaPolicy;
  probeEveryMs: number;
  /** What its newest attempt was answered, where that is known. */
  lastError?: string | null;
};

/** @returns soonest first; empty = the order is final, and nothing happens any more */
export function nextActs(standing: Standing): NextAct[] {
  const { orderState, saga } = standing;
  if (isFinal(orderState)) return [];
  if (saga === undefined) return [{ what: 'Temporal does not answer: it goes on by itself when it is back', at: null }];
  if (saga === null) return [{ what: 'a relay starts its saga, within seconds', at: null }];
  if (saga.status.name !== 'RUNNING') return [restartOf(standing, saga)];
  return ofRunning(standing, saga);
}

const isFinal = ({ status, unwindingReason, forwardDue }: OrderState): boolean =>
  status === 'CANCELLED' || (status === 'CONFIRMED' && unwindingReason === null && !forwardDue);

function restartOf({ order, orderState, policyOfToday }: Standing, saga: WorkflowExecutionDescription): NextAct {
  const how = endedFromOutside(saga.status.name) ?? saga.status.name;
  if (orderState.unwindingReason !== null || orderState.forwardDue)
    return { what: `its saga was ${how}: a relay begins it anew, within seconds`, at: null };
  const overdueAt = Date.parse(order.createdAt) + policyOfToday.sagaDeadlineMs + OVERDUE_MARGIN_MS;
  return {
    what: `its saga was ${how}: a relay begins it anew to unwind it, unless \`retry\` begins it before`,
    at: iso(overdueAt),
  };
}

function ofRunning(standing: Standing, saga: WorkflowExecutionDescription): NextAct[] {
  const acts: NextAct[] = [];
  const wait = waitOf(saga);
  const step = wait.step ?? 'the saga';
  if (wait.waitsFor === 'next-try') acts.push({ what: `try ${wait.attempt} of ${step}`, at: wait.at });
  if (wait.waitsFor === 'attempt') acts.push({ what: `${step} is under way`, at: wait.at });
  if (wait.waitsFor === 'worker') acts.push({ what: `${step} goes on as soon as a worker takes it`, at: null });
  if (wait.waitsFor === 'unpausing') acts.push({ what: `${step} is not tried: an operator has paused it`, at: null });
  const parkedAt = saga.typedSearchAttributes.get(SAGA_STEP);
  const isParked = saga.typedSearchAttributes.get(SAGA_STATE) === 'NEEDS_ATTENTION' && wait.waitsFor === 'its-own-time';
  if (isParked) acts.push(probeOf(standing, saga, parkedAt));
  const isStep = parkedAt === undefined || STEPS.some((name) => name === parkedAt);
  if (isStep && standing.orderState.status === 'PENDING' && standing.orderState.unwindingReason === null)
    acts.push(...unwindingOf(standing, saga));
  return acts;
}

function probeOf(
  { probeEveryMs, lastError }: Standing,
  { typedSearchAttributes }: WorkflowExecutionDescription,
  step: string | undefined,
): NextAct {
  const failure = typedSearchAttributes.get(SAGA_FAILURE) ?? '';
  const neighbour = (TRANSIENT_FAILURES as Partial<Record<string, string>>)[failure];
  // An undo has no way but forward (workflows/until-done): it is tried for ever.
  if (step !== undefined && !STEPS.some((name) => name === step))
    return {
      what: `${step} is tried again every minute, and fails until its cause has gone or an operator decides (${failure})`,
      at: null,
    };
  if (neighbour === undefined)
    return { what: `${step} is not tried again by itself: it waits for an operator (${failure})`, at: null };
  if (neighbour === 'brake')
    return { what: `${step} goes on, the oldest order first, when operators let it: see \`ops brakes\``, at: null };
  if (isKeyRefused(lastError))
    return {
      what: `${step} succeeds only once the key that the payment gateway refuses has been corrected: STRIPE_API_KEY of the workers, which are restarted then`,
      at: null,
    };
  const every = `asked every ${probeEveryMs / 1_000} s`;
  return { what: `the prober tries ${step} again within 30 s of the return of the ${neighbour} (${every})`, at: null };
}

/** Only what is parked then: a step that is under way at that time is waited for. */
function unwindingOf(
  { policy }: Standing,
  { startTime, typedSearchAttributes }: WorkflowExecutionDescription,
): NextAct[] {
  if (policy === undefined) return [];
  if (typedSearchAttributes.get(SAGA_FAILURE) === CHARGING_HELD)
    return [{ what: 'its deadline stands still for as long as a brake holds it', at: null }];
  return [
    {
      what: 'if it is still parked then, it unwinds: what was done is undone, and the order is cancelled',
      at: iso(startTime.getTime() + policy.sagaDeadlineMs),
    },
  ];
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** @returns what the saga's run was begun with, as its history has it; undefined if that cannot be read */
export async function readPolicy(
  { client }: { client: Client },
  { workflowId, runId }: WorkflowExecutionDescription,
): Promise<SagaPolicy | undefined> {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1,
  });
  const [input] = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  const read = (await readPayload(codecsOf(client), input)) as { policy?: SagaPolicy } | undefined;
  return read?.policy;
}
