/** One decision on one saga, and what came of it. */
import {
  ApplicationFailure,
  isGrpcDeadlineError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import type { Order } from '../../contracts/orders.js';
import {
  NOT_AS_SEEN,
  RESOLVE_UPDATE,
  type Resolution,
  type SagaPolicy,
  type SagaProgress,
  type SagaState,
  sagaStart,
} from '../../contracts/saga.js';
import { readDueSaga } from '../../domain/acceptance.js';
import type { Database } from '../../domain/database.js';
import { readOrder } from '../../domain/orders.js';
import { stateOf } from '../../domain/saga-log.js';
import { sentenceOf } from '../../runtime/errors/facts.js';
import { endedFromOutside, pendingActivities } from '../execution.js';
import { isSeenEnded, standingOfEnded } from '../ended.js';
import { restartSaga } from '../restart.js';
import { askProgress, describe, isServed, type Place, SERVED_LIMIT_MS } from './asking.js';
import type { ItemOutcome } from './outcomes.js';
import type { Recorder } from './recorder.js';
import { type Sequel, watch } from './watch.js';

export type Result = {
  orderId: string;
  workflowId: string;
  outcome: ItemOutcome;
  state: SagaState | null;
  message: string;
  /** It was refused because the saga is not any more where its sender has seen it. */
  hasMoved?: true;
};

export type Target = {
  orderId: string;
  workflowId: string;
  /** Its sender has seen it at work, or parked: should it have ended since, it is not begun anew. */
  seenAtWork?: true;
};
export type Deciding = { temporal: Place; db: Database; policy: SagaPolicy; recorder: Recorder };

/** For whoever may send a decision twice, because the first sender has died: it is taken once. */
export type Once = {
  /** By which Temporal recognizes a repetition. */
  updateId: string;
  /** The run of the saga that it was sent to before; null = nowhere. */
  sentTo: string | null;
  /** Notes that it is about to be sent to this run; what it throws keeps it from being sent. */
  sending(runId: string): Promise<void>;
};

/** The update first writes the decision to the log, which takes milliseconds, or up to 5 s when the database is in trouble. */
const UPDATE_LIMIT_MS = 15_000;

const UNSERVED = `no worker has answered for its saga within ${SERVED_LIMIT_MS / 1_000} s: the decision was not sent, and nothing is changed. Does a worker run? See \`stuck\``;

/** Where a restart is sent to: its run has no id yet. */
const ANEW = 'anew';
const BEGUN_ANEW =
  'its saga was begun anew after this was sent: whether it was taken is not known, and it was not sent again';

/** @returns never throws for what concerns this saga alone */
export async function decide(to: Deciding, target: Target, resolution: Resolution, once?: Once): Promise<Result> {
  try {
    const saga = await describe(to.temporal, target.workflowId);
    if (saga === null) return await decideUnknown(to, target, resolution, once);
    if (endedFromOutside(saga.status.name)) {
      return await decideEnded(to, target, resolution, `was ${endedFromOutside(saga.status.name)}`, once);
    }
    if (saga.status.name === 'COMPLETED') return await decideCompleted(to, target, resolution, once);
    // One that is sent may still be carried out, whenever a worker comes: so it is seen first whether one is there.
    if (!(await isServed(to.temporal, saga)))
      return { ...target, outcome: 'unanswered', state: null, message: UNSERVED };
    // It was begun anew by whoever has died, or by somebody else: either way it runs, which is what was to come of it.
    if (once?.sentTo === ANEW) return await follow(to, target, resolution, []);
    // By a restart in between Temporal has forgotten the repetition: a second `skip` would skip the step after the one meant.
    if (resolution.action === 'skip' && once?.sentTo != null && once.sentTo !== saga.runId)
      return { ...target, outcome: 'unanswered', state: null, message: BEGUN_ANEW };
    await once?.sending(saga.runId);
    const seen = pendingActivities(saga).map(({ id }) => id);
    return await decideRunning(to, target, resolution, { seen, ...(once && { updateId: once.updateId }) });
  } catch (err) {
    if (err instanceof WorkflowNotFoundError) return gone(to, target);
    const isUnanswered = isGrpcDeadlineError(err) || err instanceof WorkflowUpdateRPCTimeoutOrCancelledError;
    const message = isUnanswered
      ? `no answer in time; it may still take effect: see \`order ${target.orderId}\``
      : sentenceOf(err);
    return { ...target, outcome: isUnanswered ? 'unanswered' : 'failed', state: null, message };
  }
}

/** `seen`: ids of the activities that were pending before. */
type Sending = { seen: string[]; updateId?: string };

async function decideRunning(
  to: Deciding,
  target: Target,
  resolution: Resolution,
  { seen, ...options }: Sending,
): Promise<Result> {
  const { client } = to.temporal;
  const handle = client.workflow.getHandle(target.workflowId);
  const args: [Resolution] = [resolution];
  const conclude = await announce(to, target, resolution, 'RUNNING');
  try {
    await client.withDeadline(Date.now() + UPDATE_LIMIT_MS, () =>
      handle.executeUpdate<SagaProgress, [Resolution]>(RESOLVE_UPDATE, { args, ...options }),
    );
  } catch (err) {
    await conclude(err instanceof WorkflowUpdateFailedError ? 'refused' : 'unanswered');
    if (!(err instanceof WorkflowUpdateFailedError)) throw err;
    const { cause, message } = err;
    const moved = cause instanceof ApplicationFailure && cause.type === NOT_AS_SEEN ? { hasMoved: true as const } : {};
    return { ...target, outcome: 'refused', state: null, message: cause?.message ?? message, ...moved };
  }
  await conclude('taken');
  return follow(to, target, resolution, seen);
}

/** On record before it is sent. @returns how to record what has come of it */
async function announce(
  { db, temporal, recorder }: Deciding,
  { orderId, workflowId }: Target,
  { action, reason }: Resolution,
  saga: string,
): Promise<(outcome: string) => Promise<void>> {
  const placeOf = async () => {
    const order = await readOrder(db, orderId);
    const described = await describe(temporal, workflowId).catch(() => null);
    const progress = described && (await askProgress(temporal, described));
    const open = progress?.steps.find(({ startedAt, finishedAt }) => startedAt !== null && finishedAt === null);
    return { status: order?.status ?? null, state: progress?.state ?? null, step: open?.name ?? null };
  };
  const about = { resource: orderId, reason };
  await recorder.announce(db, { ...about, before: { ...(await placeOf()), saga }, after: { decision: action } });
  return async (outcome) =>
    recorder.conclude(db, { ...about, before: { decision: action }, after: { outcome, ...(await placeOf()) } });
}

/** No saga is there to take the decision; only a restart helps, and finds what the ended saga has done. */
async function decideEnded(
  to: Deciding,
  target: Target,
  resolution: Resolution,
  before: string,
  once?: Once,
): Promise<Result> {
  const now = standingOfEnded(await describe(to.temporal, target.workflowId));
  if (target.seenAtWork || !isSeenEnded(resolution, now)) {
    const message = `its saga ${before}, which was not so when this was decided: nothing was done. Look again: \`order ${target.orderId}\``;
    return { ...target, outcome: 'refused', state: null, message, hasMoved: true };
  }
  if (resolution.action !== 'retry') {
    const message = `its saga ${before}, so that nobody can ${resolution.action}: \`retry\` starts it anew`;
    return { ...target, outcome: 'refused', state: null, message };
  }
  const { id: orderId } = await requireOrder(to.db, target.orderId);
  const { operator, reason } = resolution;
  const { client } = to.temporal;
  await once?.sending(ANEW);
  const conclude = await announce(to, target, resolution, before);
  const workflowId = await restartSaga({ ...to, client }, orderId, { operator, reason, before });
  await conclude(workflowId === null ? 'nothing to restart' : 'restarted');
  return workflowId === null ? gone(to, target) : follow(to, { orderId, workflowId }, resolution, []);
}

/** It has come to its end; but if its order is not final, it was completed by hand, and the order has no saga. */
async function decideCompleted(to: Deciding, target: Target, resolution: Resolution, once?: Once): Promise<Result> {
  const due = await readDueSaga(to.db, target.orderId);
  const isDue = due !== null && sagaStart(due, to.policy).options.workflowId === target.workflowId;
  return isDue
    ? decideEnded(to, target, resolution, 'has ended although its order is not final', once)
    : gone(to, target);
}

async function decideUnknown(to: Deciding, target: Target, resolution: Resolution, once?: Once): Promise<Result> {
  const order = await requireOrder(to.db, target.orderId);
  if (!(await readDueSaga(to.db, order.id))) return gone(to, target);
  return decideEnded(to, target, resolution, `is not known to Temporal at ${to.temporal.where}`, once);
}

async function follow(to: Deciding, target: Target, { action }: Resolution, seen: string[]): Promise<Result> {
  const goal = action === 'compensate' ? ({ goal: 'COMPENSATED' } as const) : {};
  const { went, state, message } = await watch(to.temporal, to.db, target.workflowId, { seen, ...goal });
  return { ...target, outcome: OUTCOME_OF[went], state, message };
}

const OUTCOME_OF = { well: 'done', waits: 'waits', wrong: 'failed' } as const satisfies Record<
  Sequel['went'],
  ItemOutcome
>;

async function gone({ db }: Deciding, target: Target): Promise<Result> {
  const order = await requireOrder(db, target.orderId);
  const message = `its saga has ended; the order is ${order.status}`;
  return { ...target, outcome: 'gone', state: stateOf(order, 'RUNNING'), message };
}

async function requireOrder(db: Database, orderId: string): Promise<Order> {
  const order = await readOrder(db, orderId);
  if (!order) throw new Error(`the database does not know order ${orderId}`);
  return order;
}
