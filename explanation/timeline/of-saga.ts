/** The saga's lane of a timeline, and the attempts': from the log in Postgres what has happened, from Temporal only what is awaited. */
import { CHARGING_HELD } from '../../contracts/brakes.js';
import { LAST_UNDO, PIVOT, PLAN, stepsOf, UNDOS, undosOf } from '../../contracts/plan.js';
import type { StepStatus } from '../../contracts/saga.js';
import type { KeptFailure } from '../../domain/step-failures.js';
import { actsOfSaga, type ExplanationSources } from '../explain.js';
import { outcomeWord } from '../happened.js';
import type { OrderFacts } from '../order-facts.js';
import type { LogEntry, OrderRow } from '../order-row.js';
import { isFinal, isStepName, type Situation } from '../situation.js';
import { type Entry, type EntryStatus, moment } from './entries.js';

const isUndoName = (name: string): boolean => UNDOS.some((undo) => undo === name);
const isWork = ({ step }: LogEntry): boolean => isStepName(step) || isUndoName(step);
const kindOf = (step: string) => (isUndoName(step) ? 'undo' : 'step') as 'undo' | 'step';

/** A relay begins a saga within seconds, mostly at once: shorter than that is no wait. */
const WAIT_MIN_MS = 2_000;

/** What is on record of the saga, whether Temporal knows it still or not. */
export function sagaEntries(row: OrderRow, failures: KeptFailure[]): Entry[] {
  const accepted = { ...moment(row.createdAt), ...SAGA, kind: 'accepted', status: 'done', source: 'row' } as const;
  return [
    { ...accepted, what: 'accepted' },
    ...begun(row),
    ...works(row, failures),
    ...row.log.filter((entry) => !isWork(entry) && !ELSEWHERE.has(entry.step)).map(decision),
    ...failures.filter(({ kind }) => kind === 'failed').map(attempts),
    ...failures.filter(({ kind }) => kind === 'parked').map((park) => parked(row, park)),
  ];
}

const SAGA = { lane: 'saga' } as const;
/** Decisions about money found and events held stand in their lanes. */
const ELSEWHERE = new Set(['reconciliation', 'dead-letter']);

/** Once a confirmed order is to be taken back, the row tells of the saga that does that. */
function begun({ createdAt, sagaStartedAt, log, state }: OrderRow): Entry[] {
  if (sagaStartedAt === null) return [];
  const takenBack = log.findIndex(({ step }) => step === 'unwinding');
  const isSecond =
    state.unwindingReason !== null && log.slice(0, Math.max(0, takenBack)).some(({ step }) => step === PIVOT);
  const since = isSecond ? (log[takenBack]?.at ?? createdAt) : createdAt;
  const what = isSecond ? 'the saga that takes it back was seen to begin' : 'its saga was seen to begin';
  const seen = { ...moment(sagaStartedAt), ...SAGA, kind: 'begun', status: 'done', source: 'row', what } as const;
  // That it was seen is noted beside its first steps, and may come after them.
  const first = log.find(({ at, step }) => at > since && step !== 'unwinding')?.at ?? sagaStartedAt;
  const until = first < sagaStartedAt ? first : sagaStartedAt;
  if (Date.parse(until) - Date.parse(since) < WAIT_MIN_MS) return [seen];
  const wait = { at: since, until, ...SAGA, kind: 'wait', status: 'done', source: 'row' } as const;
  return [{ ...wait, what: 'waited for its saga to begin' }, seen];
}

/** Steps and undos: each from the end of the one before it to its own. */
function works({ createdAt, log }: OrderRow, failures: KeptFailure[]): Entry[] {
  let since = createdAt;
  const ended = log.find(({ step }) => step === LAST_UNDO)?.at;
  return log.flatMap((entry): Entry[] => {
    const { at, step, outcome, attempts: tries, actor, detail } = entry;
    if (!isWork(entry)) {
      if (step === 'unwinding') since = at;
      return [];
    }
    // What a saga had turned away from is logged with its end: it was at it before that.
    const isLeft = at === ended && step !== LAST_UNDO && !isUndoName(step);
    const first = isLeft ? failures.find((failure) => failure.step === step)?.firstAt : undefined;
    const from = isLeft ? (first ?? at) : since;
    since = at;
    return [
      {
        ...{ at: from, until: at, ...SAGA, kind: kindOf(step), step, source: 'log' },
        status: statusOf(outcome as StepStatus),
        what: `${step}: ${isLeft ? `left ${outcome}` : outcomeWord(step, outcome)}${tries > 1 ? ` at try ${tries}` : ''}`,
        ...(tries > 0 && { attempts: { first: 1, last: tries, times: tries } }),
        ...(actor !== null && { by: actor }),
        ...(detail !== null &&
          (actor === null ? { error: { failure: outcome, message: detail } } : { reason: detail })),
      },
    ];
  });
}

function statusOf(outcome: StepStatus): EntryStatus {
  switch (outcome) {
    case 'completed':
      return 'done';
    case 'refused':
    case 'skipped':
    case 'undone':
    case 'nothing-to-undo':
      return outcome;
    default:
      return 'failed'; // left so: nothing is tried any more
  }
}

function decision({ at, step, outcome, actor, detail }: LogEntry): Entry {
  const isAnswer = step === 'resolve';
  return {
    ...{ ...moment(at), ...SAGA, kind: 'decision', source: 'log' },
    status: outcome.endsWith('-not-taken') ? 'not-taken' : 'decided',
    what: isAnswer ? outcome : step === 'unwinding' ? `to be given up: ${outcome}` : `${step}: ${outcome}`,
    ...(actor !== null && { by: actor }),
    ...(detail !== null && { reason: detail }),
  };
}

function attempts({ step, failure, message, firstAttempt, lastAttempt, times, firstAt, lastAt }: KeptFailure): Entry {
  const which =
    lastAttempt > firstAttempt || times > 1
      ? `tries ${firstAttempt} to ${lastAttempt} failed (${times})`
      : `try ${lastAttempt} failed`;
  return {
    ...{ at: firstAt, until: lastAt, lane: 'attempts', kind: 'attempt', status: 'failed', source: 'log', step },
    what: `${step}: ${which}`,
    attempts: { first: firstAttempt, last: lastAttempt, times },
    error: { failure, message },
  };
}

/** Until something was done about it: a decision, or the step's own end. */
function parked(row: OrderRow, { step, failure, times, firstAt, lastAt, lastAttempt }: KeptFailure): Entry {
  const after = row.log.find(
    ({ at, step: of }) => at > lastAt && (of === step || of === 'resolve' || of === 'unwinding' || of === LAST_UNDO),
  );
  const isOver = after !== undefined || isFinal(row);
  const why = failure === CHARGING_HELD ? 'held by a brake' : `for ${failure}`;
  return {
    ...{ at: firstAt, until: isOver ? (after?.at ?? lastAt) : null, ...SAGA, kind: 'wait', source: 'log', step },
    status: isOver ? 'done' : 'parked',
    what: `${step}: parked ${why}${times > 1 ? `, ${times} times` : ''}`,
    attempts: { first: lastAttempt, last: lastAttempt, times },
    error: { failure, message: null },
  };
}

const GOING_ON: Partial<Record<Situation, EntryStatus>> = {
  'under-way': 'running',
  retrying: 'retrying',
  parked: 'parked',
  unwinding: 'running',
  'undo-failing': 'retrying',
  'taking-back': 'running',
  paused: 'waiting',
  'waits-for-worker': 'waiting',
  'stands-still': 'waiting',
};

/** What it is at, what its turn comes to, and what happens next by itself. Nothing of an order that is final. */
export function awaitedEntries(sources: ExplanationSources, facts: OrderFacts): Entry[] {
  const { row, saga, standing } = facts;
  if (isFinal(row)) return [];
  const works = row.log.filter((entry) => isWork(entry) || entry.step === 'unwinding');
  const since = works.at(-1)?.at ?? row.createdAt;
  const { step, situation } = standing;
  const now: Entry[] =
    step === null
      ? []
      : [
          {
            ...{ at: since, until: null, ...SAGA, kind: kindOf(step), source: 'saga', step },
            status: GOING_ON[situation] ?? 'waiting',
            what: `${step}: ${situation}`,
          },
        ];
  const ahead = aheadOf(row)
    .filter((name) => name !== step)
    .map((name): Entry => {
      const turn = { ...SAGA, kind: kindOf(name), status: 'pending', source: 'row', step: name } as const;
      return { at: null, until: null, ...turn, what: `${name}: its turn is to come` };
    });
  return [...now, ...ahead, ...actsOfSaga(sources, facts).map((act, nth) => next(saga, act, nth === 0))];
}

/** In their order. */
function aheadOf({ state, log }: OrderRow): string[] {
  const steps = stepsOf(PLAN, state.planVersion);
  const isOver = (name: string) =>
    log.some((entry) => entry.step === name && statusOf(entry.outcome as StepStatus) !== 'failed');
  const names = state.unwindingReason === null ? steps.map(({ name }) => name) : [...undosOf(steps), LAST_UNDO];
  return names.filter((name) => !isOver(name));
}

/** The first is what the saga waits for, if that is a try. */
function next(saga: OrderFacts['saga'], { what, at }: { what: string; at: string | null }, isFirst: boolean): Entry {
  const wait = saga.asked && saga.known ? saga.wait : null;
  const isTry = isFirst && wait !== null && wait.waitsFor !== 'its-own-time';
  return {
    ...{ at, until: null, lane: isTry ? 'attempts' : 'saga', kind: 'next', source: 'saga', what },
    status: isTry && wait.waitsFor === 'attempt' ? 'running' : 'awaited',
    ...(isTry && wait.step !== null && { step: wait.step }),
    ...(isTry && wait.lastError !== null && { error: { failure: 'last error', message: wait.lastError } }),
  };
}
