/**
 * What we know of an order's charge. The gateway's ledger is the truth; a row here records an outcome that we have seen.
 * No row = no outcome known: the charge may or may not have happened.
 */
import type { CancellationReason, OrderStatus } from '../contracts/orders.js';
import { Prisma } from '../prisma/generated/client.js';
import type { BrakeName } from '../contracts/brakes.js';
import { chargeBrakes } from './brakes.js';
import { type Statements, violatedUniqueKey } from './database.js';
import { confirmedData, confirmedWith, sellReserved } from './confirmation.js';
import { lostBefore, requireEarlier, standsOnEarlier } from './holdings.js';
import { readOrderState, type StepOutcome } from './orders.js';
import { orderChanged, queryChanging } from './order-changes.js';
import { countEvent, countEvents, eventColumns, insertEvent, insertEvents } from './outbox.js';
import { FIRST_RUN, insertLog, insertLogs, type Run, skipMark } from './saga-log.js';

/** SETTLED_OUTSIDE: an operator vouches for the money; the gateway's ledger need not agree. */
export type PaymentStatus = 'CHARGED' | 'DECLINED' | 'VOIDED' | 'REFUNDING' | 'REFUNDED' | 'SETTLED_OUTSIDE';

/** The newest way of charging an order that this build knows. */
export const CHARGE_VERSION_MAX = 3;

/** Stands where a refund's reference would: the money went back by another way. */
const SETTLED_OUTSIDE = 'settled-outside';

/** All that charging, looking up or refunding an order takes. Amount in the minor unit. */
export type PaymentDue = {
  orderId: string;
  orderStatus: OrderStatus;
  amount: number;
  currency: string;
  paymentMethod: string;
  createdAt: Date;
  /** With which its charge is marked at the gateway; null: accepted before there were marks. */
  installationId: string | null;
  /** What is sent to charge it (domain/acceptance), and what that carries of the order's correlation id. */
  chargeVersion: number;
  correlationId: string | null;
  status: PaymentStatus | null;
  gatewayReference: string | null;
  refundReference: string | null;
  /** An attempt to charge it is on record (domain/charge-attempts). */
  wasAttempted: boolean;
  /** The database's clock. */
  now: Date;
  unwindingReason: CancellationReason | null;
  /** Steps before the charge whose holdings are not in the database. */
  lostBefore: string[];
  /** Brakes that are engaged and hold charges. */
  heldBy: BrakeName[];
};

/** @throws if there is no such order */
export async function readPaymentDue(db: Statements, orderId: string): Promise<PaymentDue> {
  const [due] = await db.$queryRaw<(Omit<PaymentDue, 'amount'> & { amount: bigint })[]>`
    SELECT o.id AS "orderId", o.status AS "orderStatus", o.total_amount AS amount, o.currency, o.payment_method AS "paymentMethod",
      o.created_at AS "createdAt", o.installation_id AS "installationId", o.charge_version AS "chargeVersion",
      o.charge_correlation_id AS "correlationId", p.status, p.gateway_reference AS "gatewayReference",
      p.refund_reference AS "refundReference", EXISTS (SELECT FROM charge_attempts a WHERE a.order_id = o.id) AS "wasAttempted",
      clock_timestamp() AS now, o.unwinding_reason AS "unwindingReason", ${lostBefore('chargePayment')} AS "lostBefore",
      ${chargeBrakes} AS "heldBy"
    FROM orders o LEFT JOIN payments p ON p.order_id = o.id
    WHERE o.id = ${orderId}::uuid`;
  if (!due) throw new Error(`Order ${orderId} does not exist`);
  return { ...due, amount: Number(due.amount) };
}

const money = Prisma.sql`jsonb_build_object('amount', total_amount, 'currency', currency)`;

/**
 * Records that the gateway has taken the money.
 * @param gatewayReference the gateway's id of the charge; null for a total of 0, which skips the gateway
 * @param confirm pass the pivot in the same transaction: the order is paid, so nothing but unwinding could be in the way,
 *                and this statement is what asks for that
 * @param forward there are steps after the pivot
 * @returns refused if the order is unwinding: the money is then to be given back by the caller
 * @throws HoldingLost if what the steps before it hold is not there. The charge stays: the order's saga finds it, or its undo does
 */
export async function recordCharge(
  db: Statements,
  orderId: string,
  gatewayReference: string | null,
  run: Run = FIRST_RUN,
  { confirm = false, forward = false } = {},
): Promise<StepOutcome> {
  const status = run.skippedBy === undefined ? 'CHARGED' : 'SETTLED_OUTSIDE';
  const charged = {
    type: 'payment.charged',
    data: Prisma.sql`jsonb_build_object('orderId', id, 'amount', ${money}, 'gatewayReference', ${gatewayReference}::text) ${skipMark(run)}`,
  } as const;
  const confirmed = { type: 'order.confirmed', data: confirmedData } as const;
  return recordOutcome(
    db,
    orderId,
    Prisma.sql`
    WITH moved AS (
      UPDATE orders o SET ${confirm ? Prisma.sql`${confirmedWith(forward)},` : Prisma.empty} ${countEvents(confirm ? 2 : 1)}
      WHERE id = ${orderId}::uuid AND status = 'PENDING' AND unwinding_reason IS NULL
        AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id)
        AND ${standsOnEarlier('chargePayment')}
      RETURNING ${eventColumns}, total_amount, currency
    ), ${confirm ? Prisma.sql`${sellReserved},` : Prisma.empty} payment AS (
      INSERT INTO payments (order_id, status, amount, currency, gateway_reference)
      SELECT id, ${status}, total_amount, currency, ${gatewayReference} FROM moved
    ), event AS (
      ${insertEvents(Prisma.sql`moved`, confirm ? [charged, confirmed] : [charged])}
    ), logged AS (
      ${insertLogs(Prisma.sql`moved`, [
        { step: 'chargePayment', run },
        ...(confirm ? [{ step: 'confirmOrder', run: FIRST_RUN } as const] : []),
      ])}
    )
    SELECT NULL AS refusal, ${confirm}::boolean AS confirmed, ${orderChanged(db, { isFinal: confirm })} AS changed FROM moved`,
  );
}

/**
 * Records the gateway's final "no", and turns the order to unwinding in the same transaction.
 * @param declineCode the gateway's code for it, e.g. `insufficient_funds`
 */
export async function recordDecline(
  db: Statements,
  orderId: string,
  declineCode: string,
  run: Run = FIRST_RUN,
): Promise<StepOutcome> {
  return recordOutcome(
    db,
    orderId,
    Prisma.sql`
    WITH moved AS (
      UPDATE orders o SET unwinding_reason = 'PAYMENT_DECLINED', ${countEvent}
      WHERE id = ${orderId}::uuid AND status = 'PENDING' AND unwinding_reason IS NULL
        AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id)
      RETURNING ${eventColumns}, total_amount, currency
    ), payment AS (
      INSERT INTO payments (order_id, status, amount, currency, decline_code)
      SELECT id, 'DECLINED', total_amount, currency, ${declineCode} FROM moved
    ), event AS (
      ${insertEvent(
        Prisma.sql`moved`,
        'payment.declined',
        Prisma.sql`jsonb_build_object('orderId', id, 'amount', ${money}, 'declineCode', ${declineCode}::text)`,
      )}
    ), logged AS (
      ${insertLog(Prisma.sql`moved`, 'chargePayment', 'refused', run, Prisma.sql`${`PAYMENT_DECLINED: ${declineCode}`}`)}
    )
    SELECT 'PAYMENT_DECLINED' AS refusal, false AS confirmed, ${orderChanged(db)} AS changed FROM moved`,
  );
}

async function recordOutcome(db: Statements, orderId: string, statement: Prisma.Sql): Promise<StepOutcome> {
  let rows: { refusal: CancellationReason | null; confirmed: boolean }[];
  try {
    rows = await queryChanging(db, statement);
  } catch (err) {
    // The same step is running elsewhere and was faster; its commit is visible now.
    if (violatedUniqueKey(err) !== 'payments_pkey') throw err;
    rows = [];
  }
  const [decided] = rows;
  if (decided && decided.refusal !== null) return { outcome: 'refused', reason: decided.refusal };
  if (decided) return { outcome: 'done', ...(decided.confirmed && { confirmed: true }) };
  const { status, unwindingReason } = await readOrderState(db, orderId);
  if (status === 'CONFIRMED') return { outcome: 'done', confirmed: true };
  if (unwindingReason !== null) return { outcome: 'refused', reason: unwindingReason };
  await requireEarlier(db, orderId, 'chargePayment');
  return { outcome: 'done' };
}

/**
 * Closes the payment of an unwinding order to charges before the gateway is asked for anything: CHARGED → REFUNDING, nothing known →
 * VOIDED (the tombstone that a late charge finds). Repeatable.
 * @returns how the payment stands now
 */
export async function shutPayment(db: Statements, orderId: string): Promise<PaymentStatus> {
  const [row] = await db.$queryRaw<{ status: PaymentStatus }[]>`
    INSERT INTO payments AS p (order_id, status, amount, currency)
    SELECT id, 'VOIDED', total_amount, currency FROM orders WHERE id = ${orderId}::uuid AND unwinding_reason IS NOT NULL
    ON CONFLICT (order_id) DO UPDATE SET
      status = CASE p.status WHEN 'CHARGED' THEN 'REFUNDING' ELSE p.status END, updated_at = now()
    RETURNING status`;
  if (!row) throw new Error(`Bug! The payment of order ${orderId} was to be undone although it is not unwinding`);
  return row.status;
}

/** What came of giving back: `gaveBack` is what refunds of ours have returned, in the minor unit. */
export type Refunded = { charge: string | null; refund: string | null; gaveBack: number; pending?: boolean };

/**
 * Records that the gateway holds nothing of the charge any more; also for a charge that was found only now, on a VOIDED
 * payment. An order that is cancelled already gets no event any more: what its events have said stays true. Nor does one
 * whose money others had given back before: the event says what this saga has done.
 */
export async function recordRefund(
  db: Statements,
  orderId: string,
  { charge, refund, gaveBack, pending = false }: Refunded,
  run: Run = FIRST_RUN,
): Promise<void> {
  const status = run.skippedBy === undefined ? 'REFUNDED' : 'SETTLED_OUTSIDE';
  const refundStatus = refund === null ? null : pending ? 'pending' : 'succeeded';
  await queryChanging(
    db,
    Prisma.sql`
    WITH refunded AS (
      UPDATE payments SET status = ${status}, updated_at = now(), refund_reference = ${refund ?? (run.skippedBy === undefined ? null : SETTLED_OUTSIDE)},
        refunded_amount = ${gaveBack}::bigint, gateway_reference = coalesce(gateway_reference, ${charge})
      WHERE order_id = ${orderId}::uuid AND status IN ('REFUNDING', 'VOIDED', 'SETTLED_OUTSIDE')
        AND refund_reference IS NULL
      RETURNING order_id, amount
    ), moved AS (
      UPDATE orders o SET ${countEvent} FROM refunded
      WHERE o.id = refunded.order_id AND o.status <> 'CANCELLED' AND (${gaveBack}::bigint > 0 OR refunded.amount = 0)
      RETURNING ${eventColumns}, currency
    ), event AS (
      ${insertEvent(
        Prisma.sql`moved`,
        'payment.refunded',
        Prisma.sql`jsonb_strip_nulls(jsonb_build_object('refundStatus', ${refundStatus}::text)) || jsonb_build_object('orderId', id,
          'amount', jsonb_build_object('amount', ${gaveBack}::bigint, 'currency', currency),
          'gatewayReference', ${charge}::text, 'refundReference', ${refund}::text) ${skipMark(run)}`,
      )}
    ), logged AS (
      ${insertLog(
        Prisma.sql`(SELECT order_id AS id, amount FROM refunded) AS r`,
        'refundPayment',
        Prisma.sql`CASE WHEN ${gaveBack}::bigint > 0 OR amount = 0 THEN 'undone' ELSE 'nothing-to-undo' END`,
        run,
      )}
    )
    SELECT ${orderChanged(db)} AS changed FROM moved`,
  );
}

/** Keeps in the log that there was no money to give back. */
export async function recordNothingToRefund(db: Statements, orderId: string, run: Run): Promise<void> {
  await db.$executeRaw`
    ${insertLog(Prisma.sql`orders WHERE id = ${orderId}::uuid`, 'refundPayment', 'nothing-to-undo', run)}`;
}
