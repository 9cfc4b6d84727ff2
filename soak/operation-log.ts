/**
 * The operation log: each call of a client before and after it, outside the system, so that what was acknowledged can be held against
 * what is. One JSON object a line; what has been read of it is kept, as the checker reads it all at the end.
 */
import { appendFileSync } from 'node:fs';
import type { OperationKind } from './plan/operations.js';

/**
 * - `ok`      it was done, and we were told
 * - `refused` it was told that nothing was done, and nothing ever will be
 * - `unknown` there was no answer, or one that does not say
 */
export type Outcome = 'ok' | 'refused' | 'unknown';

export type Request = {
  /** Of the plan; several calls may belong to one, if it is tried again. */
  operation: number;
  kind: OperationKind;
  /** Which order of the plan it is about. */
  order?: number;
  /** The service's id of it, as far as it is known. */
  orderId?: string;
  customerId?: string;
  externalOrderId?: string;
  key?: string;
  /** `Prefer: wait`: the answer is the order as it is by then. */
  isWaiting?: boolean;
  /** What tells one body from another. */
  body?: unknown;
  /** Which process it goes to. */
  to: string;
};
export type Answer = { outcome: Outcome; status?: number; code?: string; error?: string; text?: string };
export type Call = Request & Answer & { call: number; beganMs: number; endedMs: number };

export type OperationLog = {
  /** @returns what to call with its answer */
  invoke: (request: Request) => (answer: Answer) => Call;
  /** What was planned and could not be asked: the order is not known, nothing is stuck. */
  skip: (operation: number, kind: OperationKind) => void;
  note: (entry: object) => void;
  /** Those that have ended. */
  calls: () => readonly Call[];
  skipped: () => number;
  nowMs: () => number;
};

export function openOperationLog(file: string): OperationLog {
  const from = performance.now();
  const nowMs = () => Math.round(performance.now() - from);
  const ended: Call[] = [];
  let begun = 0;
  let skipped = 0;
  const note = (entry: object) => appendFileSync(file, `${JSON.stringify(entry)}\n`);
  return {
    invoke: (request) => {
      const call = begun++;
      const beganMs = nowMs();
      note({ at: beganMs, phase: 'invoke', call, ...request });
      return (answer) => {
        const endedMs = nowMs();
        note({ at: endedMs, phase: answer.outcome, call, ...answer });
        const whole = { call, beganMs, endedMs, ...request, ...answer };
        ended.push(whole);
        return whole;
      };
    },
    skip: (operation, kind) => {
      skipped++;
      note({ at: nowMs(), phase: 'skipped', operation, kind });
    },
    note: (entry) => note({ at: nowMs(), ...entry }),
    calls: () => ended,
    skipped: () => skipped,
    nowMs,
  };
}
