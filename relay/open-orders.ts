/**
 * Tending: sees to it that somebody works on every open order. Whoever is unwinding must have heard of it, and must have a
 * saga; so must whoever is overdue, which then unwinds; and whoever Temporal has lost begins anew. However long ago it began:
 * no order hangs for ever; nor is a confirmed one left with steps to do. A saga that somebody ended, of an order that nobody wants gone, is theirs until its deadline.
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
/** Between two looks at one order: one that is hopeless must not take the others' turn. */
const OWN_BACKOFF_MS = { base: 5_000, max: 300_000 };

export type Tended = {
  /** Where the next round goes on. */
  afterId: string;
  /** Orders that were looked at, how often, and when they are looked at again (by `performance.now()`). */
  seen: Map<string, { looks: number; nextLookAtMs: number }>;
};
export const FROM_THE_BEGINNING = '00000000-0000-0000-0000-000000000000';

export type TendCount = { woken: number; begun: number; errors: unknown[] };
type Deed = 'nothing' | 'woken' | 'begun';

export type Tending = {
  db: Database;
  client: Client;
  policy: SagaPolicy;
  /** What this process remembers from round to round. */
  tended: Tended;
  openFor?: Partial<OpenFor>;
};

/** @returns what was done, and why single orders could not be seen to @throws if Temporal is away */
export async function tendOnce(tending: Tending): Promise<TendCount> {
  const { tended } = tending;
  const count: TendCount = { woken: 0, begun: 0, errors: [] };
  const limit = pLimit(PARALLEL_MAX);
  let away: unknown;
  const see = async (order: OpenOrder) => {
    if (away) return; // the rest would only wait for the same answer
    try {
      const deed = await look(tending, order);
      if (deed !== 'nothing') count[deed]++;
    } catch (err) {
      if (isAway(err)) {
        away = err;
        return;
      }
      count.errors.push(err);
    }
    putOff(tended, order.id);
  };
  for (let pages = 0, looks = 0; pages < PAGES_MAX && looks < LOOKS_MAX && !away; pages++) {
    const page = await readPage(tending);
    const now = performance.now();
    const due = page.filter(({ id }) => (tended.seen.get(id)?.nextLookAtMs ?? 0) <= now).slice(0, LOOKS_MAX - looks);
    await Promise.all(due.map((order) => limit(see, order)));
    looks += due.length;
    const isWhole = looks < LOOKS_MAX;
    const place = isWhole ? page.at(-1)?.id : due.at(-1)?.id;
    const isLast = isWhole && page.length < PAGE;
    tended.afterId = isLast || place === undefined ? FROM_THE_BEGINNING : place;
    if (isLast) {
      forgetOld(tended);
      break;
    }
  }
  if (away) throw away;
  return count;
}

function readPage({ db, policy, tended, openFor }: Tending): Promise<OpenOrder[]> {
  const overdueMs = policy.sagaDeadlineMs + OVERDUE_MARGIN_MS;
  const times = { unwindingMs: UNWINDING_MS, pendingMs: PENDING_MS, overdueMs, ...openFor };
  return listOpen(db, times, { afterId: tended.afterId, limit: PAGE });
}

async function look({ db, client, policy }: Tending, order: OpenOrder): Promise<Deed> {
  const { id, takingBack, isUnwinding, isForward, isOverdue } = order;
  const workflowId = takingBack ? cancelOrderSagaId(id) : orderSagaId(id);
  const inTime = <T>(ask: () => Promise<T>) => client.withDeadline(Date.now() + LOOK_LIMIT_MS, ask);
  const saga = await inTime(() => describeRun(client, workflowId));
  if (saga?.status.name === 'RUNNING') {
    if (!isUnwinding || takingBack || hasHeard(saga)) return 'nothing';
    await inTime(() => wakeSaga(client, workflowId));
    return 'woken';
  }
  if (!isUnwinding && !isForward && !isOverdue && saga !== null) return 'nothing';
  if (!isUnwinding && !isForward && isOverdue) await beginUnwinding(db, id, { reason: 'DEADLINE_EXCEEDED' });
  return (await restartSaga({ client, db, policy }, id)) === null ? 'nothing' : 'begun';
}

/** It says that it is on its way back, or that something on that way is stuck. */
function hasHeard({ typedSearchAttributes }: WorkflowExecutionDescription): boolean {
  const state = typedSearchAttributes.get(SAGA_STATE);
  const step = typedSearchAttributes.get(SAGA_STEP);
  return state === 'COMPENSATING' || (state === 'NEEDS_ATTENTION' && !STEPS.some((name) => name === step));
}

function putOff({ seen }: Tended, orderId: string): void {
  const looks = (seen.get(orderId)?.looks ?? 0) + 1;
  const ms = backoffMs(looks, OWN_BACKOFF_MS.base, OWN_BACKOFF_MS.max);
  seen.set(orderId, { looks, nextLookAtMs: performance.now() + ms });
}

/** Whoever was not looked at again in all that time is open no more. */
function forgetOld({ seen }: Tended): void {
  const now = performance.now();
  for (const [id, { nextLookAtMs }] of seen) if (now > nextLookAtMs + OWN_BACKOFF_MS.max) seen.delete(id);
}

/** Any number of relays may run it: what one has done the others find done. @returns how to stop it */
export function startTending({
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
  const tended: Tended = { afterId: FROM_THE_BEGINNING, seen: new Map() };
  const loop = startLoop({ name: 'tending', everyMs: EVERY_MS, backoffMaxMs: EVERY_MS, logger }, async () => {
    const temporal = client();
    if (!temporal) return false;
    const { woken, begun, errors } = await tendOnce({ db, client: temporal, policy, tended });
    if (errors.length > 0) logger.error({ err: errors[0], orders: errors.length }, 'single orders cannot be tended');
    if (woken + begun > 0) logger.info({ woken, begun }, 'open orders were told, or their sagas begun anew');
    return false;
  });
  return loop.stop;
}
