/**
 * The erasure journal as a table of a Postgres cluster that is not the service's, made at its first use: for installations on several
 * machines, which share no file.
 */
import type { PoolClient } from 'pg';
import {
  JOURNAL_START,
  type JournalEntry,
  type JournalNote,
  type JournalPlace,
} from '../../contracts/erasure-journal.js';
import { entryAfter, verifyChain, verifyPlace } from './chain.js';
import { type ErasureJournal, JournalAway, JournalSpoilt } from './journal.js';

const TABLE = 'order_saga_erasure_journal';
const COLUMNS = 'position::float8 AS position, at, kind, erasure_id AS "erasureId", customer::text AS customer, hash';
const CREATE = `CREATE TABLE IF NOT EXISTS ${TABLE} (
  position BIGINT PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, erasure_id TEXT NOT NULL, customer UUID NOT NULL, hash TEXT NOT NULL)`;
/** Of those who append; and of those who make the table, which two at once cannot. */
const LOCK = `SELECT pg_advisory_xact_lock(hashtext('${TABLE}'))`;
const CLUSTER = 'SELECT system_identifier::text AS id FROM pg_control_system()';
const UNDEFINED_TABLE = '42P01';

/** Connections with timeouts of their own; one on which a work has failed is closed. */
export type Connections = {
  use<T>(work: (client: PoolClient) => Promise<T>): Promise<T>;
  end(): Promise<void>;
};

export function openPostgresJournal(pool: Connections, where: string): ErasureJournal {
  return {
    where,
    append: (note) => asked(where, () => pool.use((client) => inTransaction(client, () => append(client, note)))),
    readAfter: (place, limit) => asked(where, () => pool.use((client) => readAfter(client, where, { place, limit }))),
    cluster: () =>
      asked(where, async () => {
        const { rows } = await pool.use((client) => client.query<{ id: string }>(CLUSTER));
        return rows[0]?.id ?? null;
      }),
    close: () => pool.end(),
  };
}

async function append(client: PoolClient, note: JournalNote): Promise<JournalEntry> {
  await client.query(LOCK);
  await client.query(CREATE);
  const { rows } = await client.query<JournalPlace>(`SELECT ${COLUMNS} FROM ${TABLE} ORDER BY position DESC LIMIT 1`);
  const entry = entryAfter(rows[0] ?? JOURNAL_START, note, new Date());
  const { position, at, kind, erasureId, customer, hash } = entry;
  await client.query(
    `INSERT INTO ${TABLE} (position, at, kind, erasure_id, customer, hash) VALUES ($1, $2, $3, $4, $5, $6)`,
    [position, at, kind, erasureId, customer, hash],
  );
  return entry;
}

async function readAfter(
  client: PoolClient,
  where: string,
  { place, limit }: { place: JournalPlace; limit: number },
): Promise<JournalEntry[]> {
  const rows = await client
    .query<JournalEntry>(`SELECT ${COLUMNS} FROM ${TABLE} WHERE position >= $1 ORDER BY position LIMIT $2`, [
      place.position,
      limit + 1,
    ])
    .then(
      (result) => result.rows,
      (err: { code?: string }) => {
        if (err.code === UNDEFINED_TABLE) return [];
        throw err;
      },
    );
  const found = rows[0]?.position === place.position ? rows.shift() : undefined;
  verifyPlace(place, found, where);
  const entries = rows.slice(0, limit);
  verifyChain(place, entries, where);
  return entries;
}

/** One that fails is undone with its connection. */
async function inTransaction<T>(client: PoolClient, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  // What a role or a server has by default may acknowledge what is not yet on a disk.
  await client.query(`SET LOCAL synchronous_commit = 'on'`);
  const result = await work();
  await client.query('COMMIT');
  return result;
}

/** Whatever the other database says against it, only that it cannot be had is known. */
async function asked<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (err) {
    if (err instanceof JournalSpoilt) throw err;
    const { code = '', message } = err as { code?: string; message: string };
    if (message.startsWith('Bug!')) throw err;
    throw new JournalAway(`the erasure journal ${where} does not answer (${code || message})`, { cause: err });
  }
}
