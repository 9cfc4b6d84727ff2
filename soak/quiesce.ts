/**
 * Quiescence: all faults are over, and everything that was begun has to come to its end by itself, or to stand where an operator finds it,
 * who then decides. That it takes too long is a violation like any other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { actInCalm } from './calm.js';
import type { OperationLog } from './operation-log.js';
import type { Workload } from './workload/clients.js';
import { send } from './workload/http.js';
import { countRunning } from './verify/temporal.js';
import type { Installation } from './world/installation.js';
import { startWait } from './world/patience.js';

export type Quiescence = {
  /** What was not over in time. */
  violations: string[];
  seconds: number;
  /** Sagas that an operator had to decide about. */
  decided: number;
  /** Events that a consumer had refused, and was sent again on an operator's word. */
  replayed: number;
};

const READY_LIMIT_MS = 180_000;
/** Of each step: so long without any movement. What is promised is 120 s; a busy machine takes longer for a thousand orders. */
const STALL_LIMIT_MS = 120_000;
/** In all, by the clock on the wall: what still moves then has not been waited for. */
const CAP_MS = 1_800_000;
/** What a machine will try again, it has tried by then. */
const OPERATOR_AFTER_MS = 15_000;
const LOOK_MS = 1_000;

export async function quiesce(
  around: Installation,
  workload: Pick<Workload, 'settle'>,
  log: OperationLog,
): Promise<Quiescence> {
  const from = performance.now();
  const violations: string[] = [];
  const operator = createOperator(around, log);
  const untilNone = async (what: string, left: Left) => {
    log.note({ phase: 'quiesce', what });
    const late = await whyNotNone(left);
    if (late !== undefined) violations.push(`${what}: ${late}`);
  };
  await around.untilReady(READY_LIMIT_MS).catch((err: unknown) => violations.push((err as Error).message));
  await untilNone('orders under a key without an answer', () => workload.settle());
  const unacted = await actInCalm(around, log);
  if (unacted !== undefined) violations.push(unacted);
  const healed = startWait(OPERATOR_AFTER_MS);
  await untilNone('orders that are not final', async () => {
    const open = await countOpen(around);
    if (open.count > 0 && healed.over() !== undefined) await operator.decide();
    return open;
  });
  await untilNone('events that are not delivered', async () => {
    const owed = await countOwed(around);
    if (owed > 0) await operator.replay();
    return owed;
  });
  await untilNone('workflows that run', () => countRunning(around.direct.temporal));
  return { violations, seconds: (performance.now() - from) / 1000, ...operator.counts };
}

/** How many there still are, fewer or not; `steps`: what else shows that they move. */
type Left = () => Promise<number | { count: number; steps: number }>;

/** @returns undefined once there is none, or how many there were when nothing moved any more */
export async function whyNotNone(
  left: Left,
  wait = startWait(STALL_LIMIT_MS, CAP_MS),
  lookMs = LOOK_MS,
): Promise<string | undefined> {
  let fewest = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  let last = '';
  for (;;) {
    try {
      const looked = await left();
      const { count, steps } = typeof looked === 'number' ? { count: looked, steps: 0 } : looked;
      if (count === 0) return undefined;
      if (count < fewest || steps > most) wait.moved();
      [fewest, most] = [Math.min(fewest, count), Math.max(most, steps)];
      last = `${count}`;
    } catch (err) {
      last = `not known (${(err as Error).message})`;
    }
    const why = wait.over();
    if (why !== undefined) return `${last}; ${why}`;
    await sleep(lookMs);
  }
}

/** Accepted and not final, or on its way back; and how many events orders have told: each is a step of one. */
async function countOpen({ pool }: Installation): Promise<{ count: number; steps: number }> {
  const { rows } = await pool.query<{ count: number; steps: number }>(
    `SELECT count(*) FILTER (WHERE status = 'PENDING' OR (status = 'CONFIRMED' AND (unwinding_reason IS NOT NULL OR forward_due)))::int AS count,
       coalesce(sum(event_count), 0)::int AS steps FROM orders`,
  );
  if (!rows[0]) throw new Error('Postgres did not answer');
  return rows[0];
}

async function countOwed({ pool, consumer }: Installation): Promise<number> {
  const { rows } = await pool.query<{ id: string }>(`SELECT order_id || '-' || sequence AS id FROM outbox`);
  const arrived = new Set(consumer.received.map(({ subject, sequence }) => `${subject}-${sequence}`));
  return rows.filter(({ id }) => !arrived.has(id)).length;
}

/** Tries each stuck saga again; takes back what stays stuck; gives back by hand what came by hand, and says so. */
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
      const listed = await ask<{ sagas: { orderId: string; failure: string | null }[] }>(
        'GET',
        '/admin/sagas?limit=1000',
      );
      for (const { orderId, failure } of listed?.sagas ?? []) {
        const times = tried.get(orderId) ?? 0;
        tried.set(orderId, times + 1);
        // Paid outside: only a hand can give that back.
        const action = failure === 'PaidOutside' ? 'skip' : times % 4 === 3 ? 'compensate' : 'retry';
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
