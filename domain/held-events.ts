/**
 * Held events: how relays hold an order at a destination behind an event that is not taken, a dead letter, and let it go
 * again. Every statement takes effect only under the lease of the order's partition, as the cursor's moves do: a relay that
 * has lost it must not say what has been delivered.
 */
import { DEAD_LETTER_ERROR_LENGTH_MAX, type DeadLetterCause, type DeadLetterState } from '../contracts/dead-letters.js';
import type { StoredEvent } from '../contracts/events.js';
import { Prisma } from '../prisma/generated/client.js';
import type { PartitionLease } from './cursors.js';
import type { Database } from './database.js';
import { orderChanged, queryChanging } from './order-changes.js';
import { partitionOfOrder } from './outbox.js';

/** Why an event is held: what was wrong, and after how many tries it was given up. */
export type HoldReason = { cause: DeadLetterCause; error: string; attempts: number };

/** A CTE `leased`: locks the lease's row against a change of owner until the statement has committed. */
const under = ({ destination, partition, owner, epoch }: PartitionLease): Prisma.Sql => Prisma.sql`
  leased AS MATERIALIZED (
    SELECT destination FROM relay_cursors
    WHERE destination = ${destination} AND partition = ${partition} AND lease_owner = ${owner} AND lease_epoch = ${epoch}
    FOR SHARE
  )`;
/** By what the relay has done, not by what is decided now: a discard may have come when the event had been sent. */
const closedAs = (deadLetter?: DecidedDeadLetter): DeadLetterState =>
  deadLetter?.state === 'REPLAYING' ? 'DELIVERED' : 'DISCARDED';
const cut = (error: string): string => error.slice(0, DEAD_LETTER_ERROR_LENGTH_MAX);

/**
 * Holds an order behind an event.
 * @param after an open dead letter of the same order whose own event is decided; it closes in the same statement
 * @returns false if the lease is lost
 */
export async function holdEvent(
  db: Database,
  lease: PartitionLease,
  { orderId, sequence, type }: Pick<StoredEvent, 'orderId' | 'sequence' | 'type'>,
  { cause, error, attempts }: HoldReason,
  after?: DecidedDeadLetter,
): Promise<boolean> {
  const earlier = after === undefined ? Prisma.sql`leased` : Prisma.sql`closed`;
  const rows = await queryChanging(
    db,
    Prisma.sql`
    WITH ${under(lease)}, closed AS (
      UPDATE dead_letters SET closed_at = now(), updated_at = now(), state = ${closedAs(after)}
      WHERE id = ${after?.id ?? null}::bigint AND closed_at IS NULL AND EXISTS (SELECT FROM leased) RETURNING destination
    ), held AS (
      INSERT INTO dead_letters (destination, order_id, sequence, type, cause, error, attempts)
      SELECT destination, ${orderId}::uuid, ${sequence}::int, ${type}, ${cause}, ${cut(error)}, ${attempts}::int FROM ${earlier}
      ON CONFLICT (destination, order_id) WHERE closed_at IS NULL DO NOTHING RETURNING order_id AS id
    )
    SELECT ${orderChanged(db)} AS changed FROM held`,
  );
  return rows.length > 0;
}

/** A replay that has failed; one that has been discarded meanwhile stays so. @returns false if the lease is lost */
export async function holdAgain(
  db: Database,
  lease: PartitionLease,
  id: string,
  { cause, error, attempts }: HoldReason,
): Promise<boolean> {
  const rows = await queryChanging(
    db,
    Prisma.sql`
    WITH ${under(lease)}, held AS (
      UPDATE dead_letters SET state = 'PARKED', cause = ${cause}, error = ${cut(error)},
        attempts = attempts + ${attempts}::int, updated_at = now()
      WHERE id = ${id}::bigint AND state = 'REPLAYING' AND EXISTS (SELECT FROM leased) RETURNING order_id AS id
    )
    SELECT (SELECT ${orderChanged(db)} FROM held) AS changed FROM leased`,
  );
  return rows.length > 0;
}

/** The event and all that waited behind it have been taken: the order is held no longer. @returns false if the lease is lost */
export async function closeDeadLetter(
  db: Database,
  lease: PartitionLease,
  deadLetter: DecidedDeadLetter,
): Promise<boolean> {
  const rows = await queryChanging(
    db,
    Prisma.sql`
    WITH ${under(lease)}, closed AS (
      UPDATE dead_letters SET closed_at = now(), updated_at = now(), state = ${closedAs(deadLetter)}
      WHERE id = ${deadLetter.id}::bigint AND closed_at IS NULL AND EXISTS (SELECT FROM leased) RETURNING order_id AS id
    )
    SELECT ${orderChanged(db)} AS changed FROM closed`,
  );
  return rows.length > 0;
}

/** A decided dead letter whose order is still held: what is behind it has to be sent, and the event itself unless discarded. */
export type DecidedDeadLetter = {
  id: string;
  orderId: string;
  partition: number;
  sequence: number;
  state: DeadLetterState;
  /** The operator. */
  decidedBy: string | null;
  /** The order's events that are never to be sent: those of earlier dead letters, and of this one if it is discarded. */
  discarded: number[];
};

/** @param except dead letters that are being worked off already. @returns the longest decided first */
export async function listDecided(
  db: Database,
  destination: string,
  partitions: number[],
  except: string[],
  limit: number,
): Promise<DecidedDeadLetter[]> {
  return db.$queryRaw<DecidedDeadLetter[]>`
    SELECT id::text, order_id AS "orderId", ${partitionOfOrder} AS partition, sequence, state, decided_by AS "decidedBy", ARRAY(
      SELECT d.sequence FROM dead_letters d WHERE d.order_id = dead_letters.order_id
        AND d.destination = ${destination} AND d.state = 'DISCARDED') AS discarded
    FROM dead_letters
    WHERE closed_at IS NULL AND state <> 'PARKED' AND destination = ${destination}
      AND ${partitionOfOrder} = ANY(${partitions}::int[]) AND id <> ALL(${except}::bigint[])
    ORDER BY updated_at, id LIMIT ${limit}`;
}

/** @returns those of the dead letters that have been discarded, with the operator who has */
export async function findDiscarded(db: Database, ids: string[]): Promise<Map<string, string | null>> {
  const rows = await db.$queryRaw<{ id: string; decidedBy: string | null }[]>`
    SELECT id::text, decided_by AS "decidedBy" FROM dead_letters WHERE id = ANY(${ids}::bigint[]) AND state = 'DISCARDED'`;
  return new Map(rows.map(({ id, decidedBy }) => [id, decidedBy]));
}
