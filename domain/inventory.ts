/**
 * Catalogue and stock. An order holds stock if and only if it has RESERVED or SOLD rows in `reservations`; the counters
 * in `inventory` are their sums, moved by the same statement, and CHECKs keep available + reserved + sold = on hand.
 */
import type { CancellationReason } from '../contracts/orders.js';
import { Prisma } from '../prisma/generated/client.js';
import { type Database, type Statements, violatedUniqueKey } from './database.js';
import { orderChanged, queryChanging } from './order-changes.js';
import { readOrderState, type StepOutcome, type UndoOutcome } from './orders.js';
import { countEvent, eventColumns, insertEvent } from './outbox.js';
import { FIRST_RUN, insertLog, type Run, skipMark } from './saga-log.js';

/**
 * Reserves every line of a pending order, or none: then the same transaction turns the order to unwinding with the
 * refusal as its reason, so that a second run of this step can only say the same again.
 * Takes the order's row, then the stock rows in SKU order: two orders with the same SKUs never wait for each other in a
 * circle.
 */
export async function reserveInventory(db: Statements, orderId: string, run: Run = FIRST_RUN): Promise<StepOutcome> {
  if (run.skippedBy !== undefined) return skipReservation(db, orderId, run);
  let rows: { refusal: CancellationReason | null }[];
  try {
    rows = await queryChanging(
      db,
      Prisma.sql`
    WITH guarded AS (
      SELECT id FROM orders
      WHERE id = ${orderId}::uuid AND status = 'PENDING' AND unwinding_reason IS NULL
        AND NOT EXISTS (SELECT FROM reservations WHERE order_id = ${orderId}::uuid)
      FOR UPDATE
    ), stock AS (
      SELECT i.sku, l.quantity, i.available
      FROM guarded JOIN order_lines l ON l.order_id = guarded.id JOIN inventory i ON i.sku = l.sku
      ORDER BY i.sku FOR UPDATE OF i
    ), missing AS (
      SELECT l.sku, CASE WHEN s.sku IS NULL THEN 'UNKNOWN_SKU' ELSE 'OUT_OF_STOCK' END AS reason
      FROM guarded JOIN order_lines l ON l.order_id = guarded.id LEFT JOIN stock s ON s.sku = l.sku
      WHERE s.sku IS NULL OR s.available < l.quantity
    ), decided AS (
      -- max: an unknown SKU outweighs a short one; 'UNKNOWN_SKU' sorts after 'OUT_OF_STOCK'
      SELECT id, (SELECT max(reason) FROM missing) AS refusal FROM guarded
    ), taken AS (
      UPDATE inventory i SET available = i.available - s.quantity, reserved = i.reserved + s.quantity, updated_at = now()
      FROM stock s, decided d WHERE i.sku = s.sku AND d.refusal IS NULL
    ), held AS (
      INSERT INTO reservations (order_id, sku, quantity, state)
      SELECT d.id, s.sku, s.quantity, 'RESERVED' FROM stock s, decided d WHERE d.refusal IS NULL
    ), moved AS (
      UPDATE orders o SET unwinding_reason = d.refusal, saga_started_at = coalesce(o.saga_started_at, now()), ${countEvent}
      FROM decided d WHERE o.id = d.id
      RETURNING ${eventColumns}, d.refusal
    ), event AS (
      ${insertEvent(
        Prisma.sql`moved`,
        Prisma.sql`CASE WHEN refusal IS NULL THEN 'inventory.reserved' ELSE 'inventory.reservation.failed' END`,
        Prisma.sql`CASE WHEN refusal IS NULL
          THEN jsonb_build_object('orderId', id, 'items', (SELECT jsonb_agg(jsonb_build_object('sku', sku, 'quantity', quantity) ORDER BY sku) FROM stock))
          ELSE jsonb_build_object('orderId', id, 'reason', refusal, 'skus', (SELECT jsonb_agg(sku ORDER BY sku) FROM missing)) END`,
      )}
    ), logged AS (
      ${insertLog(
        Prisma.sql`moved`,
        'reserveInventory',
        Prisma.sql`CASE WHEN refusal IS NULL THEN 'completed' ELSE 'refused' END`,
        run,
        Prisma.sql`refusal`,
      )}
    )
    SELECT refusal, ${orderChanged(db)} AS changed FROM moved`,
    );
  } catch (err) {
    // The same step is running elsewhere and was faster; its commit is visible now.
    if (violatedUniqueKey(err) !== 'reservations_pkey') throw err;
    rows = [];
  }
  const [decided] = rows;
  if (decided) return decided.refusal === null ? { outcome: 'done' } : { outcome: 'refused', reason: decided.refusal };
  return outcomeOfOtherRun(db, orderId);
}

/** What an earlier or faster run of the step has come to. */
async function outcomeOfOtherRun(db: Statements, orderId: string): Promise<StepOutcome> {
  const { status, unwindingReason } = await readOrderState(db, orderId);
  if (status === 'CONFIRMED' || unwindingReason === null) return { outcome: 'done' };
  return { outcome: 'refused', reason: unwindingReason };
}

/** The pieces have been set aside by hand: the order goes on without holding any of ours, and can never take them again. */
async function skipReservation(db: Statements, orderId: string, run: Run): Promise<StepOutcome> {
  await queryChanging(
    db,
    Prisma.sql`
    WITH moved AS (
      UPDATE orders o SET saga_started_at = coalesce(o.saga_started_at, now()), ${countEvent}
      WHERE id = ${orderId}::uuid AND status = 'PENDING' AND unwinding_reason IS NULL
        AND NOT EXISTS (SELECT FROM reservations r WHERE r.order_id = o.id)
      RETURNING ${eventColumns}
    ), tombstones AS (
      INSERT INTO reservations (order_id, sku, quantity, state)
      SELECT id, l.sku, l.quantity, 'RELEASED' FROM moved JOIN order_lines l ON l.order_id = moved.id
    ), event AS (
      ${insertEvent(
        Prisma.sql`moved`,
        'inventory.reserved',
        Prisma.sql`jsonb_build_object('orderId', id, 'items', (SELECT jsonb_agg(jsonb_build_object('sku', sku, 'quantity', quantity) ORDER BY sku)
          FROM order_lines WHERE order_id = ${orderId}::uuid)) ${skipMark(run)}`,
      )}
    ), logged AS (
      ${insertLog(Prisma.sql`moved`, 'reserveInventory', 'skipped', run)}
    )
    SELECT ${orderChanged(db)} AS changed FROM moved`,
  );
  return outcomeOfOtherRun(db, orderId);
}

/**
 * Releases what the unwinding order holds, and leaves a RELEASED row per line as tombstone.
 * @returns `nothing` if it held nothing (then no event is written)
 */
export async function releaseInventory(db: Statements, orderId: string, run: Run = FIRST_RUN): Promise<UndoOutcome> {
  const [released] = await queryChanging<{ pieces: number }>(
    db,
    Prisma.sql`
    WITH guarded AS (
      SELECT id FROM orders WHERE id = ${orderId}::uuid AND unwinding_reason IS NOT NULL AND status <> 'CANCELLED' FOR UPDATE
    ), held AS (
      SELECT r.sku, r.quantity, r.state FROM guarded JOIN reservations r ON r.order_id = guarded.id
      WHERE r.state <> 'RELEASED' FOR UPDATE OF r
    ), freed AS (
      UPDATE reservations r SET state = 'RELEASED' FROM held h WHERE r.order_id = ${orderId}::uuid AND r.sku = h.sku
    ), tombstones AS (
      INSERT INTO reservations (order_id, sku, quantity, state)
      SELECT guarded.id, l.sku, l.quantity, 'RELEASED' FROM guarded JOIN order_lines l ON l.order_id = guarded.id
      ON CONFLICT DO NOTHING
    ), locked AS (
      SELECT i.sku, h.quantity, h.state FROM held h JOIN inventory i USING (sku) ORDER BY i.sku FOR UPDATE OF i
    ), stock AS (
      UPDATE inventory i SET available = i.available + l.quantity, updated_at = now(),
        reserved = i.reserved - CASE l.state WHEN 'RESERVED' THEN l.quantity ELSE 0 END,
        sold = i.sold - CASE l.state WHEN 'SOLD' THEN l.quantity ELSE 0 END
      FROM locked l WHERE i.sku = l.sku
    ), moved AS (
      UPDATE orders o SET ${countEvent} FROM guarded WHERE o.id = guarded.id AND EXISTS (SELECT FROM held)
      RETURNING ${eventColumns}
    ), event AS (
      ${insertEvent(
        Prisma.sql`moved`,
        'inventory.released',
        Prisma.sql`jsonb_build_object('orderId', id, 'items', (SELECT jsonb_agg(jsonb_build_object('sku', sku, 'quantity', quantity) ORDER BY sku) FROM held)) ${skipMark(run)}`,
      )}
    ), unlogged AS (
      SELECT id FROM guarded WHERE EXISTS (SELECT FROM held)
        OR NOT EXISTS (SELECT FROM saga_log s WHERE s.order_id = guarded.id AND s.step = 'releaseInventory')
    ), logged AS (
      ${insertLog(
        Prisma.sql`unlogged`,
        'releaseInventory',
        Prisma.sql`CASE WHEN EXISTS (SELECT FROM held) THEN 'undone' ELSE 'nothing-to-undo' END`,
        run,
      )}
    )
    SELECT (SELECT count(*)::int FROM held) AS pieces, (SELECT ${orderChanged(db)} FROM moved) AS changed FROM guarded`,
  );
  if (released && released.pieces > 0) return 'done';
  // Nothing is held: never was, or an earlier run has released it and its answer was lost.
  if (released) return (await wasReleased(db, orderId)) ? 'done' : 'nothing';
  const orderState = await readOrderState(db, orderId);
  if (orderState.status === 'CANCELLED') return 'nothing';
  throw new Error(`Bug! Stock of order ${orderId} was to be released although it is not unwinding`);
}

async function wasReleased(db: Statements, orderId: string): Promise<boolean> {
  const events = await db.$queryRaw<unknown[]>`
    SELECT FROM outbox WHERE order_id = ${orderId}::uuid AND type = 'inventory.released' LIMIT 1`;
  return events.length > 0;
}

/** A SKU as the catalogue and its stock stand: `onHand` = available + reserved + sold. Price in the minor unit. */
export type Sku = {
  sku: string;
  name: string;
  unitPrice: number;
  currency: string;
  onHand: number;
  available: number;
  reserved: number;
  sold: number;
};

/** @returns the SKUs after `afterSku` in SKU order */
export async function listInventory(db: Database, afterSku: string | undefined, limit: number): Promise<Sku[]> {
  const where = afterSku === undefined ? {} : { sku: { gt: afterSku } };
  return (await db.inventory.findMany({ where, orderBy: { sku: 'asc' }, take: limit })).map(toSku);
}

/** @returns the SKU, or null if it is not in the catalogue */
export async function readSku(db: Database, sku: string): Promise<Sku | null> {
  const row = await db.inventory.findUnique({ where: { sku } });
  return row && toSku(row);
}

/** The SKU as it stands until this transaction ends, whoever else wants to enter it, or null if it is not in the catalogue. */
export async function lockSku(tx: Database, sku: string): Promise<Sku | null> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`inventory ${sku}`}, 0))`; // there may be no row to lock
  await tx.$queryRaw`SELECT FROM inventory WHERE sku = ${sku} FOR UPDATE`;
  return readSku(tx, sku);
}

/** @returns the SKUs of the order's lines */
export async function readSkus(db: Database, orderId: string): Promise<string[]> {
  const lines = await db.orderLine.findMany({ where: { orderId }, select: { sku: true } });
  return lines.map(({ sku }) => sku);
}

/** @returns those of these SKUs whose stock another transaction has locked at this moment */
export async function listLockedSkus(db: Statements, skus: string[]): Promise<string[]> {
  const rows = await db.$queryRaw<{ sku: string }[]>`
    WITH free AS MATERIALIZED (SELECT sku FROM inventory WHERE sku = ANY(${skus}) FOR UPDATE SKIP LOCKED)
    SELECT sku FROM inventory WHERE sku = ANY(${skus}) AND sku NOT IN (SELECT sku FROM free)`;
  return rows.map(({ sku }) => sku);
}

/** In the currency's minor unit, a piece. */
export type Price = { sku: string; unitPrice: number; currency: string };

/** @returns the catalogue's prices of these SKUs; what it does not know is absent */
export async function readPrices(db: Statements, skus: string[]): Promise<Price[]> {
  const rows = await db.$queryRaw<(Omit<Price, 'unitPrice'> & { unitPrice: bigint })[]>`
    SELECT sku, unit_price AS "unitPrice", currency FROM inventory WHERE sku = ANY(${skus})`;
  return rows.map((row) => ({ ...row, unitPrice: Number(row.unitPrice) }));
}

/** What a SKU must be at the moment of its change: anything; in the catalogue; not in it; or just what was read before. */
export type ExpectedSku = 'anything' | 'present' | 'absent' | Sku;

export type SkuChange = { name: string; unitPrice: number; currency: string; onHand: number };

/**
 * Creates or changes a SKU. Pieces added or removed are available ones.
 * @returns null, and changes nothing, if the SKU is not what is expected, or if `onHand` is below what is reserved and sold already
 */
export async function putSku(
  db: Database,
  sku: string,
  entry: SkuChange,
  expected: ExpectedSku = 'anything',
): Promise<Sku | null> {
  const inserted = Prisma.sql`
    INSERT INTO inventory AS i (sku, name, unit_price, currency, on_hand_total, available)
    VALUES (${sku}, ${entry.name}, ${entry.unitPrice}::bigint, ${entry.currency}, ${entry.onHand}::bigint, ${entry.onHand}::bigint)`;
  const changed = Prisma.sql`
    name = ${entry.name}, unit_price = ${entry.unitPrice}::bigint, currency = ${entry.currency}, updated_at = now(),
    on_hand_total = ${entry.onHand}::bigint, available = ${entry.onHand}::bigint - i.reserved - i.sold`;
  const covers = Prisma.sql`${entry.onHand}::bigint >= i.reserved + i.sold`;
  const statement =
    expected === 'absent'
      ? Prisma.sql`${inserted} ON CONFLICT (sku) DO NOTHING`
      : expected === 'anything'
        ? Prisma.sql`${inserted} ON CONFLICT (sku) DO UPDATE SET ${changed} WHERE ${covers}`
        : Prisma.sql`UPDATE inventory i SET ${changed} WHERE sku = ${sku} AND ${covers} AND ${isStill(expected)}`;
  const rows = await db.$queryRaw<unknown[]>`${statement} RETURNING i.sku`;
  return rows.length === 0 ? null : readSku(db, sku);
}

/** Of the row as it stands when the statement has it: a change that came in between is seen. */
const isStill = (expected: 'present' | Sku): Prisma.Sql =>
  expected === 'present'
    ? Prisma.sql`true`
    : Prisma.sql`(i.name, i.currency) = (${expected.name}, ${expected.currency})
        AND (i.unit_price, i.on_hand_total, i.available, i.reserved, i.sold) = (${expected.unitPrice}::bigint,
          ${expected.onHand}::bigint, ${expected.available}::bigint, ${expected.reserved}::bigint, ${expected.sold}::bigint)`;

/** As PUT /inventory takes it at most. */
const ON_HAND_MAX = 1_000_000_000_000;

/**
 * Adds pieces to the stock of a SKU, or removes them: found, lost, broken, counted anew. They are available ones.
 * @param by below 0 = removed
 * @returns null, and changes nothing, if there is no such SKU, if fewer are available, or if more cannot be kept
 */
export async function adjustStock(db: Database, sku: string, by: number): Promise<Sku | null> {
  const rows = await db.$queryRaw<unknown[]>`
    UPDATE inventory SET on_hand_total = on_hand_total + ${by}::bigint, available = available + ${by}::bigint, updated_at = now()
    WHERE sku = ${sku} AND available + ${by}::bigint >= 0 AND on_hand_total + ${by}::bigint <= ${ON_HAND_MAX}::bigint RETURNING sku`;
  return rows.length === 0 ? null : readSku(db, sku);
}

function toSku(row: Prisma.InventoryModel): Sku {
  return {
    sku: row.sku,
    name: row.name,
    unitPrice: Number(row.unitPrice),
    currency: row.currency,
    onHand: Number(row.onHandTotal),
    available: Number(row.available),
    reserved: Number(row.reserved),
    sold: Number(row.sold),
  };
}
