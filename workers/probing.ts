/**
 * One round of the prober: which parked sagas may be tried again, and what came of it. A saga decides for itself whether it is
 * parked for something that time mends (workflows/retry-requests); here is only how many are asked at a time.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type Client, type WorkflowExecutionInfo, WorkflowNotFoundError } from '@temporalio/client';
import type { Logger } from 'pino';
import { orderIdOf } from '../contracts/ids.js';
import {
  BY_PROBER,
  type Neighbour,
  PROBEABLE_QUERY,
  PROGRESS_QUERY,
  RETRY_SIGNAL,
  SAGA_FAILURE,
  type SagaProgress,
  TRANSIENT_FAILURES,
} from '../contracts/saga.js';

/** More than that is an outage of hours; the others follow when these have left the list. */
const SAGAS_MAX = 1_000;
/** As many as a neighbour that is just back can bear at a time from here; it has its other customers too. */
const WIDTH_MAX = 16;
/** Longer than an attempt (10 s, workflows/steps): then there has been an answer, or no worker works. */
const WATCH_LIMIT_MS = 13_000;
const CALL_LIMIT_MS = 3_000;
const POLL_MS = 200;
/** After a failure: grows by one step each time, so that the first try after a return is at most 30 s away. */
const PAUSE_MS = { step: 2_500, max: 10_000 };
/**
 * A try in vain is a dozen events in a saga's history, of which Temporal takes 51,200 and then ends the saga. The first hour's
 * tries are free: that is a saga's whole life by default. Beyond, one that goes on failing while its neighbour answers is tried
 * at ever longer intervals, and from `most` on by operators only. Many sagas that wait share the tries, so that theirs last longer.
 */
const HISTORY = { free: 5_000, doubling: 500, most: 40_000 };
const OWN_PAUSE_MAX_MS = 10 * 60_000;

/** For so long Temporal's list may show a saga as it was: it is written once a second (deploy/temporal/dynamic-config.yaml). */
const LIST_BEHIND_MS = 2_000;

/** @returns how long a saga with so many events is left alone after a try in vain, unless there is news of its neighbour */
export function pauseMsAfter(events: number, freeEvents = HISTORY.free): number {
  if (events >= HISTORY.most) return Number.POSITIVE_INFINITY;
  if (events < freeEvents) return 0;
  return Math.min(OWN_PAUSE_MAX_MS, PAUSE_MS.max * 2 ** (1 + Math.floor((events - freeEvents) / HISTORY.doubling)));
}

export type Probing = {
  client: Client;
  /** Which sagas are asked for; absent = all but those that a brake holds. */
  query?: string;
  /** Whether it answers again: asked once a round, on behalf of all. */
  isBack: (neighbour: Neighbour) => Promise<boolean>;
  /** Until when the oldest open orders, so many of them, were accepted; null = there are fewer. */
  oldestUntil?: (orders: number) => Promise<Date | null>;
  /** Whether watching a try is to be given up: this process ends. */
  isStopping: () => boolean;
  logger: Logger;
  /** Up to so many events of its history a saga may be tried in every round. */
  freeEvents?: number;
};
/** By a clock that never jumps: when a saga was tried last, for how long it is left alone after it, and whether it goes on since. */
type Tried = { atMs: number; pauseMs: number; goesOn?: boolean };
/** What a prober remembers from round to round. */
export type Memory = {
  /** How many sagas the next round tries. */
  width: number;
  failures: number;
  /** By a clock that never jumps. */
  notBeforeMs: number;
  /** By saga: one that fails by itself must not starve the rest. */
  tried: Map<string, Tried>;
  /** Neighbours that did not answer when they were asked last. */
  away: Set<Neighbour>;
  /** When a neighbour answered again, or a saga that had waited for it went on: news for all that wait for it. */
  mendedAtMs: Map<Neighbour, number>;
};
export const newMemory = (): Memory => ({
  width: 1,
  failures: 0,
  notBeforeMs: 0,
  tried: new Map(),
  away: new Set(),
  mendedAtMs: new Map(),
});
export type ProbeCounts = { parked: number; tried: number; succeeded: number };

/** @returns how many sagas wait, and what became of those that were tried; all of them well: the next round is due at once */
export async function probeOnce(probing: Probing, memory: Memory): Promise<ProbeCounts> {
  const parked = await listProbeable(probing);
  forgetAllBut(parked, memory);
  if (parked.length === 0) Object.assign(memory, newMemory());
  const none = { parked: parked.length, tried: 0, succeeded: 0 };
  if (parked.length === 0 || performance.now() < memory.notBeforeMs) return none;
  const ready = (await withNeighbourBack(probing, parked, memory)).filter((saga) => isDue(saga, memory));
  const chosen = inOrder(ready, memory).slice(0, memory.width);
  if (chosen.length === 0) return none;
  const went = await Promise.all(chosen.map((saga) => probeSaga(probing, saga, memory)));
  const succeeded = went.filter((well) => well).length;
  adapt(memory, succeeded === chosen.length);
  return { parked: parked.length, tried: chosen.length, succeeded };
}

/** One at a time, then two, four …; whatever fails, begin again with one, after a pause. */
function adapt(memory: Memory, allWell: boolean): void {
  memory.width = allWell ? Math.min(WIDTH_MAX, memory.width * 2) : 1;
  memory.failures = allWell ? 0 : memory.failures + 1;
  memory.notBeforeMs = allWell ? 0 : performance.now() + Math.min(PAUSE_MS.max, PAUSE_MS.step * memory.failures);
}

/** Temporal lists the youngest first. Where there are too many for a round, those of the oldest open orders are asked for. */
async function listProbeable({
  client,
  query = PROBEABLE_QUERY,
  oldestUntil,
}: Probing): Promise<WorkflowExecutionInfo[]> {
  const youngest = await list(client, query);
  if (youngest.length < SAGAS_MAX) return youngest;
  const until = await oldestUntil?.(SAGAS_MAX);
  if (!until) return youngest;
  const oldest = await list(client, `${query} AND StartTime <= "${until.toISOString()}"`);
  return oldest.length > 0 ? oldest : youngest;
}

async function list(client: Client, query: string): Promise<WorkflowExecutionInfo[]> {
  const found: WorkflowExecutionInfo[] = [];
  for await (const saga of client.workflow.list({ query })) {
    found.push(saga);
    if (found.length === SAGAS_MAX) break;
  }
  return found;
}

/** Those that were never tried first, then the oldest orders, whose ids tell their time: their deadlines come first. */
const inOrder = (sagas: WorkflowExecutionInfo[], { tried }: Memory): WorkflowExecutionInfo[] =>
  sagas.toSorted(
    (a, b) =>
      (tried.get(a.workflowId)?.atMs ?? 0) - (tried.get(b.workflowId)?.atMs ?? 0) ||
      (a.workflowId < b.workflowId ? -1 : 1),
  );

function forgetAllBut(parked: WorkflowExecutionInfo[], { tried }: Memory): void {
  const ids = new Set(parked.map((saga) => saga.workflowId));
  for (const id of tried.keys()) if (!ids.has(id)) tried.delete(id);
}

async function withNeighbourBack(
  { isBack }: Probing,
  parked: WorkflowExecutionInfo[],
  { away, mendedAtMs }: Memory,
): Promise<WorkflowExecutionInfo[]> {
  const needed = new Set(parked.flatMap((saga) => neighbourOf(saga) ?? []));
  const back = new Set<Neighbour>();
  for (const neighbour of needed) {
    if (!(await isBack(neighbour))) {
      away.add(neighbour);
      continue;
    }
    back.add(neighbour);
    if (away.delete(neighbour)) mendedAtMs.set(neighbour, performance.now());
  }
  return parked.filter((saga) => {
    const neighbour = neighbourOf(saga);
    return neighbour !== undefined && back.has(neighbour);
  });
}

function isDue(saga: WorkflowExecutionInfo, { tried, mendedAtMs }: Memory): boolean {
  const last = tried.get(saga.workflowId);
  if (last === undefined) return true;
  // Asked again and again, it would keep workers from those that wait.
  if (last.goesOn && performance.now() < last.atMs + LIST_BEHIND_MS) return false;
  if (last.pauseMs === Number.POSITIVE_INFINITY) return false;
  const neighbour = neighbourOf(saga);
  const mendedAt = neighbour === undefined ? undefined : mendedAtMs.get(neighbour);
  return performance.now() >= last.atMs + last.pauseMs || (mendedAt !== undefined && mendedAt > last.atMs);
}

const neighbourOf = ({ typedSearchAttributes }: WorkflowExecutionInfo): Neighbour | undefined =>
  (TRANSIENT_FAILURES as Partial<Record<string, Neighbour>>)[typedSearchAttributes.get(SAGA_FAILURE) ?? ''];

/** @returns whether it is parked no more */
async function probeSaga(
  probing: Probing,
  saga: WorkflowExecutionInfo,
  { tried, mendedAtMs }: Memory,
): Promise<boolean> {
  const { workflowId } = saga;
  tried.set(workflowId, { atMs: performance.now(), pauseMs: 0 });
  const goesOn = await tryOnce(probing, saga);
  const neighbour = neighbourOf(saga);
  if (goesOn) tried.set(workflowId, { atMs: performance.now(), pauseMs: 0, goesOn });
  if (goesOn && neighbour !== undefined) mendedAtMs.set(neighbour, performance.now());
  if (!goesOn) {
    const pauseMs = pauseMsAfter(await eventsOf(probing, workflowId), probing.freeEvents);
    tried.set(workflowId, { atMs: performance.now(), pauseMs });
  }
  return goesOn;
}

const calling = <T>({ client }: Probing, call: () => Promise<T>): Promise<T> =>
  client.withDeadline(Date.now() + CALL_LIMIT_MS, call);

/** @returns 0 if Temporal does not say: then the saga is tried as often as a young one */
const eventsOf = (probing: Probing, workflowId: string): Promise<number> =>
  calling(probing, () => probing.client.workflow.getHandle(workflowId).describe()).then(
    ({ historyLength }) => historyLength,
    () => 0,
  );

async function tryOnce(probing: Probing, { workflowId, memo }: WorkflowExecutionInfo): Promise<boolean> {
  const { client, isStopping, logger } = probing;
  const saga = client.workflow.getHandle(workflowId);
  const ask = () => calling(probing, () => saga.query<SagaProgress>(PROGRESS_QUERY)).catch(() => undefined);
  const before = await ask();
  if (before === undefined) return false; // no worker answers: a signal would only wait
  if (before.state !== 'NEEDS_ATTENTION') return true; // visibility is behind
  const attempts = attemptsIn(before);
  try {
    await calling(probing, () => saga.signal(RETRY_SIGNAL, BY_PROBER));
  } catch (err) {
    if (err instanceof WorkflowNotFoundError) return true; // ended meanwhile
    logger.debug({ workflowId, err }, 'prober: a saga could not be reached');
    return false;
  }
  const deadline = performance.now() + WATCH_LIMIT_MS;
  while (performance.now() < deadline && !isStopping()) {
    const now = await ask();
    if (now !== undefined && now.state !== 'NEEDS_ATTENTION') {
      const { correlationId } = memo ?? {};
      logger.info({ correlationId, orderId: orderIdOf(workflowId), workflowId }, 'prober: a parked saga goes on');
      return true;
    }
    if (now?.steps.some(({ status }) => status === 'parked') && attemptsIn(now) > attempts) return false;
    await pause(POLL_MS);
  }
  return false;
}

const attemptsIn = ({ steps }: SagaProgress): number => steps.reduce((sum, step) => sum + step.attempts, 0);
