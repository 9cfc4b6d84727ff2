/** Freezing what an operation is about: into items, in their order, each with how it stood. Nothing is done to any of them. */
import { randomUUID } from 'node:crypto';
import {
  OPERATION_ITEMS_MAX,
  type OperationAction,
  type OperationSelection,
  PREVIEW_TTL_MINUTES,
  PREVIEWS_MAX,
  PREVIEWS_OF_ONE_MAX,
} from '../../contracts/operations.js';
import type { Money } from '../../contracts/orders.js';
import { Prisma, type PrismaClient } from '../../prisma/generated/client.js';
import type { Database } from '../database.js';

/** What is to be acted on, or why it is not. */
export type Candidate = {
  orderId: string;
  workflowId: string | null;
  deadLetterId: string | null;
  total: Money | null;
  seen: { state: string | null; step: string | null; failure: string | null };
  /** It is not acted on: it has come to its end, or why else. */
  not?: { state: 'already-done' | 'skipped'; because: string };
};

/** An order as a preview by ids sees it. `inCharge`: a confirmed order on its way back is its cancellation's. */
export type OrderToDecide = { orderId: string; total: Money; isFinal: boolean; status: string; isTakingBack: boolean };

/** @returns those of the orders that exist, in the order asked for */
export async function readOrdersToDecide(db: Database, orderIds: string[]): Promise<OrderToDecide[]> {
  const rows = await db.$queryRaw<(Omit<OrderToDecide, 'total'> & { amount: bigint; currency: string })[]>`
    SELECT o.id AS "orderId", o.total_amount AS amount, o.currency, o.status,
      ${isFinal} AS "isFinal", o.status = 'CONFIRMED' AND o.unwinding_reason IS NOT NULL AS "isTakingBack"
    FROM unnest(${orderIds}::uuid[]) WITH ORDINALITY AS asked (id, place) JOIN orders o ON o.id = asked.id ORDER BY place`;
  return rows.map(({ amount, currency, ...row }) => ({ ...row, total: { amount: Number(amount), currency } }));
}

/** Of an order `o`: its sagas have nothing left to do. */
export const isFinal = Prisma.sql`(o.status = 'CANCELLED'
  OR (o.status = 'CONFIRMED' AND o.unwinding_reason IS NULL AND NOT o.forward_due))`;

/** Of an operation `o`: what is open of it may still be decided on, also where it is paused, or a decision was under way at its abort. */
export const isUnderWay = Prisma.sql`(o.settled_counts IS NULL AND o.state IN ('running', 'paused', 'aborted'))`;

/** @returns those of the orders that another operation is about, and has not concluded */
export async function findInOperation(db: Database, orderIds: string[]): Promise<Set<string>> {
  const rows = await db.$queryRaw<{ orderId: string }[]>`
    SELECT DISTINCT i.order_id AS "orderId" FROM operation_items i JOIN operations o ON o.id = i.operation_id
    WHERE i.state = 'open' AND ${isUnderWay} AND i.dead_letter_id IS NULL AND i.order_id = ANY(${orderIds}::uuid[])`;
  return new Set(rows.map(({ orderId }) => orderId));
}

export type Preview = {
  action: OperationAction;
  selection: OperationSelection;
  previewedBy: string;
  candidates: Candidate[];
};

/**
 * What is acted on comes first, so that a canary is made of nothing else. Previews that nobody has started give way: old ones, and where
 * there are too many the oldest, of the operator's own first.
 * @returns the operation's id
 */
export async function freezeSelection(db: Database, preview: Preview): Promise<string> {
  const { action, selection, previewedBy, candidates } = preview;
  if (candidates.length === 0 || candidates.length > OPERATION_ITEMS_MAX)
    throw new Error(`Bug! An operation of ${candidates.length} items`);
  const id = randomUUID();
  const items = [...candidates.filter(({ not }) => !not), ...candidates.filter(({ not }) => not)];
  await (db as PrismaClient).$transaction(async (tx) => {
    await tx.$executeRaw`
      DELETE FROM operations WHERE state = 'previewed' AND (previewed_at < now() - ${PREVIEW_TTL_MINUTES}::int * interval '1 min'
        OR id IN (SELECT id FROM operations WHERE state = 'previewed' AND previewed_by = ${previewedBy}
          ORDER BY previewed_at DESC, id DESC OFFSET ${PREVIEWS_OF_ONE_MAX - 1}))`;
    await tx.$executeRaw`
      DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE state = 'previewed'
        ORDER BY previewed_at DESC, id DESC OFFSET ${PREVIEWS_MAX - 1})`;
    await tx.$executeRaw`
      INSERT INTO operations (id, action, selection, total, amounts, skipped, previewed_by)
      VALUES (${id}::uuid, ${action}, ${JSON.stringify(selection)}::jsonb, ${items.length}::int,
        ${JSON.stringify(amountsOf(items))}::jsonb, ${JSON.stringify(reasonsOf(items))}::jsonb, ${previewedBy})`;
    for (let from = 0; from < items.length; from += BATCH_MAX)
      await insertItems(tx, id, from, items.slice(from, from + BATCH_MAX));
  }, FREEZING);
  return id;
}

/** Some 50 ms each: no statement comes near its limit, also where a machine is busy. */
const BATCH_MAX = 1_000;
const FREEZING = { timeout: 30_000 };

async function insertItems(tx: Database, id: string, from: number, items: Candidate[]): Promise<void> {
  const column = <T>(of: (item: Candidate) => T) => items.map(of);
  await tx.$executeRaw`
    INSERT INTO operation_items (operation_id, no, order_id, workflow_id, dead_letter_id, amount, currency,
      seen_state, seen_step, seen_failure, state, message, ended_at)
    SELECT ${id}::uuid, ${from}::int + place, order_id, workflow_id, dead_letter_id, amount, currency, seen_state, seen_step, seen_failure,
      coalesce(state, 'open'), message, CASE WHEN state IS NOT NULL THEN now() END
    FROM unnest(${column(({ orderId }) => orderId)}::uuid[], ${column(({ workflowId }) => workflowId)}::text[],
      ${column(({ deadLetterId }) => deadLetterId)}::bigint[], ${column(({ total }) => total?.amount ?? null)}::bigint[],
      ${column(({ total }) => total?.currency ?? null)}::text[], ${column(({ seen }) => seen.state)}::text[],
      ${column(({ seen }) => seen.step)}::text[], ${column(({ seen }) => seen.failure)}::text[],
      ${column(({ not }) => not?.state ?? null)}::text[], ${column(({ not }) => not?.because ?? null)}::text[])
      WITH ORDINALITY AS item (order_id, workflow_id, dead_letter_id, amount, currency, seen_state, seen_step, seen_failure,
        state, message, place)`;
}

function amountsOf(items: Candidate[]): Money[] {
  const sums = new Map<string, number>();
  for (const { total, not } of items)
    if (total && !not) sums.set(total.currency, (sums.get(total.currency) ?? 0) + total.amount);
  return [...sums].map(([currency, amount]) => ({ amount, currency }));
}

function reasonsOf(items: Candidate[]): { because: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const { not } of items) if (not) counts.set(not.because, (counts.get(not.because) ?? 0) + 1);
  return [...counts].map(([because, count]) => ({ because, count })).sort((a, b) => b.count - a.count);
}
