/**
 * An erasure: a customer is being erased, or was, if and only if there is one for their reference. It is requested once, whoever asks how
 * often: from then on a new order of the same client's id has another reference, and this one's orders only come to their ends.
 * Who it is about is not in it. One that found nobody is kept as well, as the answer to who asked.
 */
import type { ErasedCounts, ErasureState, HeldOrder, Stall } from '../../contracts/erasures.js';
import { Prisma } from '../../prisma/generated/client.js';
import type { Change } from '../audit/acts.js';
import type { Database, Statements } from '../database.js';

export type Erasure = {
  id: string;
  /** The customer's; null = none was known by the id that was given. */
  reference: string | null;
  state: ErasureState;
  requestedBy: string;
  reason: string;
  requestedAt: Date;
  /** What held it at the last look: the first of so many orders. */
  waitingFor: HeldOrder[];
  waitingCount: number;
  /** What was away at the last look. */
  stalledBy: Stall | null;
  counts: ErasedCounts;
  /** The erasure journal has the request. */
  isNoted: boolean;
  /** From when on nobody stands behind the reference any more. */
  erasedAt: Date | null;
  /** For how long all of the customer's Idempotency-Keys have had their tombstones; by the database's clock. */
  entombedForMs: number | null;
  passBeganAt: Date | null;
  passPlace: string | null;
  doneAt: Date | null;
};

const columns = Prisma.sql`e.id, e.reference, e.state, e.requested_by AS "requestedBy", e.reason, e.requested_at AS "requestedAt",
  e.waiting_for AS "waitingFor", e.waiting_count AS "waitingCount",
  e.stalled_by AS "stalledBy", e.counts, e.noted_at IS NOT NULL AS "isNoted",
  (SELECT erased_at FROM customers c WHERE c.reference = e.reference) AS "erasedAt", (extract(epoch FROM now() - e.entombed_at) * 1000)::float8 AS "entombedForMs",
  e.pass_began_at AS "passBeganAt", e.pass_place AS "passPlace", e.done_at AS "doneAt"`;

/** `id` is made by whoever asks, before; `lookup` is that of the client's id (domain/customers). */
export type ErasureRequest = { id: string; lookup: Uint8Array; requestedBy: string; reason: string };
export type Requested = { erasure: Erasure; isNew: boolean };

/**
 * Asks for the erasure of whoever stands behind a client's id. Repeatable, side by side as well: as long as the person is not erased,
 * it is the same erasure. Afterwards nobody is known by that id any more, and the erasure has found nothing.
 */
export const requestOfErasure = (request: ErasureRequest): Change<Requested> => ({
  before: async () => null,
  change: (tx) => requestErasure(tx, request),
  effect: ({ erasure: { id, reference, state }, isNew }) =>
    isNew ? { resource: id, reason: request.reason, before: null, after: { reference, state } } : null,
});

/** Orders older than references have clients' ids: whose they are would not be found. */
export class ReferencesIncomplete extends Error {
  override name = 'ReferencesIncomplete';
}

/** @throws ReferencesIncomplete */
async function requestErasure(tx: Database, request: ErasureRequest): Promise<Requested> {
  const [installation] = await tx.$queryRaw<{ isComplete: boolean }[]>`
    SELECT pseudonyms_complete_at IS NOT NULL AS "isComplete" FROM installation`;
  if (!installation?.isComplete)
    throw new ReferencesIncomplete('not all orders have the reference of their customer yet');
  // Whoever accepts an order holds the customer's row until it has committed: none comes to this reference after this statement.
  const [customer] = await tx.$queryRaw<{ reference: string }[]>`
    SELECT reference FROM customers WHERE lookup = ${request.lookup} AND erasing_since IS NULL FOR UPDATE`;
  if (customer) {
    await tx.$executeRaw`UPDATE customers SET erasing_since = now() WHERE reference = ${customer.reference}::uuid`;
    return { erasure: await insert(tx, request, customer.reference), isNew: true };
  }
  const [known] = await tx.$queryRaw<Erasure[]>`
    SELECT ${columns} FROM erasures e JOIN customers c ON c.reference = e.reference
    WHERE c.lookup = ${request.lookup} ORDER BY e.requested_at DESC, e.id DESC LIMIT 1`;
  return known ? { erasure: known, isNew: false } : { erasure: await insert(tx, request, null), isNew: true };
}

async function insert(db: Statements, request: ErasureRequest, reference: string | null): Promise<Erasure> {
  const { id, requestedBy, reason } = request;
  const [erasure] = await db.$queryRaw<Erasure[]>`
    INSERT INTO erasures AS e (id, reference, state, requested_by, reason, done_at)
    VALUES (${id}::uuid, ${reference}::uuid, ${reference === null ? 'done' : 'waiting'}, ${requestedBy}, ${reason},
      ${reference === null ? Prisma.sql`now()` : Prisma.sql`NULL`})
    RETURNING ${columns}`;
  if (!erasure) throw new Error('Bug! An INSERT returned no row');
  return erasure;
}

/** @returns null if there is no such erasure */
export async function readErasure(db: Statements, id: string): Promise<Erasure | null> {
  const [erasure] = await db.$queryRaw<Erasure[]>`SELECT ${columns} FROM erasures e WHERE id = ${id}::uuid`;
  return erasure ?? null;
}

/** The place of an erasure in the list. */
export type ErasurePlace = { requestedAt: Date; id: string };

/** Newest first. @param before the last of the page before */
export async function listErasures(
  db: Statements,
  { state, before }: { state?: ErasureState | undefined; before?: ErasurePlace | undefined },
  limit: number,
): Promise<Erasure[]> {
  return db.$queryRaw<Erasure[]>`
    SELECT ${columns} FROM erasures e
    WHERE (${state ?? null}::text IS NULL OR state = ${state ?? null})
      AND (${before?.id ?? null}::uuid IS NULL OR (requested_at, id) < (${before?.requestedAt.toISOString() ?? null}::timestamptz, ${before?.id ?? null}::uuid))
    ORDER BY requested_at DESC, id DESC LIMIT ${limit}`;
}

/** Those that are not done, the ones that were looked at longest ago first. */
export async function listOpenErasures(db: Statements, limit: number): Promise<Erasure[]> {
  return db.$queryRaw<Erasure[]>`
    SELECT ${columns} FROM erasures e WHERE state <> 'done' ORDER BY looked_at NULLS FIRST LIMIT ${limit}`;
}

export type OpenErasures = {
  waiting: number;
  erasing: number;
  /** Those that were asked for longer ago than `lateAfterMs`. */
  late: number;
  oldestSeconds: number;
  /** Those that a neighbour keeps from going on, by it. */
  stalled: Partial<Record<Stall, number>>;
};

/** How many are not done, how many of them are late, and for how long the oldest has not been done. */
export async function countOpenErasures(db: Statements, lateAfterMs: number): Promise<OpenErasures> {
  const [row] = await db.$queryRaw<OpenErasures[]>`
    SELECT (count(*) FILTER (WHERE state = 'waiting'))::int AS waiting, (count(*) FILTER (WHERE state = 'erasing'))::int AS erasing,
      (count(*) FILTER (WHERE requested_at < now() - ${lateAfterMs}::float8 * interval '1 ms'))::int AS late,
      coalesce(extract(epoch FROM now() - min(requested_at)), 0)::float8 AS "oldestSeconds",
      coalesce((SELECT jsonb_object_agg(stalled_by, n) FROM (
        SELECT stalled_by, count(*) AS n FROM erasures WHERE state <> 'done' AND stalled_by IS NOT NULL GROUP BY 1) AS by), '{}') AS stalled
    FROM erasures WHERE state <> 'done'`;
  return row ?? { waiting: 0, erasing: 0, late: 0, oldestSeconds: 0, stalled: {} };
}

/**
 * Notes what holds an erasure; nothing = it begins, or begins its pass over the orders anew.
 * @param hasJournal then one that it is still to be noted in may be away as before: what is said of that stays until it is (markNoted)
 */
export async function noteHolds(
  db: Statements,
  id: string,
  { held, count }: { held: HeldOrder[]; count: number },
  hasJournal = false,
): Promise<void> {
  await db.$executeRaw`
    UPDATE erasures SET waiting_for = ${JSON.stringify(held)}::jsonb, waiting_count = ${count}::int,
      looked_at = now(),
      stalled_by = CASE WHEN ${hasJournal} AND noted_at IS NULL AND stalled_by = 'erasure-journal' THEN stalled_by END,
      state = ${count === 0 ? 'erasing' : 'waiting'},
      pass_began_at = CASE WHEN ${count}::int = 0 THEN now() END, pass_place = NULL
    WHERE id = ${id}::uuid AND state <> 'done'`;
}

/** Adds to what an erasure has erased; part of the transaction that has. @param place the last order that its pass has done */
export async function countErased(tx: Statements, id: string, counts: ErasedCounts, place?: string): Promise<void> {
  const [names, numbers] = [Object.keys(counts), Object.values(counts)];
  await tx.$executeRaw`
    UPDATE erasures SET looked_at = now(), stalled_by = NULL, pass_place = coalesce(${place ?? null}::uuid, pass_place),
      counts = counts || coalesce((
        SELECT jsonb_object_agg(name, coalesce((counts ->> name)::int, 0) + number)
        FROM unnest(${names}::text[], ${numbers}::int[]) AS c (name, number) WHERE number > 0), '{}')
    WHERE id = ${id}::uuid`;
}

/** It goes on when that is back. */
export async function noteStall(db: Statements, id: string, stall: Stall): Promise<void> {
  await db.$executeRaw`UPDATE erasures SET stalled_by = ${stall}, looked_at = now() WHERE id = ${id}::uuid AND state <> 'done'`;
}

/** The erasure journal has the request: from now on something may be destroyed. */
export async function markNoted(db: Statements, id: string): Promise<void> {
  await db.$executeRaw`
    UPDATE erasures SET noted_at = now(), stalled_by = NULL WHERE id = ${id}::uuid AND noted_at IS NULL`;
}

/** Nobody stands behind the reference any more, and whoever had to be told of that has been. */
export async function concludeErasure(db: Statements, id: string): Promise<void> {
  await db.$executeRaw`
    UPDATE erasures e SET state = 'done', done_at = c.erased_at, looked_at = now(), waiting_for = '[]', waiting_count = 0, stalled_by = NULL
    FROM customers c WHERE e.id = ${id}::uuid AND e.state <> 'done' AND c.reference = e.reference AND c.erased_at IS NOT NULL`;
}

/**
 * Erasures of customers who are being erased, and of which there is no request any more: this database was restored to before it, and
 * the erasure journal has had them forgotten again.
 */
export async function adoptErasures(db: Statements): Promise<number> {
  return db.$executeRaw`
    INSERT INTO erasures (id, reference, state, requested_by, reason, requested_at)
    SELECT gen_random_uuid(), reference, 'waiting', 'erasure-journal', 'carried out anew after a restore', erasing_since FROM customers c
    WHERE erasing_since IS NOT NULL AND erased_at IS NULL AND NOT EXISTS (SELECT FROM erasures e WHERE e.reference = c.reference)
    ON CONFLICT DO NOTHING`;
}
