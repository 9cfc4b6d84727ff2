/** What is done with one item of an operation: it is looked at, decided on as the CLI would, and watched. */
import type { Client } from '@temporalio/client';
import type { DeadLetterDecision } from '../../contracts/dead-letters.js';
import type { Resolution, SagaPolicy, SagaProgress, SagaState } from '../../contracts/saga.js';
import type { AuditKeys } from '../../domain/audit/signatures.js';
import type { Database } from '../../domain/database.js';
import { readDeadLetters } from '../../domain/dead-letters.js';
import {
  type Conclusion,
  type ItemToDo,
  noteSending,
  type OperationToRun,
} from '../../domain/operations/carrying-out.js';
import { isAway } from '../../sagas/away.js';
import { askProgress, describe, type Place } from '../../sagas/deciding/asking.js';
import { decide } from '../../sagas/deciding/decide.js';
import { decideOnLetter } from '../../sagas/deciding/letters.js';
import type { ItemOutcome } from '../../sagas/deciding/outcomes.js';
import { type Recorder, recorderFor } from '../../sagas/deciding/recorder.js';
import { saysEnded } from '../../sagas/ended.js';
import { isEndedFromOutside } from '../../sagas/execution.js';

/** Nothing can be decided just now, whichever item it is: it stays as it is, and is looked at again. */
export class NotNow extends Error {
  override name = 'NotNow';
}

export type Acting = {
  db: Database;
  keys: AuditKeys;
  /** @returns undefined as long as Temporal has never answered */
  client: () => Client | undefined;
  /** Of Temporal, for sentences. */
  where: string;
  policy: SagaPolicy;
};

/** @throws NotNow, and nothing else for what concerns this item alone */
export async function actOnItem(
  acting: Acting,
  operation: OperationToRun,
  item: ItemToDo,
  runner: string,
): Promise<Conclusion> {
  const { id, operator } = operation;
  // Under the name of whoever has started it.
  const actor = { subject: operator, route: 'POST /admin/operations', correlationId: id, source: null };
  const recorder = recorderFor(acting.keys, actor);
  if (operation.action === 'replay' || operation.action === 'discard')
    return actOnLetter(acting, recorder, { ...operation, action: operation.action }, item);
  const client = acting.client();
  if (!client) throw new NotNow('Temporal has never answered');
  const temporal = { client, where: acting.where };
  const resolution: Resolution = {
    ...{ action: operation.action, operator, reason: operation.reason },
    ...expectationOf(operation.action, item),
  };
  const moved = await hasMoved(temporal, resolution, item);
  if (moved !== undefined) return { no: item.no, ...moved };
  const seenAtWork = saysEnded(item.seenFailure) ? {} : { seenAtWork: true as const };
  const target = { orderId: item.orderId, workflowId: item.workflowId ?? '', ...seenAtWork };
  let sentTo = item.sentTo;
  const result = await decide({ ...acting, temporal, recorder }, target, resolution, {
    updateId: `${id}-${item.no}`,
    sentTo,
    sending: async (runId) => {
      await noteSending(acting.db, { id, runner }, item.no, runId);
      sentTo = runId;
    },
  });
  const { outcome, message } = result;
  if (result.hasMoved) return { no: item.no, state: 'skipped', outcome: result.state, message };
  if (isStillUndone(resolution, result))
    return { no: item.no, state: 'waits', outcome: result.state, message, wentAs: 'failed' };
  const state = outcome === 'gone' ? stateOfGone(result, resolution, sentTo) : STATE_OF[outcome];
  return { no: item.no, state, outcome: result.state, message };
}

/**
 * The saga itself refuses what is not about what the preview has shown, however short ago it has moved on: the step that it was at, or that
 * it had been ended from outside, and runs again by now.
 */
function expectationOf(
  action: Resolution['action'],
  { seenState, seenStep, seenFailure }: ItemToDo,
): Pick<Resolution, 'expectedStep' | 'expectedFailure'> {
  if (seenFailure !== null && isEndedFromOutside(seenFailure)) return { expectedFailure: seenFailure };
  const isOfStep = action === 'skip' || seenState === 'NEEDS_ATTENTION';
  return isOfStep && seenStep !== null ? { expectedStep: seenStep } : {};
}

const STATE_OF = {
  done: 'reached',
  waits: 'waits',
  refused: 'refused',
  failed: 'failed',
  unanswered: 'unanswered',
  'not-tried': 'skipped',
} as const satisfies Record<Exclude<ItemOutcome, 'gone'>, Conclusion['state']>;

/** A saga that has taken `compensate` undoes until all is undone, however often that fails: its order says when it was. */
export function isStillUndone(
  { action }: Pick<Resolution, 'action'>,
  { outcome, state }: { outcome: ItemOutcome; state: SagaState | null },
): boolean {
  return action === 'compensate' && outcome === 'failed' && (state === 'COMPENSATING' || state === 'NEEDS_ATTENTION');
}

/** What has ended by its own was not decided on, unless it was sent before: then it ended by that, as far as anybody can say. */
function stateOfGone({ state }: { state: string | null }, { action }: Resolution, sentTo: string | null) {
  if (sentTo !== null) return 'reached';
  return action === 'compensate' && state !== 'COMPENSATED' ? 'skipped' : 'already-done';
}

/**
 * The operator has decided on what the preview showed: a saga that goes on by itself since needs no decision, and a `skip` is of the step
 * that was seen, in whichever state its saga was. Not asked of what was sent before.
 */
async function hasMoved(
  temporal: Place,
  { action }: Resolution,
  { workflowId, seenState, seenStep, sentTo }: ItemToDo,
): Promise<Pick<Conclusion, 'state' | 'outcome' | 'message'> | undefined> {
  const isSkip = action === 'skip';
  if (isSkip && seenStep === null && sentTo === null) return { state: 'skipped', outcome: null, message: UNSEEN };
  const saga = await describe(temporal, workflowId ?? '').catch((err: unknown) => {
    if (isAway(err)) throw new NotNow('Temporal does not answer', { cause: err });
    return null; // whoever decides finds the same, and says so
  });
  if (saga?.status.name !== 'RUNNING' || sentTo !== null) return undefined;
  if (!isSkip && seenState !== 'NEEDS_ATTENTION') return undefined;
  const progress = await askProgress(temporal, saga);
  if (progress === undefined) return isSkip ? { state: 'unanswered', outcome: null, message: UNTOLD } : undefined;
  const outcome = progress.state;
  if (seenState === 'NEEDS_ATTENTION' && outcome !== 'NEEDS_ATTENTION')
    return { state: 'skipped', outcome, message: `it goes on by itself since the preview, and is ${outcome}` };
  const now = placeOf(progress);
  if (!isSkip || now === seenStep) return undefined;
  const message = `it has moved on since the preview: it is at ${now ?? 'no step'} by now, not at ${seenStep}`;
  return { state: 'skipped', outcome, message };
}

const UNSEEN = 'the preview saw no step that it waits at: nobody has decided which one is to be skipped';
const UNTOLD = 'its saga does not say at which step it is: the decision was not sent, and nothing is changed';

function placeOf({ steps }: SagaProgress): string | undefined {
  const open = steps.filter(({ startedAt, finishedAt }) => startedAt !== null && finishedAt === null);
  const undo = open.find(({ kind }) => kind === 'undo');
  return (undo ?? open.find(({ status }) => status === 'parked') ?? open.at(-1))?.name;
}

async function actOnLetter(
  { db }: Acting,
  recorder: Recorder,
  { action, operator, reason }: Pick<OperationToRun, 'operator' | 'reason'> & Pick<DeadLetterDecision, 'action'>,
  { no, deadLetterId }: ItemToDo,
): Promise<Conclusion> {
  const [letter] = await readDeadLetters(db, [deadLetterId ?? '0']);
  if (!letter) return { no, state: 'skipped', outcome: null, message: 'there is no such dead letter any more' };
  const { outcome, state, message } = await decideOnLetter({ db, recorder }, letter, { action, operator, reason });
  if (outcome === 'gone') return { no, state: 'already-done', outcome: state, message };
  // What a destination says of an event is kept in one place, which retention and erasures know.
  const told = outcome === 'failed' && state === 'PARKED' ? 'parked again: the dead letter says why' : message;
  return { no, state: STATE_OF[outcome], outcome: state, message: told };
}
