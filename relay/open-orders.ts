/**
 * Supervision of open orders: sees to it that a saga works on every open order, however long ago it began. An order that is
 * unwinding must have a saga, and that saga must know it; so must an overdue order, which then unwinds; an order whose saga
 * Temporal has lost gets a new one. A confirmed order with steps left to do is open, too. A saga that an operator ended, of
 * an order that is not unwinding, is left to the operator until its deadline.
 */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { cancelOrderSagaId, orderSagaId } from '../contracts/ids.js';
import { STEPS } from '../contracts/plan.js';
import { SAGA_STATE, SAGA_STEP, type SagaPolicy } from '../contracts/saga.js';
import { listOpen, type OpenFor, type OpenOrder } from '../domain/acceptance.js';
import type { Database } from '../domain/database.js';
import { beginUnwinding } from '../domain/orders.js';
import { backoffMs, startLoop } from '../runtime/loop.js';
import { restartSaga } from '../sagas/restart.js';
import { isAway } from '../sagas/away.js';
import { describeRun } from '../sagas/describe.js';
import { wakeSaga } from '../sagas/wake.js';

const EVERY_MS = 5_000;
/** The API tells the saga itself, at once; this is for when that was lost. */
const UNWINDING_MS = 5_000;
/** Longer than a saga without trouble takes, by far. */
const PENDING_MS = 60_000;
/** The saga's own clock comes first. */
const OVERDUE_MARGIN_MS = 60_000;

/** A look is a question to Temporal. With 200 in 5 s, ten thousand orders are looked at in the time of the longest pause. */
const LOOKS_MAX = 200;
const PAGE = 1_000;
const PAGES_MAX = 20;
const PARALLEL_MAX = 16;
const LOOK_LIMIT_MS = 3_000;
/** Between two looks at one order: one that cannot be mended must not delay the others. */
const OWN_BACKOFF_MS = { base: 5_000, max: 300_000 };

export type SupervisionState = {
  /** Where the next round goes on. */
  afterId: string;
  /** Orders that were looked at, how often, and when they are looked at again (by `performance.now()`). */
  seen: Map<string, { looks: number; nextLookAtMs: number }>;
};
export const FROM_THE_BEGINNING = '00000000-0000-0000-0000-000000000000';

export type SupervisionCount = { woken: number; restarted: number; errors: unknown[] };
type Action = 'nothing' | 'woken' | 'restarted';

export type Supervision = {
  db: Database;
  client: Client;
  policy: SagaPolicy;
  /** What this process remembers from round to round. */
  state: SupervisionState;
  openFor?: Partial<OpenFor>;
  logger: Pick<Logger, 'info'>;
};

/** @returns what was done, and why single orders could not be looked at @throws if Temporal is away */
export async function superviseOnce(supervision: Supervision): Promise<SupervisionCount> {
  const { state } = supervision;
  const count: SupervisionCount = { woken: 0, restarted: 0, errors: [] };
  const limit = pLimit(PARALLEL_MAX);
  let away: unknown;
  const lookAt = async (order: OpenOrder) => {
    if (away) return; // the rest would only wait for the same answer
    try {
      const action = await checkOrder(supervision, order);
      if (action !== 'nothing') {
        count[action]++;
        const { id: orderId, correlationId } = order;
        supervision.logger.info({ correlationId, orderId }, `saga ${action} by the supervision of open orders`);
      }
    } catch (err) {
      if (isAway(err)) {
        away = err;
        return;
      }
      count.errors.push(err);
    }
    postpone(state, order.id);
  };
  for (let pages = 0, looks = 0; pages < PAGES_MAX && looks < LOOKS_MAX && !away; pages++) {
    const page = await readPage(supervision);
    const now = performance.now();
    const due = page.filter(({ id }) => (state.seen.get(id)?.nextLookAtMs ?? 0) <= now).slice(0, LOOKS_MAX - looks);
    await Promise.all(due.map((order) => limit(lookAt, order)));
    looks += due.length;
    const isWhole = looks < LOOKS_MAX;
    const place = isWhole ? page.at(-1)?.id : due.at(-1)?.id;
    const isLast = isWhole && page.length < PAGE;
    state.afterId = isLast || place === undefined ? FROM_THE_BEGINNING : place;
    if (isLast) {
      forgetOld(state);
      break;
    }
  }
  if (away) throw away;
  return count;
}

function readPage({ db, policy, state, openFor }: Supervision): Promise<OpenOrder[]> {
  const overdueMs = policy.sagaDeadlineMs + OVERDUE_MARGIN_MS;
  const times = { unwindingMs: UNWINDING_MS, pendingMs: PENDING_MS, overdueMs, ...openFor };
  return listOpen(db, times, { afterId: state.afterId, limit: PAGE });
}

async function checkOrder({ db, client, policy }: Supervision, order: OpenOrder): Promise<Action> {
  const { id, takingBack, isUnwinding, isForward, isOverdue } = order;
  const workflowId = takingBack ? cancelOrderSagaId(id) : orderSagaId(id);
  const inTime = <T>(ask: () => Promise<T>) => client.withDeadline(Date.now() + LOOK_LIMIT_MS, ask);
  const saga = await inTime(() => describeRun(client, workflowId));
  if (saga?.status.name === 'RUNNING') {
    if (!isUnwinding || takingBack || knowsOfUnwinding(saga)) return 'nothing';
    await inTime(() => wakeSaga(client, workflowId));
    return 'woken';
  }
  if (!isUnwinding && !isForward && !isOverdue && saga !== null) return 'nothing';
  if (!isUnwinding && !isForward && isOverdue) await beginUnwinding(db, id, { reason: 'DEADLINE_EXCEEDED' });
  return (await restartSaga({ client, db, policy }, id)) === null ? 'nothing' : 'restarted';
}

/** Whether the saga is unwinding by its own account, or stuck while it does. */
function knowsOfUnwinding({ typedSearchAttributes }: WorkflowExecutionDescription): boolean {
  const sagaState = typedSearchAttributes.get(SAGA_STATE);
  const step = typedSearchAttributes.get(SAGA_STEP);
  return sagaState === 'COMPENSATING' || (sagaState === 'NEEDS_ATTENTION' && !STEPS.some((name) => name === step));
}

function postpone({ seen }: SupervisionState, orderId: string): void {
  const looks = (seen.get(orderId)?.looks ?? 0) + 1;
  const ms = backoffMs(looks, OWN_BACKOFF_MS.base, OWN_BACKOFF_MS.max);
  seen.set(orderId, { looks, nextLookAtMs: performance.now() + ms });
}

/** An order that was not looked at again in all that time is open no more. */
function forgetOld({ seen }: SupervisionState): void {
  const now = performance.now();
  for (const [id, { nextLookAtMs }] of seen) if (now > nextLookAtMs + OWN_BACKOFF_MS.max) seen.delete(id);
}

/** Any number of relays may run it: what one has done the others find done. @returns how to stop it */
export function startSupervision({
  db,
  client,
  policy,
  logger,
}: {
  db: Database;
  client: () => Client | undefined;
  policy: SagaPolicy;
  logger: Logger;
}): () => Promise<void> {
  const state: SupervisionState = { afterId: FROM_THE_BEGINNING, seen: new Map() };
  const loop = startLoop({ name: 'supervision', everyMs: EVERY_MS, backoffMaxMs: EVERY_MS, logger }, async () => {
    const temporal = client();
    if (!temporal) return false;
    const { woken, restarted, errors } = await superviseOnce({ db, client: temporal, policy, state, logger });
    if (errors.length > 0)
      logger.error({ err: errors[0], orders: errors.length }, 'single open orders cannot be supervised');
    if (woken + restarted > 0) logger.info({ woken, restarted }, 'sagas of open orders were woken, or restarted');
    return false;
  });
  return loop.stop;
}
