/**
 * Quiescence: all faults are over, and everything that was begun has to come to its end by itself, or to stand where an operator finds it,
 * who then decides. That it takes too long is a violation like any other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationLog } from './operation-log.js';
import type { Workload } from './workload/clients.js';
import { send } from './workload/http.js';
import { countRunning } from './verify/temporal.js';
import type { Installation } from './world/installation.js';
import { until } from './world/waiting.js';

export type Quiescence = {
  /** What was not over in time. */
  violations: string[];
  seconds: number;
  /** Sagas that an operator had to decide about. */
  decided: number;
  /** Events that a consumer had refused, and was sent again on an operator's word. */
  replayed: number;
};

const READY_LIMIT_MS = 120_000;
const SETTLE_LIMIT_MS = 120_000;
/** From then on everything is to be final; what an operator is to decide about, is decided meanwhile. */
const FINAL_LIMIT_MS = 180_000;
const DELIVERED_LIMIT_MS = 60_000;
/** What a machine will try again, it has tried by then. */
const OPERATOR_AFTER_MS = 15_000;
const LOOK_MS = 1_000;

export async function quiesce(around: Installation, workload: Workload, log: OperationLog): Promise<Quiescence> {
  const from = performance.now();
  const violations: string[] = [];
  const operator = createOperator(around, log);
  const step = async (what: string, limitMs: number, question: () => Promise<boolean>) => {
    log.note({ phase: 'quiesce', what });
    await until(what, limitMs, question).catch((err: unknown) => violations.push((err as Error).message));
  };
  await around.untilReady(READY_LIMIT_MS).catch((err: unknown) => violations.push((err as Error).message));
  await step('every order under a key is answered for', SETTLE_LIMIT_MS, async () => (await workload.settle()) === 0);
  const healedAt = performance.now();
  await step('every order is final', FINAL_LIMIT_MS, async () => {
    const open = await countOpen(around);
    if (open > 0 && performance.now() - healedAt > OPERATOR_AFTER_MS) await operator.decide();
    await sleep(LOOK_MS);
    if (open > 0) throw new Error(`${open} orders are not`);
    return true;
  });
  await step('every event is delivered', DELIVERED_LIMIT_MS, async () => {
    const owed = await countOwed(around);
    if (owed === 0) return true;
    await operator.replay();
    await sleep(LOOK_MS);
    throw new Error(`${owed} events are not`);
  });
  await step('no workflow runs', DELIVERED_LIMIT_MS, async () => {
    const running = await countRunning(around.direct.temporal);
    if (running > 0) throw new Error(`${running} run`);
    return true;
  });
  return { violations, seconds: (performance.now() - from) / 1000, ...operator.counts };
}

/** Accepted and not final, or on its way back. */
export async function countOpen({ pool }: Installation): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM orders
     WHERE status = 'PENDING' OR (status = 'CONFIRMED' AND (unwinding_reason IS NOT NULL OR forward_due))`,
  );
  return rows[0]?.count ?? 0;
}

async function countOwed({ pool, consumer }: Installation): Promise<number> {
  const { rows } = await pool.query<{ id: string }>(`SELECT order_id || '-' || sequence AS id FROM outbox`);
  const arrived = new Set(consumer.received.map(({ subject, sequence }) => `${subject}-${sequence}`));
  return rows.filter(({ id }) => !arrived.has(id)).length;
}

/** Tries each stuck saga again; takes back what stays stuck. */
function createOperator({ direct }: Installation, log: OperationLog) {
  const counts = { decided: 0, replayed: 0 };
  const tried = new Map<string, number>();
  const ask = async <T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T | undefined> => {
    const { outcome, text = '{}' } = await send({ method, url: `${direct.api}${path}`, ...(body && { body }) });
    return outcome === 'ok' ? (JSON.parse(text) as T) : undefined;
  };
  return {
    counts,
    decide: async () => {
      const listed = await ask<{ sagas: { orderId: string; state: string }[] }>('GET', '/admin/sagas?limit=1000');
      for (const { orderId } of listed?.sagas ?? []) {
        const times = tried.get(orderId) ?? 0;
        tried.set(orderId, times + 1);
        const action = times % 4 === 3 ? 'compensate' : 'retry';
        const body = { action, operator: 'soak-operator', reason: 'after the faults' };
        // The log has it: an order may be unwound for an operator only if one has asked.
        const answered = log.invoke({ operation: -1, kind: 'resolve', orderId, to: direct.api });
        const answer = await send({ method: 'POST', url: `${direct.api}/admin/sagas/${orderId}/resolve`, body });
        answered({ ...answer, outcome: answer.outcome === 'ok' ? 'unknown' : answer.outcome });
        if (answer.outcome === 'ok') counts.decided++;
      }
    },
    replay: async () => {
      const replayed = await ask<{ results: unknown[] }>('POST', '/admin/dead-letters/replay', {
        all: true,
        limit: 1_000,
      });
      counts.replayed += replayed?.results.length ?? 0;
    },
  };
}
