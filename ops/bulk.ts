/**
 * Doing the same to many, carefully: some first, one by one, as a canary; the rest at a rate; an end as soon as it is plain
 * that it does not help. Each item's own result is printed.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pLimit from 'p-limit';
import {
  createFailureCount,
  type Item,
  type ItemOutcome,
  type ItemResult,
  OUTCOMES,
  stoppedByCanary,
} from '../sagas/deciding/outcomes.js';
import { EXIT, type ExitCode } from './exit.js';
import { type Output, onOneLine } from './output.js';

export type Pace = { canary: number; perSecond: number };

/** Items that are waited for at a time: each takes a query or two a second of the workers. */
const PARALLEL_MAX = 16;

export async function runAll<T extends Item>(
  out: Output,
  targets: T[],
  { canary, perSecond }: Pace,
  act: (target: T) => Promise<ItemResult>,
): Promise<ItemResult[]> {
  const progress = showProgress(out, targets.length);
  const stopSignal = createStopSignal(out);
  const results: ItemResult[] = [];
  const tried = new Set<T>();
  const run = async (target: T): Promise<ItemResult> => {
    tried.add(target);
    const result = await act(target);
    results.push(result);
    stopSignal.note(result);
    progress.see(result);
    return result;
  };
  for (const target of targets.slice(0, canary)) {
    if (stopSignal.isSet()) break;
    const { outcome } = await run(target);
    const because = stoppedByCanary(outcome);
    if (because !== undefined) stopSignal.stop(because);
  }
  const limit = pLimit(PARALLEL_MAX);
  const began: Promise<unknown>[] = [];
  for (const target of targets.slice(canary)) {
    if (stopSignal.isSet()) break;
    began.push(limit(() => (stopSignal.isSet() ? undefined : run(target))));
    await pause(1_000 / perSecond);
  }
  await Promise.all(began);
  stopSignal.end();
  progress.end();
  return [...results, ...targets.filter((target) => !tried.has(target)).map(notTried)];
}

const notTried = (target: Item): ItemResult => ({ ...target, outcome: 'not-tried', state: null, message: '' });

/** Stops what has not begun: for the canary, for a row of failures, for Ctrl-C. A second Ctrl-C ends the process. */
function createStopSignal(out: Output) {
  let why: string | undefined;
  const countFailure = createFailureCount();
  const stop = (because: string) => {
    why ??= because;
  };
  const onInterrupt = () => {
    out.notice('\nStopping: what has begun is finished. Ctrl-C again ends at once.');
    stop('interrupted');
  };
  process.once('SIGINT', onInterrupt);
  return {
    stop,
    isSet: () => why !== undefined,
    note: ({ outcome }: ItemResult) => {
      const because = countFailure(outcome);
      if (because !== undefined) stop(because);
    },
    end: () => {
      process.off('SIGINT', onInterrupt);
      if (why !== undefined) out.notice(`Stopped: ${why}.`);
    },
  };
}

const WIDTH = 30;

/** One line per item; under them a bar, if the output is a terminal. */
export function showProgress(out: Output, total: number) {
  let ended = 0;
  const counts = new Map<ItemOutcome, number>();
  const isBar = out.interactive && total > 1;
  return {
    see: (result: ItemResult) => {
      ended++;
      counts.set(result.outcome, (counts.get(result.outcome) ?? 0) + 1);
      if (isBar) out.redraw('');
      out.print(lineOf(out, result));
      if (!isBar) return;
      const filled = Math.round((WIDTH * ended) / total);
      const tally = [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
      out.redraw(`${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)} ${ended}/${total}  ${tally}`);
    },
    end: () => {
      if (isBar) out.redraw('');
    },
  };
}

const STYLES = {
  done: 'green',
  waits: 'yellow',
  refused: 'red',
  failed: 'red',
  unanswered: 'red',
  gone: 'yellow',
  'not-tried': 'dim',
} as const;

function lineOf(out: Output, { orderId, outcome, state, message }: ItemResult): string {
  const word = out.paint(STYLES[outcome], outcome.padEnd(10));
  return `${orderId}  ${word}  ${(state ?? '').padEnd(15)}  ${onOneLine(message)}`.trimEnd();
}

export type Summary = Record<ItemOutcome, number>;

export function summarize(results: ItemResult[]): Summary {
  const count = (outcome: ItemOutcome) => results.filter((result) => result.outcome === outcome).length;
  return Object.fromEntries(OUTCOMES.map((outcome) => [outcome, count(outcome)])) as Summary;
}

export function printSummary(out: Output, summary: Summary): void {
  const parts = OUTCOMES.filter((outcome) => summary[outcome] > 0);
  out.print(parts.map((outcome) => out.paint(STYLES[outcome], `${summary[outcome]} ${outcome}`)).join(', '));
}

export const exitCodeOf = (results: ItemResult[]): ExitCode =>
  results.every(({ outcome }) => outcome === 'done') ? EXIT.done : EXIT.failed;
