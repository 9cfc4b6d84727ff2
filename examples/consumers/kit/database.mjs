/** This consumer's own Postgres: a pool, transactions, and what its being away looks like. */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

/** Not the name of a table of yours, nor of the service's, should they share a database on a laptop. */
const SCHEMA = 'example_consumers';
const CONNECT_LIMIT_MS = 5_000;
/** A statement that takes longer is given up: by Postgres, and by this side where Postgres is silent. */
const STATEMENT_LIMIT_MS = 10_000;
const SILENCE_LIMIT_MS = 15_000;
/** Shorter, so that waiting for another's lock is told from work that takes too long: the first is no fault of the event. */
const LOCK_LIMIT_MS = 5_000;
/** A machine that has lost its power says nothing: Postgres asks, and frees what it held. */
const NOTICE_DEATH = '-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3';
const LIMITS = { connectionTimeoutMillis: CONNECT_LIMIT_MS, query_timeout: SILENCE_LIMIT_MS };
/** Between two looks whether it is back. */
const LOOK_EVERY_MS = 500;

/** Of class 57, and yet the event's where it is the effect that takes too long: what the inbox asks takes long where the disk or the processor does. */
const STATEMENT_TOO_LONG = '57014';
/** What the client says after SILENCE_LIMIT_MS: Postgres has not even given up, as in a COMMIT that waits for its disk. */
const SILENT = 'Query read timeout';
/** Connections, passwords, resources, operators, the system: nothing that an event has caused. 40 = a deadlock, 55 = a lock, 25 = read-only. */
const OUTAGE_CLASSES = ['08', '25', '28', '3D', '3F', '40', '53', '55', '57', '58'];
/** A table or column that is not there, or that this program may not use: a migration or a restore is under way, or was forgotten. */
const UNPREPARED = ['42501', '42703', '42P01'];

export function openDatabase({ DATABASE_URL, CONCURRENCY }) {
  const pool = new pg.Pool({
    connectionString: DATABASE_URL,
    max: CONCURRENCY + 1,
    ...LIMITS,
    options: `-c search_path=${SCHEMA} -c statement_timeout=${STATEMENT_LIMIT_MS} -c lock_timeout=${LOCK_LIMIT_MS} -c TimeZone=UTC`,
  });
  pool.on('error', () => undefined); // an idle connection was lost: the next query makes another
  return {
    query: (...args) => pool.query(...args),
    /** @param work is given the connection; what it returns is returned once that is committed */
    async inTransaction(work) {
      const client = await pool.connect();
      client.on('error', ignore); // lost in the middle: the query says so
      try {
        await client.query('BEGIN');
        const result = await work(client);
        await client.query('COMMIT');
        client.release();
        return result;
      } catch (err) {
        client.release(err); // closes the connection, and with it the transaction
        throw err;
      } finally {
        client.off('error', ignore);
      }
    },
    /**
     * What one program at a time may have, for as long as this connection lives. Resolves once nobody else has it.
     * @returns `lost`, which resolves when the connection has gone, and `release`
     */
    async haveAlone(name, signal) {
      const client = new pg.Client({
        connectionString: DATABASE_URL,
        options: NOTICE_DEATH,
        keepAlive: true,
        ...LIMITS,
      });
      const lost = new Promise((resolve) => client.on('error', resolve).on('end', resolve));
      const release = () => client.end().catch(ignore);
      try {
        await client.connect();
        while (!signal.aborted) {
          const { rows } = await client.query('SELECT pg_try_advisory_lock(hashtext($1), hashtext($2)) AS "isMine"', [
            SCHEMA,
            name,
          ]);
          if (rows[0].isMine) return { lost, release };
          await pause(LOOK_EVERY_MS);
        }
        throw new Error('it was told to end');
      } catch (err) {
        await release();
        throw err;
      }
    },
    /** Makes the tables, unless this one is there. Two may start at once. */
    async migrate(tables, marker) {
      const { rows } = await pool.query('SELECT to_regclass($1) IS NOT NULL AS "isThere"', [`${SCHEMA}.${marker}`]);
      if (rows[0].isThere) return; // CREATE … IF NOT EXISTS would wait for whoever works with them
      await pool.query(
        `BEGIN; SELECT pg_advisory_xact_lock(1); CREATE SCHEMA IF NOT EXISTS ${SCHEMA}; ${tables} COMMIT`,
      );
    },
    /** Whether it lacks what this program needs there: at the start that is for someone to mend, later it may come back. */
    isUnprepared: (err) => UNPREPARED.includes(err?.code),
    /** Whether an error is the database's: then nothing is said about the event, and it is tried again without an end. */
    async isAway(err) {
      const code = String(err?.code ?? '');
      if (code === STATEMENT_TOO_LONG) return err.isOfEffect !== true;
      if (err?.message === SILENT) return true;
      if (/^E[A-Z]{4,}$/.test(code)) return true; // a connection that was refused, or reset: it may be back by now
      if (UNPREPARED.includes(code) || (/^\w{5}$/.test(code) && OUTAGE_CLASSES.includes(code.slice(0, 2)))) return true;
      return (await whyAway(pool)) !== undefined;
    },
    /** Resolves when it answers. @param say is told, once, why it does not */
    async back(signal, say) {
      for (let looks = 1; !signal.aborted; looks++) {
        const why = await whyAway(pool);
        if (why === undefined) return;
        if (looks === 1) say(why);
        await pause(LOOK_EVERY_MS);
      }
    },
    close: () => pool.end(),
  };
}

const ignore = () => undefined;

/** @returns undefined if it answers */
const whyAway = (pool) =>
  pool.query('SELECT 1').then(
    () => undefined,
    (err) => err,
  );
