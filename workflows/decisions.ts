/**
 * An operator's decision (the update `resolve`): recorded, then applied. There is one in hand at a time. Whatever overtakes
 * it while it is being recorded has won: then it is refused, and the log says that it was not taken, and why.
 */
import { condition, currentUpdateInfo, patched, proxyActivities } from '@temporalio/workflow';
import type { Resolution } from '../contracts/saga.js';
import type { Decision, NotTaken, SagaActivities } from '../contracts/steps.js';
import { requestUnwinding } from './begin-unwinding.js';
import { describeFailure } from './failures.js';
import { isOfToday } from './generation.js';
import { logFact } from './log.js';
import { skip, tryAgainNow } from './retry-requests.js';
import type { Saga } from './saga.js';
import type { StepLine } from './state/progress.js';
import { firstTry, ORDINARY, ORDINARY_UNDO } from './steps.js';
import { refuse, refuseAsConfirmed, requireNoneInHand } from './validation.js';

/** @throws ApplicationFailure if the decision was not taken */
export async function applyDecision(saga: Saga, { action, operator, reason }: Resolution): Promise<void> {
  const { orderId, progress, direction, decisions } = saga;
  const step = progress.current;
  const name = step?.name ?? direction.question?.name ?? 'none';
  const id = currentUpdateInfo()?.id ?? '';
  const decision: Decision = { id, orderId, action, operator, reason, step: name, before: progress.state };
  logFact({ fact: 'decided by an operator', action, step: name, actor: operator });
  if (!isOfToday(saga.input) || !patched('decision-in-hand')) return applyUnheld(saga, decision, step);
  requireNoneInHand(saga); // two may be validated before either is begun
  decisions.take(decision);
  try {
    await record(saga, decision);
    if (action === 'compensate') await compensate(saga, decision);
    else await moveOn(saga, decision, step);
  } catch (err) {
    decisions.release(decision);
    await noteNotTaken(saga, decision, describeFailure(err).message);
    throw err;
  }
}

/** Into the log before anything is done: a decision that cannot be kept is not taken. */
async function record(saga: Saga, decision: Decision): Promise<void> {
  try {
    await keep(saga, decision);
  } catch (err) {
    refuse(`the decision could not be recorded, and nothing was done: ${describeFailure(err).message}`, 'NotRecorded');
  }
}

async function keep(saga: Saga, decision: Decision): Promise<void> {
  try {
    await firstTry(saga).recordDecision(decision);
  } catch {
    // Not swallowed: it goes on as an ordinary activity, for as long as a step would.
    const scheduleToCloseTimeout = saga.policy.stepRetryBudgetMs;
    await proxyActivities<SagaActivities>({ ...ORDINARY, scheduleToCloseTimeout }).recordDecision(decision);
  }
}

/** As for `cancel`, the order's row decides; but an operator, called because nothing works, is not kept waiting for it. */
async function compensate(saga: Saga, decision: Decision): Promise<void> {
  const { decisions } = saga;
  const input = { orderId: saga.orderId, reason: 'OPERATOR', actor: decision.operator } as const;
  // Without an answer the saga unwinds all the same, and its first act then is to ask again, without limit.
  const decided = await firstTry(saga)
    .beginUnwinding(input)
    .catch(() => undefined);
  if (decided?.outcome === 'confirmed') refuseAsConfirmed(saga);
  if (!decided && decisions.inHand) decisions.leaveUnanswered(decision);
  decisions.release(decision);
  await requestUnwinding(saga, decided?.reason ?? 'OPERATOR');
}

/** `retry` or `skip`. */
async function moveOn(saga: Saga, decision: Decision, step: StepLine | undefined): Promise<void> {
  const { action, operator } = decision;
  const { decisions, direction } = saga;
  if (step === undefined ? direction.question === undefined : isOvertaken(saga, step))
    refuseAsOvertaken(saga, decision, step);
  decisions.grant(step);
  decisions.release(decision);
  if (action === 'retry' || step === undefined) return tryAgainNow(saga, 'operator');
  await skip(saga, step, operator);
  // Another try of the step may have succeeded, or the order's row have turned this one away.
  await condition(() => decisions.skippedBy(step) === undefined);
  if (step.status !== 'skipped') refuseAsOvertaken(saga, decision, step);
}

const isOvertaken = ({ progress, direction }: Saga, step: StepLine): boolean =>
  progress.current !== step || (step.kind === 'step' && direction.unwindRequest !== undefined);

function refuseAsOvertaken({ orderId }: Saga, { action, step: name }: Decision, step: StepLine | undefined): never {
  // A step that was left gets a status of its undo's.
  const ends = step?.kind === 'undo' ? ['undone', 'nothing-to-undo', 'skipped'] : ['completed', 'skipped'];
  const isDone = step !== undefined && ends.includes(step.status);
  const how = isDone ? `has come to its own end (${step.status})` : 'was left, because it has been decided otherwise';
  refuse(
    `order ${orderId}: ${name} ${how} before the decision took effect; there is nothing to ${action}`,
    'Overtaken',
  );
}

/** Into the log, after the decision itself. Written without limit: the log would say what is not so. */
export async function noteNotTaken(saga: Saga, decision: Decision, why: string): Promise<void> {
  const { id, action } = decision;
  const note: NotTaken = { ...decision, id: `${id}/not-taken`, action: `${action}-not-taken`, reason: why };
  try {
    await firstTry(saga).recordDecision(note);
  } catch {
    // The operator is answered at once; the saga does not end before it is written.
    saga.decisions.noteLater(proxyActivities<SagaActivities>(ORDINARY_UNDO).recordDecision(note));
  }
}

/** Sagas of before: the decision was kept, and might then be dropped. */
async function applyUnheld(saga: Saga, decision: Decision, step: StepLine | undefined): Promise<void> {
  await keep(saga, decision);
  if (decision.action === 'compensate') {
    // Sagas of before that only noted the request; the charge may be passing the pivot at this moment.
    if (!patched('compensate-at-the-door')) return requestUnwinding(saga, 'OPERATOR');
    return compensate(saga, decision);
  }
  // The step may have come to an end while the decision was recorded: it must not hit the next one.
  if (step === undefined || saga.progress.current !== step) return;
  if (decision.action === 'skip') await skip(saga, step, decision.operator);
  else await tryAgainNow(saga, 'operator');
}
