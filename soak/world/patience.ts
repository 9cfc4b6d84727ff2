/**
 * Patience: time as a machine would have it that has nothing else to do. While four want each of its cores, a second counts as a
 * quarter, so that a limit says something of what is waited for and not of its neighbours. No wait is endless: each has a cap as well,
 * in real time, and says so if that is what ended it.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const LOOK_MS = 250;
/** In real time, so many times as long as the limit. */
const CAP = 10;

let patientMs = 0;
let lookedAtMs = performance.now();
const startedAtMs = lookedAtMs;

/** What has passed since this process began, as an idle machine would have it. */
export function patientNowMs(): number {
  const now = performance.now();
  patientMs += (now - lookedAtMs) * shareOf(readFileSync('/proc/loadavg', 'utf8'));
  lookedAtMs = now;
  return patientMs;
}
setInterval(patientNowMs, LOOK_MS).unref();

/** By how much everything takes longer here than on an idle machine, on average since this process began: 1 or more. */
export const slowness = (): number => Math.max(1, (performance.now() - startedAtMs) / Math.max(1, patientNowMs()));

/** @param loadavg as /proc has it: its fourth field is how many want to run just now, this process among them */
export function shareOf(loadavg: string, cores = availableParallelism()): number {
  const wanting = Number(loadavg.split(' ')[3]?.split('/')[0]);
  if (!(wanting > 0)) throw new Error(`/proc/loadavg does not say how many want to run: ${loadavg}`);
  return Math.min(1, cores / wanting);
}

export type Wait = {
  /** What is waited for has moved: its patience begins anew, its cap does not. */
  moved: () => void;
  /** @returns why it is over, or undefined */
  over: () => string | undefined;
};
type Clocks = { patientMs: () => number; realMs: () => number };
const CLOCKS: Clocks = { patientMs: patientNowMs, realMs: () => performance.now() };

/** @param limitMs without any movement. @param capMs in all, in real time */
export function startWait(limitMs: number, capMs = CAP * limitMs, clocks = CLOCKS): Wait {
  const from = clocks.realMs();
  let movedAt = clocks.patientMs();
  const seconds = () => Math.round((clocks.realMs() - from) / 1_000);
  return {
    moved: () => {
      movedAt = clocks.patientMs();
    },
    over: () => {
      if (clocks.patientMs() - movedAt > limitMs)
        return `nothing has moved for ${limitMs / 1_000} s of an idle machine’s time, after ${seconds()} s`;
      return clocks.realMs() - from > capMs
        ? `cut off after ${seconds()} s, which says nothing of what it would have come to`
        : undefined;
    },
  };
}
