/** Watching a saga after a decision, until it can be said what has come of it: "accepted" alone says little at 3 a.m. */
import { setTimeout as pause } from 'node:timers/promises';
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { orderIdOf } from '../../contracts/ids.js';
import { STILL_PROCESSED } from '../../contracts/refusals.js';
import type { SagaProgress, SagaState } from '../../contracts/saga.js';
import type { Database } from '../../domain/database.js';
import { readOrder } from '../../domain/orders.js';
import { stateOf } from '../../domain/saga-log.js';
import { endedFromOutside, pendingActivities } from '../execution.js';
import { askProgress, describe, type Place } from './asking.js';

/** Longer than an attempt may take (10 s, workflows/steps): then there has been an answer, or no worker works. */
const WATCH_LIMIT_MS = 13_000;
const POLL_MS = 250;

/** `waits` = the gateway has what was asked for, and is not done with it: nothing is wrong, and no retry would hurry it. */
export type Sequel = { went: 'well' | 'waits' | 'wrong'; state: SagaState | null; message: string };

/**
 * @param seen ids of the activities that were pending before the decision: their failures are old news
 * @param goal what must not be outrun: a compensated order that was confirmed first has not been compensated
 */
export async function watch(
  temporal: Place,
  db: Database,
  workflowId: string,
  { seen = [], goal }: { seen?: string[]; goal?: 'COMPENSATED' },
): Promise<Sequel> {
  const deadline = Date.now() + WATCH_LIMIT_MS;
  for (;;) {
    const now = await describe(temporal, workflowId);
    if (now && now.status.name !== 'RUNNING') return ended(db, now, goal);
    const progress = now ? await askProgress(temporal, now) : undefined;
    const trouble = now && troubleOf(now, progress, seen);
    if (trouble)
      return { went: isProcessing(trouble) ? 'waits' : 'wrong', state: progress?.state ?? null, message: trouble };
    if (Date.now() > deadline) return undecided(progress);
    await pause(POLL_MS);
  }
}

async function ended(db: Database, saga: WorkflowExecutionDescription, goal?: 'COMPENSATED'): Promise<Sequel> {
  const how = endedFromOutside(saga.status.name);
  if (how !== undefined) return { went: 'wrong', state: null, message: `its saga was ${how}` };
  const order = await readOrder(db, orderIdOf(saga.workflowId));
  if (!order) return { went: 'wrong', state: null, message: 'the database does not know the order' };
  const state = stateOf(order, 'RUNNING');
  const because = order.cancellation ? ` (${order.cancellation.reason})` : '';
  const isOutrun = goal !== undefined && state !== goal;
  return {
    went: isOutrun ? 'wrong' : 'well',
    state,
    message: `the order is ${order.status}${because}${isOutrun ? ': that was committed first' : ''}`,
  };
}

/** As gateways/stripe says it of a charge and of a refund. */
const isProcessing = (message: string): boolean => message.includes(STILL_PROCESSED);

function troubleOf(
  saga: WorkflowExecutionDescription,
  progress: SagaProgress | undefined,
  seen: string[],
): string | undefined {
  const failing = pendingActivities(saga).find(({ id, lastFailure }) => lastFailure !== null && !seen.includes(id));
  if (failing) return `${failing.name} failed again: ${failing.lastFailure}. It is being retried`;
  if (progress?.state !== 'NEEDS_ATTENTION') return undefined;
  // A step that was parked when its saga turned around keeps that status: it is history then.
  const isUnwinding = progress.steps.some(({ kind }) => kind === 'undo');
  const parked = progress.steps.find(({ kind, status }) => status === 'parked' && (kind === 'undo' || !isUnwinding));
  return parked && `${parked.name} has parked again: ${parked.lastError ?? 'no error is known'}`;
}

function undecided(progress: SagaProgress | undefined): Sequel {
  const limit = `${WATCH_LIMIT_MS / 1_000} s`;
  if (!progress)
    return { went: 'wrong', state: null, message: `nothing has happened within ${limit}: does a worker run?` };
  const open = progress.steps.find(({ startedAt, finishedAt }) => startedAt !== null && finishedAt === null);
  return {
    went: 'wrong',
    state: progress.state,
    message: `${open?.name ?? 'it'} has not come to an end within ${limit}`,
  };
}
