/**
 * One operation, from where it stands: the canary's waves, each of which has gone well before the next begins; then the rest, at a rate.
 * Where it stands is in its items, so that whoever takes over goes on there.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type ItemState, OPERATION_ITEMS_MAX } from '../../contracts/operations.js';
import type { Database } from '../../domain/database.js';
import {
  beginNext,
  type Conclusion,
  concludeItem,
  endOperation,
  type ItemToDo,
  listBegun,
  type OperationToRun,
  pauseByItself,
  readProgress,
} from '../../domain/operations/carrying-out.js';
import { createFailureCount, OUTCOME_OF_STATE, stoppedByCanary } from '../../sagas/deciding/outcomes.js';
import { NotNow } from './acting.js';

/** Items that are waited for at a time: each takes a query or two a second of the workers. */
const PARALLEL_MAX = 16;

export type Runner = {
  db: Database;
  /** The process's name in the operations' rows. */
  runner: string;
  act: (operation: OperationToRun, item: ItemToDo) => Promise<Conclusion>;
  stopping: AbortSignal;
  concluded: (state: ItemState) => void;
  logger: Logger;
};

type Running = Runner & { operation: OperationToRun; held: { id: string; runner: string } };

/** Until it has come to its end, or does not run any more. @throws what keeps it from going on; then it may be run again */
export async function runOperation(runner: Runner, operation: OperationToRun): Promise<void> {
  const running = { ...runner, operation, held: { id: operation.id, runner: runner.runner } };
  const begun = await listBegun(runner.db, running.held);
  if (operation.state === 'aborted') return concludeAborted(running, begun);
  const judgeOf = createJudge(running);
  // Of a process that has died amid them; sent again under the same ids. All of them are of one wave.
  const { tried } = await readProgress(runner.db, operation.id);
  const { isCanary: isBegunOfCanary } = waveOf(operation.canary, tried);
  await inTurn({ ...running, act: patiently(runner.act) }, begun.values(), judgeOf(isBegunOfCanary));
  while (!runner.stopping.aborted) {
    const { firstOpen, tried } = await readProgress(runner.db, operation.id);
    if (firstOpen === null) break;
    const { isCanary, left } = waveOf(operation.canary, tried);
    const upTo = Math.min(firstOpen + left - 1, OPERATION_ITEMS_MAX);
    if ((await runWave(running, upTo, judgeOf(isCanary), isCanary)) === 0) return; // paused, aborted, or another's
  }
  if (!runner.stopping.aborted) await endOperation(runner.db, running.held);
}

/** As long as what a dead worker had in hand may take to be given to another: its attempts end after 10 s, then they are made anew. */
const TRIES_MAX = 4;
const PAUSE_MS = 1_000;

/** A saga that does not answer just after a death, or has not moved yet, says nothing about the cause: it is asked again, under its old id. */
const patiently =
  (act: Runner['act']): Runner['act'] =>
  async (operation, item) => {
    for (let tries = 1; ; tries++) {
      const conclusion = await act(operation, item);
      if (tries >= TRIES_MAX || (conclusion.state !== 'failed' && conclusion.state !== 'unanswered')) return conclusion;
      await pause(PAUSE_MS);
    }
  };

/**
 * What was skipped, or needed nothing, has shown nothing: a wave goes on until as many as it is of have been tried.
 * @returns how many the wave has yet to try that comes after so many
 */
export function waveOf(canary: readonly number[], tried: number): { left: number; isCanary: boolean } {
  let upTo = 0;
  for (const size of canary) {
    upTo += size;
    if (tried < upTo) return { left: upTo - tried, isCanary: true };
  }
  return { left: OPERATION_ITEMS_MAX, isCanary: false };
}

type Judge = (state: ItemState) => Promise<void>;

/** Pauses the operation as soon as it is plain that going on does not help. */
function createJudge({ db, held, logger }: Running): (isCanary: boolean) => Judge {
  const countFailure = createFailureCount();
  return (isCanary) => async (state) => {
    if (state === 'skipped') return;
    const outcome = OUTCOME_OF_STATE[state];
    const because = countFailure(outcome) ?? (isCanary ? stoppedByCanary(outcome) : undefined);
    if (because === undefined || !(await pauseByItself(db, held, because))) return;
    logger.warn({ operationId: held.id, because }, 'an operation has paused by itself');
  };
}

/** @returns how many it has begun */
async function runWave(running: Running, upTo: number, judge: Judge, isCanary: boolean): Promise<number> {
  const { db, held, operation, stopping } = running;
  let begun = 0;
  async function* next() {
    while (!stopping.aborted) {
      const item = await beginNext(db, held, upTo);
      if (!item) return;
      begun++;
      yield item;
      const isLastOfWave = isCanary && item.no === upTo;
      if (!isLastOfWave)
        await pause(1_000 / operation.ratePerSecond, undefined, { signal: stopping }).catch(() => undefined);
    }
  }
  await inTurn(running, next(), judge);
  return begun;
}

/** Acts on each, some at a time. @throws the first failure, when all that had begun has come to its end */
async function inTurn(running: Running, items: AsyncIterable<ItemToDo> | Iterable<ItemToDo>, judge: Judge) {
  const { db, held, operation, act, concluded } = running;
  const atWork = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const work = async (item: ItemToDo): Promise<void> => {
    const conclusion = await act(operation, item);
    const state = await concludeItem(db, held, conclusion);
    if (state === null) return; // another process has it, and what it makes of it stands
    concluded(state);
    await judge(conclusion.wentAs ?? state);
  };
  for await (const item of items) {
    const one: Promise<void> = work(item).catch((err: unknown) => void failures.push(err));
    atWork.add(one);
    void one.finally(() => atWork.delete(one));
    while (atWork.size >= PARALLEL_MAX) await Promise.race(atWork);
    if (failures.length > 0) break;
  }
  await Promise.all(atWork);
  if (failures.length > 0) throw failures.find((err) => !(err instanceof NotNow)) ?? failures[0];
}

/** Nobody is to send anything of it any more. What was sent, or was about to be, shows in its order if it was taken. */
async function concludeAborted({ db, held, concluded }: Running, begun: ItemToDo[]): Promise<void> {
  for (const { no, sentTo, deadLetterId } of begun) {
    const isUnsent = sentTo === null && deadLetterId === null;
    const message = `the process that was at it has died, and the operation was aborted: ${isUnsent ? 'it was not sent' : 'it may still take effect'}`;
    const state = isUnsent ? 'skipped' : 'unanswered';
    if ((await concludeItem(db, held, { no, state, outcome: null, message })) !== null) concluded(state);
  }
  await endOperation(db, held);
}
