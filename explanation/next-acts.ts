/** What happens to an order next if nobody does anything, and when: so that an operator can decide to wait. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { SAGA_FAILURE, SAGA_STATE, SAGA_STEP, type SagaPolicy, TRANSIENT_FAILURES } from '../contracts/saga.js';
import { CHARGING_HELD } from '../contracts/brakes.js';
import { STEPS } from '../contracts/plan.js';
import type { OrderState } from '../domain/orders.js';
import { endedFromOutside } from '../sagas/execution.js';
import { isGivenUp, LOOKS_ONLY } from './given-up.js';
import { isKeyRefused } from './refused-key.js';
import { codecsOf, readPayload } from '../sagas/payloads/reading.js';
import { type Wait, waitOf } from '../sagas/waits.js';
import { clock, span } from './plain-words.js';

/** `at` null = at no time that is known: `what` says after what. `atLatest`: it comes by then, and may come before. */
export type NextAct = { what: string; at: string | null; atLatest?: true };

/** The relay's supervision of open orders: its own times (relay/open-orders). */
const SUPERVISION = {
  /** It leaves the saga's own clock time to come first. */
  overdueMarginMs: 60_000,
  /** It looks at a pending order from this age on, every few seconds at first. */
  pendingMs: 60_000,
  everyMs: 5_000,
  /** And then at ever longer intervals: the longest. */
  backoffMaxMs: 300_000,
};
/** Of its look at what waits for a neighbour: its own pauses, and the watching of a try before (workers/probing). */
const PROBE_PAUSES_MS = 25_000;
/** A step's pauses between two tries end at that, an undo's at that (workflows/steps). */
const PAUSE_MAX = { step: '15 s', undo: '1 min' };

export type Standing = {
  /** `sagaStartedAt` null = no process has seen it begin; undefined = not known. */
  order: { createdAt: string; sagaStartedAt?: string | null };
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
  /** What being cancelled is for this order: its money and its pieces; undefined = it is not said. */
  ends?: string;
};

/** @returns soonest first; empty = the order is final, and nothing happens any more */
export function nextActs(standing: Standing): NextAct[] {
  const { orderState, saga } = standing;
  if (isFinal(orderState)) return [];
  if (saga === undefined) return [{ what: 'Temporal does not answer: it goes on by itself when it is back', at: null }];
  if (saga === null) return [startOf(standing)];
  if (saga.status.name !== 'RUNNING') return [restartOf(standing, saga)];
  return ofRunning(standing, saga);
}

const isFinal = ({ status, unwindingReason, forwardDue }: OrderState): boolean =>
  status === 'CANCELLED' || (status === 'CONFIRMED' && unwindingReason === null && !forwardDue);

/** What was never seen to begin, the sweep starts within seconds; what Temporal has lost, the supervision of open orders. */
function startOf({ order: { createdAt, sagaStartedAt }, orderState, ends }: Standing): NextAct {
  const isBack = orderState.unwindingReason !== null;
  const goesOn = isBack ? `the order is CANCELLED${sayingThat(ends)}` : 'the order GOES ON';
  if (sagaStartedAt == null || orderState.status !== 'PENDING' || isBack)
    return { what: `a relay starts its saga within seconds, if one runs: ${goesOn}`, at: null };
  const from = foundMissingBy(createdAt);
  const what = `a relay begins its saga anew, and ${goesOn}`;
  return from > Date.now() ? { what, at: iso(from), atLatest: true } : { what: `${what}; within 5 min`, at: null };
}

/** By when the supervision has looked at a pending order for the first time. */
export const foundMissingBy = (createdAt: string): number =>
  Date.parse(createdAt) + SUPERVISION.pendingMs + SUPERVISION.everyMs;

function restartOf({ order, orderState, policyOfToday, ends }: Standing, saga: WorkflowExecutionDescription): NextAct {
  const how = endedFromOutside(saga.status.name) ?? saga.status.name;
  if (orderState.unwindingReason !== null || orderState.forwardDue) {
    const goesOn = orderState.forwardDue ? 'go on' : 'go on being CANCELLED';
    return { what: `its saga was ${how}: a relay begins it anew within 5 min, to ${goesOn}`, at: null };
  }
  const begunAt = Date.parse(order.sagaStartedAt ?? order.createdAt);
  return {
    what: `its saga was ${how}: not before then, and up to 5 min later, a relay begins it anew only to have the order CANCELLED${sayingThat(ends)}. \`ops retry\` before then lets the order GO ON`,
    at: iso(begunAt + policyOfToday.sagaDeadlineMs + SUPERVISION.overdueMarginMs),
  };
}

const sayingThat = (ends: string | undefined): string => (ends === undefined ? '' : ` (${ends})`);

function ofRunning(standing: Standing, saga: WorkflowExecutionDescription): NextAct[] {
  const acts: NextAct[] = [];
  const wait = waitOf(saga);
  const parkedAt = saga.typedSearchAttributes.get(SAGA_STEP);
  const isParked = saga.typedSearchAttributes.get(SAGA_STATE) === 'NEEDS_ATTENTION' && wait.waitsFor === 'its-own-time';
  const at = wait.step ?? parkedAt;
  const ends = mayLapse(standing, at) ? unwindingOf(standing, saga, at, wait) : [];
  const lapsesAt = ends.find((act) => act.at !== null)?.at ?? undefined;
  acts.push(...tryOf(wait, lapsesAt));
  if (isParked) acts.push(probeOf(standing, saga, parkedAt));
  return [...acts, ...ends];
}

/** Of a step before the pivot only: an undo, and what comes after the pivot, has no way but forward. */
const mayLapse = ({ orderState }: Standing, step: string | undefined): boolean =>
  (step === undefined || STEPS.some((name) => name === step)) &&
  orderState.status === 'PENDING' &&
  orderState.unwindingReason === null;

function tryOf(wait: Wait, lapsesAt: string | undefined): NextAct[] {
  const step = wait.step ?? 'the saga';
  const isUndo = wait.step !== null && !STEPS.some((name) => name === wait.step);
  switch (wait.waitsFor) {
    case 'next-try':
      return [{ what: `try ${wait.attempt} of ${step}; ${afterwards(wait, isUndo, lapsesAt)}`, at: wait.at }];
    case 'attempt':
      return wait.step === null
        ? [{ what: 'its steps are being carried out: a first try of a step takes 5 s at most', at: wait.at }]
        : [{ what: `${step} is being tried: a try takes 10 s at most`, at: wait.at }];
    case 'worker':
      return [{ what: `${step} goes on as soon as a worker takes it`, at: null }];
    case 'unpausing':
      return [{ what: `${step} is not tried until it is let go, however long that takes`, at: null }];
    case 'its-own-time':
      return [];
    default:
      throw new Error(`Bug! Unhandled wait "${wait.waitsFor satisfies never}"`);
  }
}

function afterwards({ until, failure }: Wait, isUndo: boolean, lapsesAt: string | undefined): string {
  if (isUndo) return `if it fails, it is tried again and again, for ever, ${PAUSE_MAX.undo} apart at most`;
  const again = `if it fails, again, ${PAUSE_MAX.step} apart at most`;
  if (until === undefined || (lapsesAt !== undefined && until >= lapsesAt)) return again;
  const goesOn = failure !== undefined && Object.hasOwn(TRANSIENT_FAILURES, failure);
  return `${again}, until ${clock(until)}; then it is parked, and ${goesOn ? `goes on by itself once what failed is back (${failure})` : 'waits for you'}`;
}

function probeOf(
  { probeEveryMs, lastError }: Standing,
  { typedSearchAttributes }: WorkflowExecutionDescription,
  step: string | undefined,
): NextAct {
  const failure = typedSearchAttributes.get(SAGA_FAILURE) ?? '';
  const neighbour = (TRANSIENT_FAILURES as Partial<Record<string, string>>)[failure];
  // An undo has no way but forward (workflows/until-done): it is tried for ever.
  if (step !== undefined && !STEPS.some((name) => name === step) && failure === 'PaidOutside')
    return {
      what: `${step} is tried again every minute, and fails every time, until you skip it`,
      at: null,
    };
  if (step === 'refundPayment' && isGivenUp(failure)) return { what: `${step} ${LOOKS_ONLY}`, at: null };
  if (step !== undefined && !STEPS.some((name) => name === step))
    return {
      what: `${step} is tried again every minute, and succeeds only once its cause has gone`,
      at: null,
    };
  if (neighbour === undefined) return { what: `${step} is not tried again by itself: it waits for you`, at: null };
  if (neighbour === 'brake')
    return { what: `${step} goes on, the oldest order first, when operators let it: see \`ops brakes\``, at: null };
  if (isKeyRefused(lastError))
    return {
      what: `${step} succeeds only once the key that the payment gateway refuses has been corrected: STRIPE_API_KEY of the workers, which are restarted then`,
      at: null,
    };
  const within = span(probeEveryMs + PROBE_PAUSES_MS);
  return {
    what: `${step} is tried again within ${within} of the moment when the ${NEIGHBOURS[neighbour] ?? neighbour} answers again`,
    at: null,
  };
}

const NEIGHBOURS: Record<string, string> = { gateway: 'payment gateway' };

/** A step that is under way at that time is waited for, and so is one that is paused: only then does the saga look at its clock. */
function unwindingOf(
  { policy, ends }: Standing,
  { startTime, typedSearchAttributes }: WorkflowExecutionDescription,
  step: string | undefined,
  { waitsFor }: Wait,
): NextAct[] {
  if (policy === undefined) return [];
  if (typedSearchAttributes.get(SAGA_FAILURE) === CHARGING_HELD)
    return [{ what: 'its deadline stands still for as long as a brake holds it', at: null }];
  const at = iso(startTime.getTime() + policy.sagaDeadlineMs);
  const notDone = step === undefined ? 'it is not confirmed by then' : `${step} is still not done`;
  if (waitsFor === 'unpausing')
    return [
      {
        what: `its deadline. While it is paused nothing is cancelled by it. From then on \`ops retry\` still tries ${step ?? 'it'}, but \`temporal activity unpause\` has the order CANCELLED${sayingThat(ends)}`,
        at,
      },
    ];
  return [{ what: `if ${notDone}, the order is CANCELLED${sayingThat(ends)}`, at }];
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
