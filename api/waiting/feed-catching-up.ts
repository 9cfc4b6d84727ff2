/**
 * Reading for streams of the feed that are behind its tail: a piece at a time, a few streams at a time, in turn. Those that are
 * at one place, as all are whose server has been started again, share what is read there.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Database } from '../../domain/database.js';
import { isBefore } from '../../domain/feed-horizon.js';
import { type FeedEvent, type FeedPlace, readFeed } from '../../domain/outbox.js';
import type { Reading } from '../../domain/sealing/of-customers.js';
import { cursorOf, type FeedCursor } from '../http/feed-cursors.js';
import { EVENTS_MAX, type FeedPiece, type KeptPieces, SHOWN_MAX_MS, toPiece } from './feed-pieces.js';

/** `place`: where the stream is when it has sent the piece. */
type CaughtUp = { piece: FeedPiece | undefined; place: FeedPlace; isAtEnd: boolean };

/** Streams that read at a time. */
const PARALLEL_MAX = 2;
/** What is read at so many places is kept, of 64 KiB each. */
const PLACES_MAX = 16;

export function createCatchingUp(
  { db, reading, encode }: { db: Database; reading: Reading; encode: (event: FeedEvent & FeedCursor) => string },
  kept: Pick<KeptPieces, 'head'>,
): (from: FeedCursor) => Promise<CaughtUp> {
  const turns = pLimit(PARALLEL_MAX);
  const shared = new Map<string, { reading: Promise<CaughtUp>; sinceMs: number }>();

  const readNext = async ({ known, ...place }: FeedCursor): Promise<CaughtUp> => {
    const began = performance.now();
    const head = kept.head();
    const events = await readFeed(db, place, EVENTS_MAX, reading);
    const { piece, isCut } = toPiece(events, (event) => encode({ ...event, ...(known && { known }) }));
    if (turns.pendingCount > 0) await pause(performance.now() - began); // half of the time is for other requests
    const reached = piece?.last ?? place;
    if (isCut || events.length === EVENTS_MAX) return { piece, place: reached, isAtEnd: false };
    // The tail had come to its head before this was read: between what was found and the head there is nothing.
    return { piece, place: head && isBefore(reached, head) ? head : reached, isAtEnd: true };
  };

  return async (from) => {
    const key = cursorOf(from);
    const known = shared.get(key);
    if (known && performance.now() - known.sinceMs < SHOWN_MAX_MS) return known.reading;
    const reading = turns(readNext, from);
    shared.set(key, { reading, sinceMs: performance.now() });
    const [oldest] = shared.keys();
    if (shared.size > PLACES_MAX && oldest !== undefined) shared.delete(oldest);
    try {
      const caughtUp = await reading;
      if (caughtUp.isAtEnd) shared.delete(key); // a full piece stays what it is: nothing is ever stored before it
      return caughtUp;
    } catch (err) {
      shared.delete(key);
      throw err;
    }
  };
}
