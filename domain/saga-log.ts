/**
 * The saga log in Postgres: what each step came to, after how many attempts, and who decided what. A step's entry is in it
 * if and only if its effect has committed. It answers when Temporal's history cannot: before the start, while Temporal is
 * away, after its retention.
 */
import type { Order } from '../contracts/orders.js';
import { PLAN, type SagaPlan, type StepName, stepNamed, stepsOf, UNDOS, type UndoName } from '../contracts/plan.js';
import {
  pendingStep,
  type SagaProgress,
  type SagaState,
  type StepProgress,
  type StepStatus,
} from '../contracts/saga.js';
import type { Decision, LeftStep, NotTaken } from '../contracts/steps.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Database, Statements } from './database.js';

/** How a step came to run: for the log, and for its event if an operator vouches for it. */
export type Run = {
  /** Tries of this step so far, this one included. */
  attempts: number;
  /** The operator who says that the step has been done by hand. */
  skippedBy?: string;
  /** The machine that had it tried again. */
  wokenBy?: string;
};
const actorOf = ({ skippedBy, wokenBy }: Run): string | null => skippedBy ?? wokenBy ?? null;
export const FIRST_RUN: Run = { attempts: 1 };

/**
 * @param from    the CTE whose single row has the order's `id`; no row, no entry
 * @param outcome a step status, or an expression over `from` that gives one
 */
export const insertLog = (
  from: Prisma.Sql,
  step: StepName | UndoName,
  outcome: StepStatus | Prisma.Sql,
  run: Run,
  detail: Prisma.Sql = Prisma.sql`NULL`,
): Prisma.Sql => Prisma.sql`
  INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail)
  SELECT id, ${step}, ${run.skippedBy === undefined ? outcome : 'skipped'}, ${run.attempts}::int, ${actorOf(run)}, ${detail}
  FROM ${from}`;

/** Several steps that one transaction has completed, in their order. */
export const insertLogs = (from: Prisma.Sql, steps: { step: StepName; run: Run }[]): Prisma.Sql => Prisma.sql`
  INSERT INTO saga_log (order_id, step, outcome, attempts, actor)
  SELECT id, s.step, s.outcome, s.attempts, s.actor
  FROM ${from} CROSS JOIN (VALUES ${Prisma.join(
    steps.map(({ step, run }, i) => {
      const outcome = run.skippedBy === undefined ? 'completed' : 'skipped';
      return Prisma.sql`(${i}::int, ${step}, ${outcome}, ${run.attempts}::int, ${actorOf(run)}::text)`;
    }),
  )}) AS s (nth, step, outcome, attempts, actor)
  ORDER BY s.nth`;

/**
 * Steps that were turned away from, once the order in `from` is unwound. What a step has logged itself stands, unless it has been
 * undone: its effect was committed, and its saga never got the answer.
 */
export const insertLeft = (from: Prisma.Sql, left: readonly LeftStep[]): Prisma.Sql => Prisma.sql`
  INSERT INTO saga_log (order_id, step, outcome, attempts, detail)
  SELECT id, l.step, l.outcome, l.attempts, l.detail
  FROM ${from} CROSS JOIN unnest(${left.map(({ step }) => step)}::text[], ${left.map(({ outcome }) => outcome)}::text[],
    ${left.map(({ attempts }) => attempts)}::int[], ${left.map(({ lastError }) => lastError)}::text[])
    WITH ORDINALITY AS l (step, outcome, attempts, detail, nth)
  WHERE l.outcome = 'undone' OR NOT EXISTS (SELECT FROM saga_log known WHERE known.order_id = ${from}.id AND known.step = l.step)
  ORDER BY l.nth`;

/** A jsonb expression that adds `skippedBy` to an event's data, or nothing. */
export const skipMark = (run: Run): Prisma.Sql =>
  run.skippedBy === undefined ? Prisma.empty : Prisma.sql`|| jsonb_build_object('skippedBy', ${run.skippedBy}::text)`;

/** Keeps who decided what, why, and how the saga stood before, or why it was not taken; once, however often a crash has it recorded. */
export async function recordDecision(db: Statements, decision: Decision | NotTaken): Promise<void> {
  const { id, orderId, action, operator, reason, step, before } = decision;
  await db.$executeRaw`
    INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail, decision_id)
    VALUES (${orderId}::uuid, 'resolve', ${action}, 0, ${operator}, ${`${step}, ${before}: ${reason}`}, ${id})
    ON CONFLICT (order_id, decision_id) WHERE decision_id IS NOT NULL DO NOTHING`;
}

/** @returns the saga as its log tells it, with the steps of the plan under which the order was accepted */
export async function readSagaLog(db: Database, order: Order, plan: SagaPlan = PLAN): Promise<SagaProgress> {
  const { planVersion, forwardDue, sagaLog } = await db.order.findUniqueOrThrow({
    where: { id: order.id },
    select: { planVersion: true, forwardDue: true, sagaLog: { orderBy: { id: 'asc' } } },
  });
  const steps = stepsOf(plan, planVersion).map(({ name }) => pendingStep(name as StepName, 'step'));
  let previousAt = order.createdAt;
  for (const { step: name, outcome, attempts, at, detail } of sagaLog) {
    const isUndo = UNDOS.some((undo) => undo === name);
    let step = steps.find((s) => s.name === name);
    if (!step && isUndo) {
      step = pendingStep(name as UndoName, 'undo');
      steps.push(step);
    }
    if (step) {
      Object.assign(step, {
        status: outcome,
        attempts,
        startedAt: previousAt,
        finishedAt: at.toISOString(),
        lastError: detail,
      });
    }
    previousAt = at.toISOString();
  }
  if (order.status === 'CANCELLED') for (const step of steps) concludeStep(plan, step, steps);
  const isUnwinding = sagaLog.some((entry) => entry.step === 'unwinding' || entry.outcome === 'refused');
  return { state: stateOf(order, isUnwinding ? 'COMPENSATING' : 'RUNNING', forwardDue), steps };
}

/** In an order that is cancelled nothing is pending: what a step had done is undone, or it has done nothing. */
function concludeStep(plan: SagaPlan, step: StepProgress, all: readonly StepProgress[]): void {
  if (step.status !== 'pending') return;
  const undo = all.find(({ name }) => name === stepNamed(plan, step.name)?.undo);
  step.status = undo?.status === 'undone' || undo?.status === 'skipped' ? 'undone' : 'nothing-to-undo';
}

/**
 * The committed order has the last word on its saga's state.
 * @param otherwise  the state while the order is pending, or its last steps are
 * @param forwardDue the order is confirmed, and steps after the pivot are still to be done
 */
export function stateOf(order: Order, otherwise: SagaState, forwardDue = false): SagaState {
  switch (order.status) {
    case 'CONFIRMED':
      return forwardDue ? otherwise : 'COMPLETED';
    case 'CANCELLED':
      return 'COMPENSATED';
    case 'PENDING':
      return otherwise;
    default:
      throw new Error(`Bug! Unhandled order status "${order.status satisfies never}"`);
  }
}
