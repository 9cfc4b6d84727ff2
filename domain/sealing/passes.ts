/**
 * Passes that seal what stood plain before there was encryption: clients' ids of customers, and what was said of orders that were
 * cancelled. How far each has come is in Postgres, a batch at a time, so that any relay goes on with it; doing a batch twice is
 * harmless. Sealing clients' ids begins by itself in a database without customers, else at an operator's word, since the release before
 * cannot read them.
 */
import { Prisma } from '../../prisma/generated/client.js';
import { referenceIn } from '../customers.js';
import type { Statements } from '../database.js';

export type PassName = 'customers' | 'orders';
const NAMES: PassName[] = ['customers', 'orders'];

/** @returns whether it has not been begun before. Part of a transaction if `db` is one */
export async function beginSealing(db: Statements): Promise<boolean> {
  const begun = await db.$executeRaw`
    INSERT INTO sealing_passes (name) SELECT unnest(${NAMES}::text[]) ON CONFLICT (name) DO NOTHING`;
  return begun > 0;
}

/** For so long a process believes that they may not be. */
const BELIEVED_MS = 1_000;
const believed = new WeakMap<Statements, { may: Promise<boolean>; untilMs: number }>();

/** Whether clients' ids may be sealed; from then on for good. @param db a client, not a transaction */
export function mayClientIdsBeSealed(db: Statements): Promise<boolean> {
  const known = believed.get(db);
  if (known && performance.now() < known.untilMs) return known.may;
  const entry = { may: readMay(db), untilMs: performance.now() + BELIEVED_MS };
  believed.set(db, entry);
  entry.may.then(
    (may) => may && Object.assign(entry, { untilMs: Number.POSITIVE_INFINITY }),
    () => believed.delete(db),
  );
  return entry.may;
}

async function readMay(db: Statements): Promise<boolean> {
  const [row] = await db.$queryRaw<{ may: boolean }[]>`
    WITH begun AS (
      INSERT INTO sealing_passes (name) SELECT unnest(${NAMES}::text[]) WHERE NOT EXISTS (SELECT FROM customers)
      ON CONFLICT (name) DO NOTHING RETURNING 1
    )
    SELECT EXISTS (SELECT FROM begun) OR EXISTS (SELECT FROM sealing_passes WHERE name = 'customers') AS may`;
  return row?.may === true;
}

/** Half of what passes allow for. */
const REOPENED_EVERY_MS = 5_000;
const reopened = new WeakMap<Statements, number>();

/**
 * Something is stored plain from now on: a pass that has been over its place goes over it again. It is noted now and then, for every
 * order says so as long as a key store is away.
 */
export async function reopenPass(db: Statements, name: PassName): Promise<void> {
  if (performance.now() < (reopened.get(db) ?? 0)) return;
  reopened.set(db, performance.now() + REOPENED_EVERY_MS);
  await db.$executeRaw`UPDATE sealing_passes SET opened_at = now(), done_at = NULL WHERE name = ${name}`;
}

export type Pass = {
  name: PassName;
  place: string | null;
  looked: number;
  sealed: number;
  beganAt: Date | null;
  doneAt: Date | null;
};

/** @returns none before sealing has begun */
export const readPasses = (db: Statements): Promise<Pass[]> => db.$queryRaw<Pass[]>`
  SELECT name, place::text AS place, looked::float8 AS looked, sealed::float8 AS sealed, began_at AS "beganAt", done_at AS "doneAt"
  FROM sealing_passes ORDER BY name`;

/** Processes without encryption, which an operator has not thought of, store clients' ids plain. */
const AGAIN_AFTER = Prisma.sql`interval '1 day'`;

/** The next pass that is to be gone on with; one that begins anew has forgotten how far the one before had come. */
export async function nextPass(db: Statements): Promise<Pass | undefined> {
  await db.$executeRaw`
    UPDATE sealing_passes SET began_at = now(), place = NULL, looked = 0, sealed = 0, done_at = NULL
    WHERE began_at IS NULL OR (name = 'customers' AND done_at < now() - ${AGAIN_AFTER})`;
  return (await readPasses(db)).find(({ doneAt }) => doneAt === null);
}

/** What may still be stored plain when a pass begins: by who believes that it may not be sealed, or began before. */
const SETTLED = Prisma.sql`interval '10 s'`;

/** Adds a batch to a pass. @param place the last row of the batch; null = there was none left: it is done, or begins anew */
export async function advancePass(
  db: Statements,
  { name, place: from }: Pass,
  { place, looked, sealed }: { place: string | null; looked: number; sealed: number },
): Promise<void> {
  const hasMissed = Prisma.sql`${place}::uuid IS NULL AND opened_at > began_at - ${SETTLED}`;
  await db.$executeRaw`
    UPDATE sealing_passes SET place = ${place}::uuid, looked = looked + ${looked}::int, sealed = sealed + ${sealed}::int,
      began_at = CASE WHEN ${hasMissed} THEN now() ELSE began_at END,
      done_at = CASE WHEN ${place}::uuid IS NULL AND NOT (${hasMissed}) THEN now() END
    WHERE name = ${name} AND place IS NOT DISTINCT FROM ${from}::uuid`;
}

/** A text that is not sealed: whose it is (what its row holds), and the place of its row. */
export type PlainText = { id: string; held: string; text: string };
export type Page = { last: string | null; looked: number; plain: PlainText[] };

const UNSEALED = Prisma.sql`NOT LIKE 'sealed:v1:%'`;

/** The next rows of a pass by id, of which few are plain: what is sealed already does not leave the database. */
export async function readPage(db: Statements, { name, place }: Pass, limit: number): Promise<Page> {
  const rows =
    name === 'customers'
      ? Prisma.sql`SELECT reference AS id, reference::text AS held, client_id AS text FROM customers
          WHERE (${place}::uuid IS NULL OR reference > ${place}::uuid) ORDER BY reference LIMIT ${limit}`
      : Prisma.sql`SELECT id, customer_id AS held, cancellation_message AS text FROM orders
          WHERE (${place}::uuid IS NULL OR id > ${place}::uuid) ORDER BY id LIMIT ${limit}`;
  const [page] = await db.$queryRaw<Page[]>`
    WITH page AS MATERIALIZED (${rows})
    SELECT (SELECT id::text FROM page ORDER BY page.id DESC LIMIT 1) AS last, (SELECT count(*)::int FROM page) AS looked,
      coalesce((SELECT json_agg(json_build_object('id', id, 'held', held, 'text', text)) FROM page
        WHERE text ${UNSEALED} AND EXISTS (SELECT FROM customers c WHERE c.reference = ${referenceIn(Prisma.sql`held`)} AND c.erased_at IS NULL)),
      '[]') AS plain`;
  return page ?? { last: null, looked: 0, plain: [] };
}

/** Puts what is sealed in the place of the text, if that still stands there: an erasure may have been faster. @returns how many */
export async function replaceTexts(
  db: Statements,
  name: PassName,
  texts: { id: string; text: string; sealed: string }[],
): Promise<number> {
  const [ids, before, after] = [texts.map((t) => t.id), texts.map((t) => t.text), texts.map((t) => t.sealed)];
  const wanted = Prisma.sql`unnest(${ids}::uuid[], ${before}::text[], ${after}::text[]) AS w (id, before, after)`;
  return name === 'customers'
    ? db.$executeRaw`UPDATE customers c SET client_id = w.after FROM ${wanted} WHERE c.reference = w.id AND c.client_id = w.before`
    : db.$executeRaw`UPDATE orders o SET cancellation_message = w.after FROM ${wanted} WHERE o.id = w.id AND o.cancellation_message = w.before`;
}
