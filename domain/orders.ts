/**
 * The order: accepted once, then decided once. Its row is the guard of its saga. A step's transaction holds the row from
 * its check ("pending and not unwinding") to its commit, and unwinding is committed before the first undo; so when an
 * undo runs, no step is half-way and none can begin. Whichever commits first wins, whoever asked for it.
 */
import type { CancellationReason, OrderLine, OrderStatus, StoredOrder } from '../contracts/orders.js';
import { CANCELLATION_MESSAGES } from '../contracts/orders.js';
import { partsOfEventId } from '../contracts/ids.js';
import { HOLDINGS, type Holding } from '../contracts/plan.js';
import type { LeftStep } from '../contracts/steps.js';
import { Prisma } from '../prisma/generated/client.js';
import { type CustomerBehind, customerBehind, customerIdsOf, identityKeyOf, isOf } from './customers.js';
import type { Statements } from './database.js';
import { holdsNothing, readHeld } from './holdings.js';
import { orderChanged, queryChanging } from './order-changes.js';
import { countEvent, eventColumns, insertEvent } from './outbox.js';
import { ofAnyLength } from './planning.js';
import { FIRST_RUN, insertLeft, insertLog, type Run, skipMark } from './saga-log.js';
import { KeyUnavailable } from './sealing/errors.js';
import { knownCustomer, openCustomer, type Reading } from './sealing/of-customers.js';
import { openCancellationMessage } from './sealing/of-orders.js';
import { asPlain, isSealed } from './sealing/sealing.js';

/**
 * What a step came to under the order state guard. `done` also when an earlier run of the same step has done it; `confirmed`:
 * and the order is confirmed, by this step or another run.
 */
export type StepOutcome = { outcome: 'done'; confirmed?: true } | { outcome: 'refused'; reason: CancellationReason };
export type UndoOutcome = 'done' | 'nothing';

/** Who wants an order unwound, and why: `message` is for the order's reader, `detail` for the log. */
export type Unwinding = { reason: CancellationReason; message?: string; actor?: string; detail?: string };
export type UnwindingOutcome =
  | { outcome: 'unwinding' | 'cancelled'; reason: CancellationReason }
  | { outcome: 'confirmed' };

/**
 * Sets the order state guard against every further step: PENDING → unwinding, with the first reason given. Must be committed
 * before the first undo.
 * @returns what has become of the order, whichever statement decided it
 */
export async function beginUnwinding(db: Statements, orderId: string, why: Unwinding): Promise<UnwindingOutcome> {
  await db.$executeRaw`
    WITH begun AS (
      UPDATE orders o SET unwinding_reason = ${why.reason}, cancellation_message = ${plainOrNull(why.message)}, updated_at = now()
      WHERE id = ${orderId}::uuid AND status = 'PENDING' AND unwinding_reason IS NULL
      RETURNING o.id
    )
    ${logUnwinding(why)}`;
  const orderState = await readOrderState(db, orderId);
  if (orderState.status === 'CONFIRMED') return { outcome: 'confirmed' };
  if (orderState.unwindingReason === null) throw new Error(`Bug! Order ${orderId} is neither confirmed nor unwinding`);
  return { outcome: orderState.status === 'CANCELLED' ? 'cancelled' : 'unwinding', reason: orderState.unwindingReason };
}

/** `planVersion`: of the order, whichever build takes it back. */
export type RequestedCancellation = {
  outcome: 'unwinding' | 'cancellation-due' | 'cancelled';
  reason: CancellationReason;
  planVersion: number;
};

/**
 * A customer's or operator's wish to have the order gone, at any time: pending, it begins to unwind; confirmed, its
 * cancellation saga becomes due (the sweep's list has it from this commit on).
 * @param why its message as it may be stored (domain/sealing)
 * @returns how the order stands: `cancellation-due` = confirmed and on its way back; with the reason recorded first
 */
export async function requestCancellation(
  db: Statements,
  orderId: string,
  why: Unwinding,
): Promise<RequestedCancellation> {
  await db.$executeRaw`
    WITH begun AS (
      UPDATE orders o SET unwinding_reason = ${why.reason}, cancellation_message = ${why.message ?? null}, updated_at = now(),
        saga_started_at = CASE status WHEN 'CONFIRMED' THEN NULL ELSE saga_started_at END
      WHERE id = ${orderId}::uuid AND status IN ('PENDING', 'CONFIRMED') AND unwinding_reason IS NULL
      RETURNING o.id
    )
    ${logUnwinding(why)}`;
  const orderState = await readOrderState(db, orderId);
  if (orderState.unwindingReason === null)
    throw new Error(`Bug! Order ${orderId} was to be cancelled and has no reason`);
  const outcome = { PENDING: 'unwinding', CONFIRMED: 'cancellation-due', CANCELLED: 'cancelled' } as const;
  const { planVersion, unwindingReason: reason } = orderState;
  return { outcome: outcome[orderState.status], reason, planVersion };
}

const plainOrNull = (message: string | undefined) => (message === undefined ? null : asPlain(message));
const logUnwinding = ({ reason, actor, detail }: Unwinding): Prisma.Sql => Prisma.sql`
  INSERT INTO saga_log (order_id, step, outcome, attempts, actor, detail)
  SELECT id, 'unwinding', ${reason}, 0, ${actor ?? null}, ${detail ?? null} FROM begun`;

/**
 * The last statement of an unwound saga: unwinding → CANCELLED.
 * @param left     steps that the saga has turned away from, for the log
 * @param holdings what must not be there any more
 * @throws if the order still holds something (contracts/plan): an undo is missing, or has not done its work
 */
export async function cancelOrder(
  db: Statements,
  orderId: string,
  run: Run = FIRST_RUN,
  left: readonly LeftStep[] = [],
  holdings: readonly Holding[] = HOLDINGS,
): Promise<UndoOutcome> {
  const logLeft =
    left.length === 0 ? Prisma.empty : Prisma.sql`, left_behind AS (${insertLeft(Prisma.sql`moved`, left)})`;
  const cancelled = await queryChanging(
    db,
    Prisma.sql`
    WITH moved AS (
      UPDATE orders o SET status = 'CANCELLED', ${countEvent}
      WHERE id = ${orderId}::uuid AND status <> 'CANCELLED' AND unwinding_reason IS NOT NULL
        AND ${holdsNothing(holdings)}
      RETURNING ${eventColumns}, unwinding_reason
    ), event AS (
      ${insertEvent(
        Prisma.sql`moved`,
        'order.cancelled',
        Prisma.sql`jsonb_build_object('orderId', id, 'reason', unwinding_reason) ${skipMark(run)}`,
      )}
    ), logged AS (
      ${insertLog(Prisma.sql`moved`, 'cancelOrder', 'undone', run)}
    ) ${logLeft}
    SELECT ${orderChanged(db, { isFinal: true })} AS changed FROM moved`,
  );
  if (cancelled.length > 0) return 'done';
  const orderState = await readOrderState(db, orderId);
  if (orderState.status === 'CANCELLED') return 'done';
  const tables = await readHeld(db, orderId, holdings);
  const what = tables.length === 0 ? 'without a reason' : `still holding ${tables.join(', ')}`;
  throw new Error(`Bug! Order ${orderId} came to its cancellation ${what}`);
}

/** `forwardDue`: confirmed, with steps after the pivot still to be done. `planVersion`: under which it was accepted. */
export type OrderState = {
  status: OrderStatus;
  unwindingReason: CancellationReason | null;
  forwardDue: boolean;
  planVersion: number;
};

/** How the order stands for a step that could not act on it. @throws if there is no such order */
export async function readOrderState(db: Statements, orderId: string): Promise<OrderState> {
  const [row] = await db.$queryRaw<OrderState[]>`
    SELECT status, unwinding_reason AS "unwindingReason", forward_due AS "forwardDue", plan_version AS "planVersion"
    FROM orders WHERE id = ${orderId}::uuid`;
  if (!row) throw new Error(`Order ${orderId} does not exist`);
  return row;
}

/**
 * Whether what is sealed of an order is opened, for whoever shows it; else the standard message of its reason stands there, and
 * nobody needs a key who only wants to know how the order stands.
 */
export type Texts = 'opened' | 'closed';

/** @returns the order, or null if there is none. @throws KeyUnavailable if a text is to be opened, and cannot be now */
export async function readOrder(db: Statements, orderId: string, texts: Texts = 'closed'): Promise<StoredOrder | null> {
  const [row] = await db.$queryRaw<OrderRow[]>`SELECT ${orderColumns} FROM orders WHERE id = ${orderId}::uuid`;
  return row ? toOrder(db, row, texts) : null;
}

/**
 * @returns the order, and whether it is this client's id's; null if there is none. Of another's order no text is opened
 * @throws KeyUnavailable as readOrder
 */
export async function readOrderFor(
  db: Statements,
  orderId: string,
  clientId: string,
  texts: Texts = 'closed',
): Promise<{ order: StoredOrder; isOwn: boolean } | null> {
  const key = await identityKeyOf(db);
  const [row] = await db.$queryRaw<OrderRow[]>`SELECT ${orderColumns} FROM orders WHERE id = ${orderId}::uuid`;
  if (!row) return null;
  const isOwn = isOf(key, clientId, { held: row.customer, behind: row.behind });
  // Whose it is has been found by a hash of who asks: their own id needs no key.
  const own = isOwn ? { known: knownCustomer(key, clientId) } : undefined;
  return { order: await toOrder(db, row, isOwn ? texts : 'closed', own), isOwn };
}

/**
 * Those of the orders that are CONFIRMED or CANCELLED, in one statement however many they are; without those that have a text which
 * cannot be opened now.
 */
export async function readFinalOrders(db: Statements, orderIds: string[]): Promise<StoredOrder[]> {
  const rows = await db.$queryRaw<OrderRow[]>`
    SELECT ${orderColumns}
    FROM orders WHERE id = ANY(${ofAnyLength(Prisma.sql`${orderIds}::uuid[]`)}::uuid[]) AND status <> 'PENDING'`;
  const orders = await Promise.all(
    rows.map((row) =>
      toOrder(db, row, 'opened').catch((err: unknown) => {
        if (err instanceof KeyUnavailable) return null;
        throw err;
      }),
    ),
  );
  return orders.filter((order) => order !== null);
}

/** How many orders hold this reference. */
export async function countOrders(db: Statements, customer: string): Promise<number> {
  const [row] = await db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM orders WHERE customer_id = ${customer}`;
  return row?.count ?? 0;
}

/** By what orders are looked for; all of it must fit. */
export type OrderFilter = {
  status?: OrderStatus;
  /** The client's id: of all its references, and of orders older than those. */
  customerId?: string;
  /** The reference that orders hold of their customer, as events and Temporal have it. */
  customerReference?: string;
  /** Of any customer, and whatever has become of the order. */
  externalOrderId?: string;
  /** The gateway's id of the charge, or of the refund, that is on record. */
  gatewayReference?: string;
  /** Of the request that placed it. */
  correlationId?: string;
  /** Of any event of the order. */
  eventId?: string;
  /** With a line of it. No index has it: orders are read newest first, so give `createdFromMs` with it. */
  sku?: string;
  /** Accepted at or after, and before: ms since 1970. */
  createdFromMs?: number;
  createdToMs?: number;
  /** Only orders older than this one (ids are time-ordered); a page boundary that inserts don't move. */
  beforeId?: string | undefined;
};

/** An id is made by the clock of the process that accepts, `created_at` by the database's: they differ by less than that. */
const CLOCKS_DIFFER_MS = 10 * 60_000;

/** @returns the lowest UUIDv7 of that moment */
const lowestIdAt = (ms: number): string => {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0').slice(-12);
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
};

/** Orders that fit, newest first. @throws KeyUnavailable as readOrder */
export async function listOrders(
  db: Statements,
  filter: OrderFilter,
  limit: number,
  texts: Texts = 'closed',
): Promise<StoredOrder[]> {
  const { status, customerId, externalOrderId, gatewayReference, correlationId, eventId, sku } = filter;
  const { customerReference, createdFromMs, createdToMs, beforeId } = filter;
  const wanted = [
    ...(customerReference === undefined ? [] : [Prisma.sql`customer_id = ${customerReference}`]),
    ...(status === undefined ? [] : [Prisma.sql`status = ${status}`]),
    ...(externalOrderId === undefined ? [] : [Prisma.sql`external_order_id = ${externalOrderId}`]),
    ...(gatewayReference === undefined ? [] : [Prisma.sql`id IN (${ordersOfReference(gatewayReference)})`]),
    ...(correlationId === undefined ? [] : [Prisma.sql`correlation_id = ${correlationId}`]),
    ...(eventId === undefined ? [] : [ofEvent(eventId)]),
    ...(sku === undefined
      ? []
      : [Prisma.sql`EXISTS (SELECT FROM order_lines l WHERE l.order_id = orders.id AND l.sku = ${sku})`]),
    ...(createdFromMs === undefined ? [] : [createdFrom(createdFromMs)]),
    ...(createdToMs === undefined ? [] : [createdBefore(createdToMs)]),
    ...(beforeId === undefined ? [] : [Prisma.sql`id < ${beforeId}::uuid`]),
  ];
  const newest = (conditions: Prisma.Sql[]) => Prisma.sql`
    FROM orders ${conditions.length === 0 ? Prisma.empty : Prisma.sql`WHERE ${Prisma.join(conditions, ' AND ')}`}
    ORDER BY id DESC LIMIT ${limit}`;
  if (customerId === undefined) {
    const rows = await db.$queryRaw<OrderRow[]>`SELECT ${orderColumns} ${newest(wanted)}`;
    return Promise.all(rows.map((row) => toOrder(db, row, texts)));
  }
  const key = await identityKeyOf(db);
  // Of each reference the newest: an index has them in order for one at a time.
  const rows = await db.$queryRaw<OrderRow[]>`
    SELECT ${orderColumns} FROM (${customerIdsOf(key, customerId)}) AS whose CROSS JOIN LATERAL (
      SELECT * ${newest([Prisma.sql`customer_id = whose.reference`, ...wanted])}
    ) AS orders
    ORDER BY id DESC LIMIT ${limit}`;
  const own = { known: knownCustomer(key, customerId) };
  return Promise.all(rows.map((row) => toOrder(db, row, texts, own)));
}

function ofEvent(event: string): Prisma.Sql {
  const { orderId, sequence } = partsOfEventId(event);
  return Prisma.sql`id = ${orderId}::uuid AND event_count >= ${sequence}::int`;
}

const ordersOfReference = (reference: string): Prisma.Sql => Prisma.sql`
  SELECT order_id FROM payments WHERE gateway_reference = ${reference}
  UNION SELECT order_id FROM payments WHERE refund_reference = ${reference}
  UNION SELECT order_id FROM charge_refunds WHERE gateway_reference = ${reference}
  UNION SELECT CASE WHEN order_id ~* ${UUID_PATTERN} THEN order_id::uuid END FROM reconciliation_findings WHERE gateway_reference = ${reference}`;
const UUID_PATTERN = '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$';

/** The id is found by its index, and `created_at` decides. */
export const createdFrom = (ms: number): Prisma.Sql => Prisma.sql`
  id >= ${lowestIdAt(ms - CLOCKS_DIFFER_MS)}::uuid AND created_at >= ${new Date(ms).toISOString()}::timestamptz`;
export const createdBefore = (ms: number): Prisma.Sql => Prisma.sql`
  id < ${lowestIdAt(ms + CLOCKS_DIFFER_MS)}::uuid AND created_at < ${new Date(ms).toISOString()}::timestamptz`;

/** Of the columns of `orders`: accepted in this span, found by ids. */
export const createdWithin = ({ fromMs, toMs }: { fromMs: number; toMs: number }): Prisma.Sql =>
  Prisma.sql`${createdFrom(fromMs)} AND ${createdBefore(toMs)}`;

/** The lines as one value each: rows of their own, and objects for them, would cost the process five times as much. */
export const orderColumns = Prisma.sql`
  id, status, customer_id AS customer, ${customerBehind(Prisma.sql`customer_id`)} AS behind, unwinding_reason AS "unwindingReason",
  cancellation_message AS "cancellationMessage", total_amount AS "totalAmount", currency,
  external_order_id AS "externalOrderId", created_at AS "createdAt", updated_at AS "updatedAt",
  correlation_id AS "correlationId", (
    SELECT json_agg(json_build_object('sku', sku, 'quantity', quantity, 'unitPrice', unit_price) ORDER BY line_no)
    FROM order_lines WHERE order_id = orders.id) AS lines`;

export type OrderRow = Pick<
  Prisma.OrderModel,
  | 'id'
  | 'status'
  | 'unwindingReason'
  | 'cancellationMessage'
  | 'totalAmount'
  | 'currency'
  | 'externalOrderId'
  | 'createdAt'
  | 'updatedAt'
  | 'correlationId'
> & { customer: string; behind: CustomerBehind | null; lines: OrderLine[] | null };

/** @throws KeyUnavailable if it has a text that is to be opened, and cannot be now */
export async function toOrder(
  db: Statements,
  row: OrderRow,
  texts: Texts,
  reading: Reading = texts,
): Promise<StoredOrder> {
  const reason = row.unwindingReason as CancellationReason | null;
  const cancellation =
    row.status === 'CANCELLED' && reason
      ? { reason, message: (await readMessage(db, row, texts)) ?? CANCELLATION_MESSAGES[reason] }
      : undefined;
  const { customerId } = await openCustomer(db, { held: row.customer, behind: row.behind }, reading);
  return {
    id: row.id,
    status: row.status as OrderStatus,
    customerId,
    customer: row.customer,
    items: row.lines ?? [],
    total: { amount: Number(row.totalAmount), currency: row.currency },
    ...(row.externalOrderId !== null && { externalOrderId: row.externalOrderId }),
    ...(cancellation && { cancellation }),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    correlationId: row.correlationId,
  };
}

/** @returns null = there is none, or it is to stay closed */
async function readMessage(
  db: Statements,
  { id: orderId, customer: held, cancellationMessage: stored }: OrderRow,
  texts: Texts,
): Promise<string | null> {
  if (stored === null || (texts === 'closed' && isSealed(stored))) return null;
  return openCancellationMessage(db, { orderId, held, stored });
}

/** @returns the W3C trace context of the order's acceptance; null if that was not traced */
export async function readTraceOf(db: Statements, orderId: string): Promise<string | null> {
  const [order] = await db.$queryRaw<{ traceparent: string | null }[]>`
    SELECT traceparent FROM orders WHERE id = ${orderId}::uuid`;
  return order?.traceparent ?? null;
}
