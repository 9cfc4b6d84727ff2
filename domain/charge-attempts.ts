/**
 * Attempts at a charge: when what an attempt has asked for, whose outcome is unknown, may have reached the gateway. Only these
 * times of its list are looked through. The order's very first attempt is noted once it has failed, since most succeed; every
 * other before it begins. An attempt whose end is not noted may have been asleep in its worker: what it has asked for may have
 * arrived at any time until now.
 *
 * An order's first hold by a brake is noted as well, as one that ended at once. It ends the time in which an attempt that was not noted
 * may have asked for something: whatever is let through after it is noted before it begins, and what was let through before it had
 * been given up when the attempt that met the brake began. Should such a one have slept in its worker meanwhile, its own time is over
 * when it wakes (gateways/deadline); should it fail then, it is noted with its beginning.
 */
import type { Database } from './database.js';

/** An attempt's own limit (workflows/steps) and time for its last request to arrive. */
const ATTEMPT_LIMIT_MS = 15_000;
/**
 * A request that its attempt has given up may still be on its way: a kernel repeats what a closed connection has left unsent for
 * some 100 s, and proxies hold requests for a minute, a few for five.
 */
const LANDS_WITHIN_MS = 5 * 60_000;
/** Spans that lie closer together are read as one: a page of the list more is cheaper than another beginning. */
const JOINED_WITHIN_MS = 120_000;

/** The order's first attempt has failed, or was held. @param began by the database's clock */
export async function noteFirstAttempt(db: Database, orderId: string, began: Date): Promise<void> {
  await db.$executeRaw`
    INSERT INTO charge_attempts (order_id, began_at, ended_at) VALUES (${orderId}::uuid, ${began}, clock_timestamp())`;
}

/** @returns by which its end is noted */
export async function beginAttempt(db: Database, orderId: string): Promise<bigint> {
  const [row] = await db.$queryRaw<{ id: bigint }[]>`
    INSERT INTO charge_attempts (order_id) VALUES (${orderId}::uuid) RETURNING id`;
  if (!row) throw new Error('Bug! An attempt was not noted');
  return row.id;
}

export async function endAttempt(db: Database, id: bigint): Promise<void> {
  await db.$executeRaw`UPDATE charge_attempts SET ended_at = clock_timestamp() WHERE id = ${id}`;
}

export type Span = { from: Date; until: Date };
/** `mayRunUntil`: an attempt whose end is not noted may still be at the gateway; null = none. */
export type Attempts = {
  dbNow: Date;
  spans: Span[];
  mayRunUntil: Date | null;
  from: { since: Date; after: string | null } | undefined;
};

/** @returns the times at which a charge of the order may have arrived, newest first, and where their look-up goes on */
export async function readAttempts(db: Database, orderId: string): Promise<Attempts> {
  const rows = await db.$queryRaw<{ now: Date; earliest: Date; began: Date | null; ended: Date | null }[]>`
    SELECT clock_timestamp() AS now, a.began_at AS began, a.ended_at AS ended,
      coalesce((SELECT min(s.at) FROM saga_log s
        WHERE s.order_id = o.id AND s.step = 'reserveInventory' AND s.outcome IN ('completed', 'skipped')), o.created_at) AS earliest
    FROM orders o LEFT JOIN charge_attempts a ON a.order_id = o.id
    WHERE o.id = ${orderId}::uuid ORDER BY a.began_at`;
  const [first] = rows;
  if (!first) throw new Error(`Order ${orderId} does not exist`);
  const { now: dbNow, earliest } = first;
  const limitOf = (began: Date) => new Date(began.getTime() + ATTEMPT_LIMIT_MS);
  const landedBy = (ended: Date | undefined) =>
    new Date(Math.min(dbNow.getTime(), (ended ?? dbNow).getTime() + LANDS_WITHIN_MS));
  const noted = rows.flatMap(({ began, ended }) =>
    began === null ? [] : [{ from: began, until: landedBy(ended ?? undefined) }],
  );
  // A first attempt whose worker died was not noted; it ran before the next one did, or was held.
  const unnoted = { from: earliest, until: landedBy(noted[0]?.from) };
  const open = rows.flatMap(({ began, ended }) => (began !== null && ended === null ? [limitOf(began)] : []));
  const latest = open.sort((a, b) => b.getTime() - a.getTime())[0];
  const place = await db.payment.findUnique({
    where: { orderId },
    select: { lookUpSince: true, lookUpAfter: true },
  });
  return {
    dbNow,
    spans: joined([unnoted, ...noted]),
    mayRunUntil: latest !== undefined && latest > dbNow ? latest : null,
    from: place?.lookUpSince ? { since: place.lookUpSince, after: place.lookUpAfter } : undefined,
  };
}

/** @param spans oldest first @returns newest first */
function joined(spans: Span[]): Span[] {
  const whole: Span[] = [];
  for (const span of spans) {
    const last = whole[0];
    if (last && span.from.getTime() - last.until.getTime() <= JOINED_WITHIN_MS) {
      if (span.until > last.until) last.until = span.until;
    } else whole.unshift({ ...span });
  }
  return whole;
}

/** Keeps how far the look-up has come. The payment must be closed: without its row there is nowhere to keep it, and no need. */
export async function keepLookUpPlace(
  db: Database,
  orderId: string,
  { since, after }: { since: Date; after: string | null },
): Promise<void> {
  await db.payment.updateMany({ where: { orderId }, data: { lookUpSince: since, lookUpAfter: after } });
}
