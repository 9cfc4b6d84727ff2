/**
 * From when on orders hold references of customers instead of clients' ids: at once in a new database. One that had orders goes on
 * as before, for the previous release beside this one cannot read references, until an operator begins (`ops pseudonyms`); then
 * what is older is replaced, in batches. Every statement that stores one or the other checks the stage that its process believes in.
 */
import { Prisma } from '../prisma/generated/client.js';
import type { Statements } from './database.js';

/** plain: clients' ids are stored · begun: references, and older rows still have ids · complete: nothing but references. */
export type Stage = 'plain' | 'begun' | 'complete';

export async function readStage(db: Statements): Promise<Stage> {
  const [row] = await db.$queryRaw<{ isBegun: boolean; isComplete: boolean }[]>`
    SELECT pseudonyms_since IS NOT NULL AS "isBegun", pseudonyms_complete_at IS NOT NULL AS "isComplete" FROM installation`;
  if (!row?.isBegun) return 'plain';
  return row.isComplete ? 'complete' : 'begun';
}

/** A stage but the last may be over at any time: no longer than this is one believed in. */
const BELIEVED_MS = 1_000;
const believed = new WeakMap<Statements, { stage: Promise<Stage>; untilMs: number }>();

/** The stage as this process knows it. @param db a client, not a transaction */
export async function stageOf(db: Statements): Promise<Stage> {
  const known = believed.get(db);
  if (known && performance.now() < known.untilMs) return known.stage;
  const entry = { stage: readStage(db), untilMs: performance.now() + BELIEVED_MS };
  believed.set(db, entry);
  entry.stage.then(
    (stage) => stage === 'complete' && Object.assign(entry, { untilMs: Number.POSITIVE_INFINITY }),
    () => believed.delete(db),
  );
  return entry.stage;
}

/** What a statement has found to be otherwise is read anew. */
export const forgetStage = (db: Statements): void => void believed.delete(db);

/** A condition on the row of `installation`: that it is at this stage, or at one at which the same is stored and looked for. */
export const isAtStage = (stage: Stage): Prisma.Sql => STAGES[stage];
const STAGES = {
  plain: Prisma.sql`pseudonyms_since IS NULL`,
  // What is looked for besides then has just become superfluous.
  begun: Prisma.sql`pseudonyms_since IS NOT NULL`,
  complete: Prisma.sql`pseudonyms_complete_at IS NOT NULL`,
} as const satisfies Record<Stage, Prisma.Sql>;
