/**
 * How far the gateway's ledger has been compared with ours, and which process does it now. The lease saves work; what is
 * done under it is safe to do twice.
 */
import { Prisma } from '../prisma/generated/client.js';
import { isOver } from './leases.js';
import type { Database } from './database.js';

const GATEWAY = 'payments';
/** The gateway's clock and ours. */
const CLOCK_SKEW = Prisma.sql`interval '5 minutes'`;
/** A database without a cursor begins with its own first order, but no further back: what is older was settled by hand. */
const FIRST_LOOK_BACK = Prisma.sql`interval '24 hours'`;

export type Lease = { owner: string; leaseMs: number };

/** How far one of the gateway's lists has been read. */
export type Position = {
  /** Where the next pass begins, and the newest that was seen: by the gateway's clock. */
  from: Date;
  newest: Date;
  /** Since when that has been the newest: by our clock. */
  movedAt: Date;
};

/** `now` is the database's clock. */
export type ReconciliationCursor = {
  now: Date;
  charges: Position;
  refunds: Position;
  sweepDue: boolean;
  /** Lower end of the sweep that is under way, and the last charge it has seen. */
  sweepSince: Date | null;
  sweepAfter: string | null;
};

/** Takes or renews the lease; begins a cursor if there is none. @returns null while another process holds the lease */
export async function leaseReconciliation(
  db: Database,
  { owner, leaseMs }: Lease,
): Promise<ReconciliationCursor | null> {
  const position = (list: string) =>
    Prisma.raw(
      `${list}_from AS "${list}From", ${list}_newest AS "${list}Newest", ${list}_moved_at AS "${list}MovedAt"`,
    );
  const [row] = await db.$queryRaw<(ReconciliationCursor & Record<string, Date>)[]>`
    INSERT INTO reconciliation_cursors AS c (gateway, charges_from, charges_newest, refunds_from, refunds_newest, lease_owner, lease_until)
    SELECT ${GATEWAY}, since, since, since, since, ${owner}, now() + ${leaseMs}::float8 * interval '1 ms' FROM (
      SELECT greatest(now() - ${FIRST_LOOK_BACK}, coalesce((SELECT created_at FROM orders ORDER BY id LIMIT 1), now())
        - ${CLOCK_SKEW}) AS since
    ) AS s
    ON CONFLICT (gateway) DO UPDATE SET lease_owner = excluded.lease_owner, lease_until = excluded.lease_until
    WHERE c.lease_owner = excluded.lease_owner OR c.lease_owner IS NULL OR ${isOver(Prisma.sql`c.lease_until`)}
    RETURNING now() AS now, ${position('charges')}, ${position('refunds')}, sweep_due_at <= now() AS "sweepDue",
      sweep_since AS "sweepSince", sweep_after AS "sweepAfter"`;
  if (!row) return null;
  const { now, sweepDue, sweepSince, sweepAfter } = row;
  return {
    now,
    sweepDue,
    sweepSince,
    sweepAfter,
    charges: positionOf(row, 'charges'),
    refunds: positionOf(row, 'refunds'),
  };
}

const positionOf = (row: Record<string, unknown>, list: 'charges' | 'refunds'): Position => ({
  from: row[`${list}From`] as Date,
  newest: row[`${list}Newest`] as Date,
  movedAt: row[`${list}MovedAt`] as Date,
});

/** Keeps how far this pass has come. @returns false if the lease has gone to another process meanwhile */
export async function advanceReconciliation(
  db: Database,
  { owner, leaseMs }: Lease,
  to: { charges?: Position; refunds?: Position; sweep?: Sweep } = {},
): Promise<boolean> {
  const inMs = (n: number) => Prisma.sql`now() + ${n}::float8 * interval '1 ms'`;
  const { charges, refunds, sweep } = to;
  const moved = await db.$executeRaw`
    UPDATE reconciliation_cursors SET
      ${charges ? Prisma.sql`charges_from = ${charges.from}, charges_newest = ${charges.newest}, charges_moved_at = ${charges.movedAt},` : Prisma.empty}
      ${refunds ? Prisma.sql`refunds_from = ${refunds.from}, refunds_newest = ${refunds.newest}, refunds_moved_at = ${refunds.movedAt},` : Prisma.empty}
      ${sweep ? Prisma.sql`sweep_since = ${sweep.since}, sweep_after = ${sweep.after},` : Prisma.empty}
      ${sweep?.dueInMs === undefined ? Prisma.empty : Prisma.sql`sweep_due_at = ${inMs(sweep.dueInMs)},`}
      lease_until = ${inMs(leaseMs)}, updated_at = now()
    WHERE gateway = ${GATEWAY} AND lease_owner = ${owner}`;
  return moved > 0;
}
/** Where a sweep goes on; null = none is under way. */
export type Sweep = { since: Date | null; after: string | null; dueInMs?: number };

/** Lets another process take over at once. */
export async function releaseReconciliation(db: Database, owner: string): Promise<void> {
  await db.$executeRaw`UPDATE reconciliation_cursors SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = ${owner}`;
}
