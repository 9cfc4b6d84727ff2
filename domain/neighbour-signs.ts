/** Signs of life that work leaves in Postgres: when a step, a charge, a delivery last came to its end. For operators who look. */
import { STEPS, UNDOS } from '../contracts/plan.js';
import type { Database } from './database.js';

/** The newest entries of a log or a table that are looked at: what is not among them is not known. */
const NEWEST_MAX = 100;

export type Signs = {
  /** A worker has done a step or an undo. */
  stepAt: Date | null;
  /** A worker has tried a step or an undo, whatever came of it. */
  triedAt: Date | null;
  /** The gateway has charged something, or declined it. */
  chargeAt: Date | null;
};

export async function readSigns(db: Database): Promise<Signs> {
  const [row] = await db.$queryRaw<Signs[]>`
    SELECT (SELECT max(at) FROM (SELECT at, step FROM saga_log ORDER BY id DESC LIMIT ${NEWEST_MAX}) AS newest
        WHERE step = ANY(${[...STEPS, ...UNDOS]})) AS "stepAt",
      (SELECT max(created_at) FROM (SELECT created_at, gateway_reference, status FROM payments
        ORDER BY created_at DESC LIMIT ${NEWEST_MAX}) AS newest
        WHERE gateway_reference IS NOT NULL OR status = 'DECLINED') AS "chargeAt",
      (SELECT max(last_at) FROM (SELECT last_at FROM step_failures ORDER BY id DESC LIMIT ${NEWEST_MAX}) AS newest) AS "triedAt"`;
  return row ?? { stepAt: null, triedAt: null, chargeAt: null };
}

/** A worker takes what is due within milliseconds, and an attempt ends or fails within seconds. */
export const STILL_AFTER_S = 15;
const IN_HAND_MAX = 1_000;

/** `waiting`: those whose saga was begun, and that have been in hand for `STILL_AFTER_S`. Each count is 1,000 at most. */
export type InHand = { count: number; oldestSeconds: number; waiting: number };

/** Orders that a saga has to work on: neither confirmed nor cancelled, or being taken back. */
export async function readInHand(db: Database): Promise<InHand> {
  const [row] = await db.$queryRaw<InHand[]>`
    SELECT count(*)::int AS count, greatest(coalesce(extract(epoch FROM now() - min(since)), 0), 0)::float8 AS "oldestSeconds",
      (count(*) FILTER (WHERE is_begun AND since < now() - make_interval(secs => ${STILL_AFTER_S})))::int AS waiting
    FROM (
      SELECT * FROM (
        (SELECT id, created_at AS since, saga_started_at IS NOT NULL AS is_begun FROM orders
          WHERE status = 'PENDING' ORDER BY id LIMIT ${IN_HAND_MAX})
        UNION ALL
        (SELECT id, updated_at, saga_started_at IS NOT NULL FROM orders
          WHERE status = 'CONFIRMED' AND unwinding_reason IS NOT NULL ORDER BY id LIMIT ${IN_HAND_MAX})
      ) AS each LIMIT ${IN_HAND_MAX}
    ) AS hand`;
  return row ?? { count: 0, oldestSeconds: 0, waiting: 0 };
}

/** @returns why Postgres takes no changes, though it answers; null = it takes them */
export async function readRefusal(db: Database): Promise<'standby' | 'read-only' | null> {
  const [row] = await db.$queryRaw<{ isStandby: boolean; isReadOnly: boolean }[]>`
    SELECT pg_is_in_recovery() AS "isStandby", current_setting('transaction_read_only') = 'on' AS "isReadOnly"`;
  return row?.isStandby ? 'standby' : row?.isReadOnly ? 'read-only' : null;
}

/** Of each table that tells of trouble, so many of the newest rows are looked at. */
const TROUBLES_MAX = 100;

/**
 * When trouble last ended that has left its mark here: a parked saga that went on, a finding or a dead letter that was settled, a brake that was
 * released, an account that was adopted. Where there was none, it is the acceptance of the first order.
 */
export async function readTroubleEnd(db: Database): Promise<Date | null> {
  const [row] = await db.$queryRaw<{ at: Date | null }[]>`
    SELECT greatest(
      (SELECT max(greatest(last_at, (SELECT min(l.at) FROM saga_log l WHERE l.order_id = f.order_id AND l.at > f.last_at)))
        FROM (SELECT order_id, kind, last_at FROM step_failures ORDER BY id DESC LIMIT ${TROUBLES_MAX}) AS f WHERE kind = 'parked'),
      (SELECT at FROM reconciliation_closings ORDER BY id DESC LIMIT 1),
      (SELECT max(updated_at) FROM (SELECT action, updated_at FROM reconciliation_findings ORDER BY id DESC LIMIT ${TROUBLES_MAX}) AS f
        WHERE action IN ('refunded', 'cancelled')),
      (SELECT max(coalesce(closed_at, updated_at)) FROM (SELECT state, closed_at, updated_at FROM dead_letters ORDER BY id DESC LIMIT ${TROUBLES_MAX}) AS d
        WHERE state IN ('DELIVERED', 'DISCARDED')),
      (SELECT max(released_at) FROM (SELECT released_at FROM brake_periods ORDER BY id DESC LIMIT ${TROUBLES_MAX}) AS b),
      (SELECT adopted_at FROM installation),
      (SELECT created_at FROM orders ORDER BY id LIMIT 1)) AS at`;
  return row?.at ?? null;
}

/** When a destination's cursor has last moved, which it does once events were taken. */
export async function readDeliverySigns(db: Database): Promise<{ destination: string; movedAt: Date | null }[]> {
  return db.$queryRaw`
    SELECT destination, max(updated_at) FILTER (WHERE (feed_xid, feed_position) > (0, 0)) AS "movedAt"
    FROM relay_cursors GROUP BY destination ORDER BY destination`;
}

/** Findings that are not settled, by kind and what is done about them: how many, since when, and over what. */
export type FindingSum = {
  kind: string;
  action: string;
  currency: string;
  count: number;
  amount: number;
  oldest: Date;
  recent: number;
};

/** @param recentMs what is counted as recent */
export async function sumFindings(db: Database, recentMs: number): Promise<FindingSum[]> {
  return db.$queryRaw`
    SELECT kind, action, trim(currency) AS currency, count(*)::int AS count, sum(amount)::float8 AS amount, min(at) AS oldest,
      (count(*) FILTER (WHERE at > now() - ${recentMs}::float8 * interval '1 ms'))::int AS recent
    FROM reconciliation_findings WHERE action NOT IN ('refunded', 'cancelled')
    GROUP BY kind, action, 3 ORDER BY kind, action, 3`;
}

/** Of dead letters that are open: by when they were parked. @param recentMs what is counted as recent */
export async function countRecentDeadLetters(
  db: Database,
  recentMs: number,
): Promise<{ destination: string; cause: string; recent: number }[]> {
  return db.$queryRaw`
    SELECT destination, cause, count(*)::int AS recent FROM dead_letters
    WHERE closed_at IS NULL AND state IN ('PARKED', 'REPLAYING') AND parked_at > now() - ${recentMs}::float8 * interval '1 ms'
    GROUP BY 1, 2`;
}

/** Open findings that are about one of these orders, by kind and order. */
export async function listFindingsOf(db: Database, orderIds: string[]): Promise<{ kind: string; orderId: string }[]> {
  return db.$queryRaw`
    SELECT kind, order_id AS "orderId" FROM reconciliation_findings
    WHERE order_id = ANY(${orderIds}::text[]) AND action NOT IN ('refunded', 'cancelled')`;
}
