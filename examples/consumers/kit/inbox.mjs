/**
 * Inbox: of which events a consumer has had the effect. Events arrive at least once; that one was had and its effect are written in
 * one transaction, so that both are there or neither is. A note written first, by itself, would lose the effect in a crash; one
 * written afterwards would repeat it.
 *
 * One row per order (or customer), whatever it was told: `had` is the set of its numbers, `{[1,5)}` after four events, so a high-water
 * mark that shows its gaps. Numbers, not a single mark, since a gap may be rightful (a destination that begins in the middle of an
 * order, a binding to some types, an event that its producer's operators discarded), and may be filled: by a dead letter.
 *
 * Rows go INBOX_RETENTION after their newest event, by the events' own clock, and `forgotten_before` says up to where. An event from
 * before that of which nothing is known may have been had: it is not had again, but given to the dead letters for someone to decide.
 */
import { EFFECT_TABLES, haveEffect } from './effect.mjs';
import { TABLE_OF_LETTERS } from '../dead/table.mjs';

const TABLES = `
  CREATE TABLE IF NOT EXISTS inbox (
    consumer text, subject text,
    had int4multirange NOT NULL DEFAULT '{}', -- numbers of events whose effect was had
    held int4multirange NOT NULL DEFAULT '{}', -- numbers of those that lie in the dead letters
    newest timestamptz NOT NULL,
    PRIMARY KEY (consumer, subject));
  CREATE INDEX IF NOT EXISTS inbox_newest ON inbox (consumer, newest);
  CREATE TABLE IF NOT EXISTS horizons (consumer text PRIMARY KEY, forgotten_before timestamptz NOT NULL);
  CREATE TABLE IF NOT EXISTS cursors (consumer text PRIMARY KEY, after text NOT NULL);
  ${TABLE_OF_LETTERS} ${EFFECT_TABLES}`;

/** It may have been had, and what would say so has been removed. */
export class Forgotten extends Error {}

/**
 * Makes the subject's row if there is none, holds it to the end of the transaction, and says what it knows of the number. Of a message
 * that cannot be read the time is not known: then it is the events' newest, not this machine's, which may be far ahead of a backlog.
 */
const LOCK = `
  WITH mine AS (
    INSERT INTO inbox (consumer, subject, newest) VALUES ($1, $2,
      coalesce($4, (SELECT newest FROM inbox WHERE consumer = $1 ORDER BY newest DESC LIMIT 1), now()))
    ON CONFLICT (consumer, subject) DO UPDATE SET newest = greatest(inbox.newest, excluded.newest) RETURNING *)
  SELECT had @> $3::int AS "isHad", held @> $3::int AS "isHeld", lower(held) AS "heldFrom", upper(had) > $3::int AS "isLate" FROM mine`;

/** No row: it may have been forgotten. Asked after the lock, since the row may have gone while that was waited for. */
const HAD = `
  UPDATE inbox SET had = had + int4multirange(int4range($3, $3 + 1)), held = held - int4multirange(int4range($3, $3 + 1))
  WHERE consumer = $1 AND subject = $2 AND (held @> $3::int
    OR NOT EXISTS (SELECT FROM horizons WHERE consumer = $1 AND forgotten_before > $4))`;

const HELD = `
  UPDATE inbox SET held = held + int4multirange(int4range($3, $3 + 1)) WHERE consumer = $1 AND subject = $2`;

/** What takes too long in the effect may be the event's fault, and is no fault of the event elsewhere. */
function ofEffect(err) {
  if (err instanceof Error) err.isOfEffect = true;
  throw err;
}

/** @param consumer its name: several may share a database */
export async function openInbox(db, consumer, { INBOX_RETENTION }) {
  await db.migrate(TABLES, 'inbox');
  const lock = async (client, { subject, sequence, time }) =>
    (await client.query(LOCK, [consumer, subject, sequence, time])).rows[0];
  return {
    /**
     * Has the event's effect, unless it was had before.
     * @returns `processed`; `ignored`: there was nothing to do; `duplicate`; `behind`: an earlier event of its subject lies in the
     *   dead letters, and it must lie there, too. @throws what the effect throws; then nothing was had
     */
    take: (event, { isReplay = false } = {}) =>
      db.inTransaction(async (client) => {
        const { isHad, isHeld, heldFrom, isLate } = await lock(client, event);
        if (isHad || (isHeld && !isReplay)) return { outcome: 'duplicate' };
        if (heldFrom !== null && heldFrom < event.sequence) return { outcome: 'behind', heldFrom };
        const noted = await client.query(HAD, [consumer, event.subject, event.sequence, event.time]);
        if (noted.rowCount === 0) throw new Forgotten();
        const hasEffect = await haveEffect(client, consumer, event).catch(ofEffect);
        return { outcome: hasEffect ? 'processed' : 'ignored', isLate };
      }),

    /** Whether this consumer has never been told anything, as far as it remembers. */
    isEmpty: async () => {
      const { rows } = await db.query(
        `SELECT NOT EXISTS (SELECT FROM inbox WHERE consumer = $1) AND NOT EXISTS (SELECT FROM horizons WHERE consumer = $1) AS "isEmpty"`,
        [consumer],
      );
      return rows[0].isEmpty;
    },

    /** Whether it was had (or discarded), and whether it lies in the dead letters. */
    stateOf: async ({ subject, sequence }) => {
      const { rows } = await db.query(
        'SELECT had @> $3::int AS "isHad", held @> $3::int AS "isHeld" FROM inbox WHERE consumer = $1 AND subject = $2',
        [consumer, subject, sequence],
      );
      return rows[0] ?? { isHad: false, isHeld: false };
    },

    /**
     * Holds a subject at one of its events, which lies in the dead letters, with the later ones behind it.
     * @param put lays it down, where the dead letters are in this database. @param isBehind of an event that is there only for an
     *   earlier one. @returns `held`; `known`: it was before; `free`: nothing is held any more that it would be behind
     */
    hold: (about, put, isBehind) =>
      db.inTransaction(async (client) => {
        const { isHad, isHeld, heldFrom } = await lock(client, about);
        if (isHad || isHeld) return 'known';
        if (isBehind && heldFrom === null) return 'free';
        await put(client);
        await client.query(HELD, [consumer, about.subject, about.sequence]);
        return 'held';
      }),

    /** Someone vouches that the effect is not to be had any more. */
    discard: (about) =>
      db.inTransaction(async (client) => {
        await lock(client, about);
        await client.query(HAD, [consumer, about.subject, about.sequence, new Date()]);
      }),

    /** Forgets what is older than INBOX_RETENTION, by the newest event's time: a consumer that was away for long forgets nothing. */
    forget: () =>
      db.inTransaction(async (client) => {
        const { rows } = await client.query(
          `INSERT INTO horizons SELECT $1, least(now(), max(newest)) - make_interval(secs => $2) FROM inbox WHERE consumer = $1
             HAVING count(*) > 0
           ON CONFLICT (consumer) DO UPDATE SET forgotten_before = greatest(horizons.forgotten_before, excluded.forgotten_before)
           RETURNING forgotten_before`,
          [consumer, INBOX_RETENTION / 1_000],
        );
        if (rows.length === 0) return 0;
        const gone = await client.query(`DELETE FROM inbox WHERE consumer = $1 AND newest < $2 AND isempty(held)`, [
          consumer,
          rows[0].forgotten_before,
        ]);
        return gone.rowCount;
      }),
  };
}
