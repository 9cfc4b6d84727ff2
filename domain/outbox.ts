/**
 * The outbox: an event is in it if and only if the transaction that made it true has committed.
 *
 * **The feed's order.** Rows are read in the order (feed_xid, feed_position), and only those whose feed_xid is below the
 * oldest transaction still running, so that a transaction that takes its place early and commits late is never skipped.
 * feed_xid is the writing transaction's id or, if that is later, the one of the same order's previous event: two
 * transactions of one order may take their ids in one sequence and the order's row in the other, and the order's own
 * sequence must win. A stored feed_xid is thus never below the writer's own id, which keeps the rule of visibility valid.
 */
import type { CustomersTold, EventType, StoredEvent } from '../contracts/events.js';
import { Prisma } from '../prisma/generated/client.js';
import { activeTraceparent } from '../runtime/tracing/spans.js';
import { type CustomerBehind, customerBehind, identityKeyOf } from './customers.js';
import type { Database } from './database.js';
import { knownCustomer, openCustomer, type Reading } from './sealing/of-customers.js';

/** SET list that counts so many more events on the order's row, named `o` in the statement. */
export const countEvents = (events: number): Prisma.Sql => Prisma.sql`
  event_count = o.event_count + ${events}::int,
  event_xid = greatest(o.event_xid, pg_current_xact_id()::text::bigint),
  updated_at = now()`;
export const countEvent = countEvents(1);

/** RETURNING list that an event is made of; belongs to an UPDATE … SET `countEvent`. */
export const eventColumns = Prisma.sql`o.id, o.event_count, o.event_xid, o.correlation_id, o.traceparent`;

/** An event belongs to the trace of the work that writes it; where that is not traced, to its order's. */
const ofThisWork = () => Prisma.sql`coalesce(${activeTraceparent() ?? null}::text, traceparent)`;

/**
 * @param from the CTE whose single row has the `eventColumns`
 * @param type an event type, or an expression over `from` that gives one
 * @param data a jsonb expression over `from`
 */
export const insertEvent = (from: Prisma.Sql, type: EventType | Prisma.Sql, data: Prisma.Sql): Prisma.Sql => Prisma.sql`
  INSERT INTO outbox (order_id, sequence, type, data, correlation_id, traceparent, feed_xid)
  SELECT id, event_count, ${type}, ${data}, correlation_id, ${ofThisWork()}, event_xid FROM ${from}`;

/**
 * Several events of one order, in their order: the last has the `event_count` that `countEvents` has brought it to. One
 * INSERT, sorted, since the statements of a WITH run in no order, and an event's place in the feed is given at its insertion.
 */
export const insertEvents = (
  from: Prisma.Sql,
  events: { type: EventType; data: Prisma.Sql }[],
): Prisma.Sql => Prisma.sql`
  INSERT INTO outbox (order_id, sequence, type, data, correlation_id, traceparent, feed_xid)
  SELECT id, event_count - e.later, e.type, e.data, correlation_id, ${ofThisWork()}, event_xid
  FROM ${from} CROSS JOIN LATERAL (VALUES ${Prisma.join(
    events.map(({ type, data }, i) => Prisma.sql`(${events.length - 1 - i}::int, ${type}, ${data})`),
  )}) AS e (later, type, data)
  ORDER BY e.later DESC`;

/** A place in the feed: everything up to and including it has been read. */
export type FeedPlace = { feedXid: bigint; feedPosition: bigint };
export const FEED_START: FeedPlace = { feedXid: 0n, feedPosition: 0n };

export type FeedEvent = StoredEvent & FeedPlace;

/** More would let more relays share a destination; each costs an index look-up per read. */
export const PARTITIONS = 16;
/** An order's partition, as outbox_partition_idx spells it: the last hex digit of its id, which is random. */
export const partitionOfOrder = Prisma.sql`(get_byte(uuid_send(order_id), 15) & 15)`;

const eventRow = Prisma.sql`order_id AS "orderId", sequence, type, data, correlation_id AS "correlationId", traceparent,
  occurred_at AS "occurredAt", feed_xid AS "feedXid", feed_position AS "feedPosition",
  CASE type WHEN 'order.created' THEN ${customerBehind(Prisma.sql`(data->>'customerId')`)} END AS behind`;

/**
 * What is stored says the customer's reference; who stands behind it is read with it, each time, and is told.
 * @throws KeyUnavailable if that is sealed, is not to stay closed, and cannot be opened now
 */
const told = <E extends StoredEvent>(db: Database, rows: Row<E>[], reading?: Reading): Promise<(E & ToldEvent)[]> =>
  Promise.all(
    rows.map(async ({ behind, ...row }) => {
      const event = { ...(row as unknown as E), toldAtMs: performance.now() };
      if (behind === null) return event;
      const data = event.data as { customerId: string };
      return { ...event, data: { ...data, ...(await openCustomer(db, { held: data.customerId, behind }, reading)) } };
    }),
  );
type Row<E> = E & { behind: CustomerBehind | null };

/** Whoever is told references needs nothing opened, and no key. */
export const readingOf = (customers: CustomersTold = 'id'): Reading =>
  customers === 'reference' ? 'reference' : 'opened';

/**
 * By the client's id of the caller, whose own order it is; undefined = of another's. Whoever asks by it knows it: the reference, which is
 * for consumers, is not told in its place, whatever these are told.
 */
export const readingAs = async (db: Database, own: string | undefined, customers?: CustomersTold): Promise<Reading> =>
  own === undefined ? readingOf(customers) : { known: knownCustomer(await identityKeyOf(db), own) };

/** By `performance.now()`: when it was read who stands behind its customer's reference. */
export type ToldEvent = StoredEvent & { toldAtMs?: number };

/** @returns what is told of the same events now, in their order */
export async function tellAnew(db: Database, events: ToldEvent[], reading?: Reading): Promise<ToldEvent[]> {
  const references = events.map(({ data }) => (data as { customerReference?: string }).customerReference ?? null);
  const rows = await db.$queryRaw<{ behind: CustomerBehind | null }[]>`
    SELECT ${customerBehind(Prisma.sql`r.reference`)} AS behind
    FROM unnest(${references}::text[]) WITH ORDINALITY AS r (reference, n) ORDER BY r.n`;
  return Promise.all(
    events.map(async (event, i) => {
      const [held, behind] = [references[i], rows[i]?.behind];
      const data =
        held && behind
          ? { ...(event.data as object), ...(await openCustomer(db, { held, behind }, reading)) }
          : event.data;
      return { ...event, data, toldAtMs: performance.now() };
    }),
  );
}

/** Nothing that commits from now on can come before it. */
export const isSettled = Prisma.sql`feed_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint`;

/**
 * One page of the feed after a place, oldest first.
 * @param limit number of events at most
 */
export async function readFeed(db: Database, after: FeedPlace, limit: number, reading?: Reading): Promise<FeedEvent[]> {
  const rows = await db.$queryRaw<Row<FeedEvent>[]>`
    SELECT ${eventRow} FROM outbox
    WHERE (feed_xid, feed_position) > (${after.feedXid}::bigint, ${after.feedPosition}::bigint) AND ${isSettled}
    ORDER BY feed_xid, feed_position
    LIMIT ${limit}`;
  return told(db, rows, reading);
}

/** @returns the place of the feed's newest event: whatever is stored from now on comes after it */
export async function readFeedEnd(db: Database): Promise<FeedPlace> {
  const [end = FEED_START] = await db.$queryRaw<FeedPlace[]>`
    SELECT feed_xid AS "feedXid", feed_position AS "feedPosition" FROM outbox WHERE ${isSettled}
    ORDER BY feed_xid DESC, feed_position DESC LIMIT 1`;
  return end;
}

export type PartitionPlace = FeedPlace & { partition: number };
/** At this destination: `isHeld` = a dead letter holds the event's order; `isDiscarded` = the event is never to be sent. */
export type PartitionEvent = FeedEvent & { partition: number; isHeld: boolean; isDiscarded: boolean };

/**
 * The feed of some partitions, each after a place of its own, oldest first.
 * @param limit number of events per partition at most
 */
export async function readPartitions(
  db: Database,
  destination: string,
  after: PartitionPlace[],
  limit: number,
  reading?: Reading,
): Promise<PartitionEvent[]> {
  const rows = await db.$queryRaw<Row<PartitionEvent>[]>`
    SELECT p.partition, e.*, EXISTS (
      SELECT FROM dead_letters l WHERE l.destination = ${destination} AND l.order_id = e."orderId" AND l.closed_at IS NULL
    ) AS "isHeld", EXISTS (
      SELECT FROM dead_letters l WHERE l.destination = ${destination} AND l.order_id = e."orderId"
        AND l.sequence = e.sequence AND l.state = 'DISCARDED'
    ) AS "isDiscarded"
    FROM unnest(${after.map((a) => a.partition)}::int[], ${after.map((a) => a.feedXid)}::bigint[],
      ${after.map((a) => a.feedPosition)}::bigint[]) AS p (partition, xid, position)
    CROSS JOIN LATERAL (
      SELECT ${eventRow} FROM outbox
      WHERE ${partitionOfOrder} = p.partition AND (feed_xid, feed_position) > (p.xid, p.position) AND ${isSettled}
      ORDER BY feed_xid, feed_position
      LIMIT ${limit}
    ) AS e
    ORDER BY e."feedXid", e."feedPosition"`;
  return told(db, rows, reading);
}

/**
 * Events of several orders, each after a sequence of its own; of each order the oldest first.
 * @param limit.perOrder events of one order at most
 * @param limit.total    events of all of them at most: with so many, orders may be missing or cut short
 */
export async function readNewEvents(
  db: Database,
  after: { orderId: string; sequence: number }[],
  limit: { perOrder: number; total: number },
  reading?: Reading,
): Promise<StoredEvent[]> {
  const rows = await db.$queryRaw<Row<StoredEvent>[]>`
    SELECT e.* FROM unnest(${after.map((a) => a.orderId)}::uuid[], ${after.map((a) => a.sequence)}::int[]) AS a (of, seen)
    CROSS JOIN LATERAL (
      SELECT ${eventRow} FROM outbox WHERE order_id = a.of AND sequence > a.seen ORDER BY sequence LIMIT ${limit.perOrder}
    ) AS e
    LIMIT ${limit.total}`;
  return told(db, rows, reading);
}

/** An order's events after a sequence, oldest first. @param afterSequence 0 for all */
export async function readOrderEvents(
  db: Database,
  orderId: string,
  afterSequence: number,
  limit: number,
  reading?: Reading,
): Promise<StoredEvent[]> {
  const rows = await db.$queryRaw<Row<StoredEvent>[]>`
    SELECT ${eventRow} FROM outbox WHERE order_id = ${orderId}::uuid AND sequence > ${afterSequence}::int
    ORDER BY sequence LIMIT ${limit}`;
  return told(db, rows, reading);
}
