/**
 * Rotation. Of a key-encryption key: every data key is unwrapped and wrapped anew, in batches, while all is at work; no sealed text is
 * touched. Of data keys: a customer gets a further version, which seals from then on; those before go on opening. Either may stop at any
 * point and be begun again: what is done shows in the rows.
 */
import pLimit from 'p-limit';
import type { KeyEncryption, WrappedKey } from '../../contracts/key-encryption.js';
import type { Statements } from '../database.js';
import { contextOf } from './customer-keys.js';
import { KeyDestroyed } from './errors.js';
import type { DataKeys } from './data-keys.js';

/** Calls to the key store that are under way at once; orders ask it, too. */
const CALLS_AT_ONCE = 8;

/** A key-encryption key that wraps something, how many data keys, and one of them. */
export type KekInUse = { keyId: string; keys: number; sample: WrappedKey & { context: string } };

export async function listKeksInUse(db: Statements): Promise<KekInUse[]> {
  const rows = await db.$queryRaw<
    { keyId: string; keys: number; reference: string; version: number; wrapped: Uint8Array }[]
  >`
    SELECT counted.kek_id AS "keyId", counted.keys::int AS keys, k.reference::text AS reference, k.version, k.wrapped
    FROM (SELECT kek_id, count(*) AS keys FROM customer_keys WHERE wrapped IS NOT NULL GROUP BY kek_id) AS counted
    CROSS JOIN LATERAL (
      SELECT reference, version, wrapped FROM customer_keys WHERE kek_id = counted.kek_id AND wrapped IS NOT NULL LIMIT 1
    ) AS k
    ORDER BY counted.kek_id`;
  return rows.map(({ keyId, keys, reference, version, wrapped }) => ({
    ...{ keyId, keys, sample: { keyId, wrapped, context: contextOf(reference, version) } },
  }));
}

/** @returns customers whose keys are destroyed */
export async function countDestroyed(db: Statements): Promise<number> {
  const [row] = await db.$queryRaw<{ customers: number }[]>`
    SELECT count(DISTINCT reference)::int AS customers FROM customer_keys WHERE destroyed_at IS NOT NULL`;
  return row?.customers ?? 0;
}

type Row = { reference: string; version: number; keyId: string; wrapped: Uint8Array };
export type Rewrapped = { rewrapped: number; failed: number; failure?: unknown };

/**
 * Wraps each data key by the key-encryption key that wraps now, which others were wrapped by before.
 * @param onBatch hears of the progress after each batch
 */
export async function rewrapKeys(
  db: Statements,
  store: KeyEncryption,
  { batch, onBatch }: { batch: number; onBatch?: (done: Rewrapped) => void },
): Promise<Rewrapped> {
  const currentId = await store.currentId();
  const inTurn = pLimit(CALLS_AT_ONCE);
  const done: Rewrapped = { rewrapped: 0, failed: 0 };
  let after = { reference: LOWEST, version: -1 };
  for (;;) {
    const rows = await readWrappedByOthers(db, currentId, after, batch);
    const last = rows.at(-1);
    if (last === undefined) return done;
    after = last;
    await Promise.all(
      rows.map((row) =>
        inTurn(async () => {
          try {
            if (await rewrapOne(db, store, row)) done.rewrapped++;
          } catch (err) {
            done.failed++;
            done.failure ??= err;
          }
        }),
      ),
    );
    onBatch?.({ ...done });
  }
}

/** @returns whether it was still the same: a key that was destroyed meanwhile stays so */
async function rewrapOne(db: Statements, store: KeyEncryption, row: Row): Promise<boolean> {
  const context = contextOf(row.reference, row.version);
  const dataKey = await store.unwrap(row, context);
  const { keyId, wrapped } = await store.wrap(dataKey, context);
  dataKey.fill(0);
  const changed = await db.$executeRaw`
    UPDATE customer_keys SET kek_id = ${keyId}, wrapped = ${new Uint8Array(wrapped)}
    WHERE reference = ${row.reference}::uuid AND version = ${row.version}::int AND kek_id = ${row.keyId}
      AND wrapped IS NOT NULL`;
  return changed > 0;
}

const LOWEST = '00000000-0000-0000-0000-000000000000';

/** In the order of the primary key, after a place in it. */
const readWrappedByOthers = (
  db: Statements,
  currentId: string,
  after: { reference: string; version: number },
  limit: number,
) =>
  db.$queryRaw<Row[]>`
    SELECT reference::text AS reference, version, kek_id AS "keyId", wrapped FROM customer_keys
    WHERE (reference, version) > (${after.reference}::uuid, ${after.version}::int)
      AND wrapped IS NOT NULL AND kek_id <> ${currentId}
    ORDER BY reference, version LIMIT ${limit}::int`;

/** Gives each customer that has a key a further version of it. @returns how many; an erased customer gets none */
export async function renewAllKeys(
  db: Statements,
  keys: DataKeys,
  { batch, madeBefore, onBatch }: { batch: number; madeBefore: Date; onBatch?: (renewed: number) => void },
): Promise<number> {
  const inTurn = pLimit(CALLS_AT_ONCE);
  let renewed = 0;
  for (let after = LOWEST; ; ) {
    const references = await listReferences(db, { after, madeBefore, limit: batch });
    const last = references.at(-1);
    if (last === undefined) return renewed;
    after = last;
    const made = await Promise.all(references.map((reference) => inTurn(renewUnlessErased, keys, reference)));
    renewed += made.filter(Boolean).length;
    onBatch?.(renewed);
  }
}

async function renewUnlessErased(keys: DataKeys, reference: string): Promise<boolean> {
  try {
    await keys.renew(reference);
    return true;
  } catch (err) {
    if (err instanceof KeyDestroyed) return false;
    throw err;
  }
}

/** @returns customers whose newest key was made before then: those that a rotation that was stopped has left */
async function listReferences(
  db: Statements,
  { after, madeBefore, limit }: { after: string; madeBefore: Date; limit: number },
): Promise<string[]> {
  const rows = await db.$queryRaw<{ reference: string }[]>`
    SELECT reference::text AS reference FROM customer_keys WHERE reference > ${after}::uuid
    GROUP BY reference HAVING bool_and(wrapped IS NOT NULL) AND max(created_at) < ${madeBefore}
    ORDER BY reference LIMIT ${limit}::int`;
  return rows.map(({ reference }) => reference);
}
