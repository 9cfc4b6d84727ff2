/**
 * What becomes of a migration whose process was killed. Prisma writes a row when it begins a migration and another word into it when it
 * is through; a process that was killed in between leaves a row that Prisma takes for a failed migration, which every deploy refuses
 * until somebody has resolved it by hand. Here a script is one transaction, and that word is a part of it: what has not said that it is
 * through has changed nothing, and is begun anew.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { indexThatIsCreated, isConcurrent } from './migration-scripts.mjs';

/** Prisma's: whoever carries out migrations holds it, for as long as its session lasts, even if nobody waits for the answer. */
const MIGRATE_LOCK = 72_707_369;
const ASK_MS = 500;
const TABLE = '"_prisma_migrations"';
const OPEN = 'finished_at IS NULL AND rolled_back_at IS NULL AND logs IS NULL';

const literal = (text) => `'${text.replaceAll("'", "''")}'`;

/** @returns the script that says of itself, in its own transaction, that it is through; one that cannot be in a transaction as it is */
export const thatSaysSo = (script, name) =>
  isConcurrent(script)
    ? script
    : `${script}\n;\nUPDATE ${TABLE} SET finished_at = clock_timestamp() WHERE migration_name = ${literal(name)} AND ${OPEN}`;

/**
 * @param {import('pg').Client} client a session of its own
 * @param {Map<string, string>} scripts name → script of each migration that there is
 * @param {{ patienceMs: number, onWait: () => void, signal?: AbortSignal }} options for how long one that is still being carried out is waited for
 * @returns {Promise<string[]>} the names of those that were interrupted, and are begun anew
 */
export async function clearInterrupted(client, scripts, { patienceMs, onWait, signal }) {
  if ((await readOpen(client)).length === 0) return [];
  if (!(await takeLock(client, { patienceMs, onWait, signal }))) return [];
  try {
    const cleared = [];
    for (const name of await readOpen(client)) {
      const script = scripts.get(name);
      if (script === undefined) continue; // of a release that this one does not know
      const column = (await isBuilt(client, script)) ? 'finished_at' : 'rolled_back_at';
      await client.query(`UPDATE ${TABLE} SET ${column} = clock_timestamp() WHERE migration_name = $1 AND ${OPEN}`, [
        name,
      ]);
      if (column === 'rolled_back_at') cleared.push(name);
    }
    return cleared;
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [MIGRATE_LOCK]);
  }
}

async function readOpen(client) {
  const { rows: there } = await client.query(`SELECT to_regclass('${TABLE}') IS NOT NULL AS is_there`);
  if (!there[0]?.is_there) return [];
  const { rows } = await client.query(`SELECT migration_name AS name FROM ${TABLE} WHERE ${OPEN} ORDER BY started_at`);
  return rows.map(({ name }) => name);
}

/** The killed process's session goes on with its statement until that ends: so long nobody may say that it has changed nothing. */
async function takeLock(client, { patienceMs, onWait, signal }) {
  const giveUpAt = Date.now() + patienceMs;
  for (let tries = 1; ; tries++) {
    const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS is_ours', [MIGRATE_LOCK]);
    if (rows[0].is_ours) return true;
    if (Date.now() > giveUpAt || signal?.aborted) return false;
    if (tries === 1) onWait();
    await sleep(ASK_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** An index that was built outside of a transaction may have been finished although nobody was left to write that down. */
async function isBuilt(client, script) {
  const name = isConcurrent(script) ? indexThatIsCreated(script) : undefined;
  if (name === undefined) return false;
  const { rows } = await client.query(
    `SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE c.relname = $1 AND c.relnamespace = current_schema()::regnamespace`,
    [name],
  );
  return rows[0]?.indisvalid === true;
}
