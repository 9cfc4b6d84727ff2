/**
 * The feed's tail: one reader of the feed's end for all streams that have come to it, which share what it has read. A stream
 * that is behind reads by itself, a piece at a time and in turn with the others, until it has come to the end.
 */
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Database } from '../../domain/database.js';
import { type FeedEvent, type FeedPlace, readFeed, readFeedEnd } from '../../domain/outbox.js';
import { isBefore } from '../../domain/feed-horizon.js';
import type { Reading } from '../../domain/sealing/of-customers.js';
import { startLoop } from '../../runtime/loop.js';
import type { FeedCursor } from '../http/feed-cursors.js';
import { createCatchingUp } from './feed-catching-up.js';
import { createKeptPieces, EVENTS_MAX, type FeedPiece, type KeptPieces, toPiece } from './feed-pieces.js';

export type FeedReader = {
  /** @returns undefined if it has come to the feed's end */
  read(): Promise<FeedPiece | undefined>;
  /** Resolves when there may be more, or when `signal` aborts. */
  news(signal: AbortSignal): Promise<void>;
  close(): void;
};

export type FeedTail = {
  /** @param from.known goes into the ids of the events (http/feed-cursors) */
  follow(from: FeedCursor): FeedReader;
  /** An event has been stored, or may have been. */
  noteChange(): void;
  stop(): Promise<void>;
};

export type FeedTailOptions = {
  db: Database;
  /** Of who stands behind a reference. */
  reading: Reading;
  /** As it is sent. */
  encode: (event: FeedEvent & FeedCursor) => string;
  pollMs: number;
  logger: Logger;
  /** Bytes that are kept for streams that are a little behind. */
  keptMaxBytes?: number;
};

const KEPT_MAX_BYTES = 1_048_576;
/** A burst of notifications is one read. */
const LINGER_MS = 15;
/** Streams that are woken before other requests get their turn. */
const WOKEN_MAX = 20;
/** Each stream costs a write per piece: with many of them, pieces are fewer and larger. */
const REST_PER_STREAM_MS = 0.5;
const REST_MAX_MS = 500;
const BACKOFF_MAX_MS = 2_000;

export function createFeedTail(options: FeedTailOptions): FeedTail {
  const { db, reading, encode, pollMs, logger, keptMaxBytes = KEPT_MAX_BYTES } = options;
  const kept = createKeptPieces(keptMaxBytes);
  const waiting = new Set<() => void>();
  let followers = 0;
  let hasNews = false;

  const readOn = async (): Promise<boolean> => {
    if (waiting.size === 0) return false;
    hasNews = false;
    const from = kept.head();
    if (!from) {
      kept.beginAt(await readFeedEnd(db)); // not at the place of a stream: that is what a client says
      await wakeAll(waiting);
      return false;
    }
    const events = await readFeed(db, from, EVENTS_MAX, reading);
    const { piece, isCut } = toPiece(events, encode);
    if (!piece || kept.head() !== from) return false;
    kept.add(piece);
    const woken = waiting.size;
    await wakeAll(waiting);
    await pause(Math.min(REST_MAX_MS, woken * REST_PER_STREAM_MS));
    return isCut || events.length === EVENTS_MAX;
  };
  const loop = startLoop(
    { name: 'the feed’s tail', everyMs: pollMs, backoffMaxMs: BACKOFF_MAX_MS, lingerMs: LINGER_MS, logger },
    readOn,
  );
  const catchUp = createCatchingUp({ db, reading, encode }, kept);

  const news = (place: FeedPlace, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const head = kept.head();
      // The first one at the end, or the first after all have been behind.
      if (waiting.size === 0 && (!head || isBefore(head, place))) {
        kept.clear();
        hasNews = true;
      } else if (head && (!kept.covers(place) || kept.after(place))) return resolve();
      if (signal.aborted) return resolve();
      const done = () => {
        waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      waiting.add(done);
      signal.addEventListener('abort', done);
      if (hasNews) loop.wake();
    });

  return {
    follow: (from) => {
      followers++;
      const close = () => {
        followers--;
        if (followers === 0) kept.clear();
      };
      return createReader(from, { kept, catchUp, news, close });
    },
    noteChange: () => {
      hasNews = true;
      if (waiting.size > 0) loop.wake();
    },
    stop: () => loop.stop(),
  };
}

type Tail = {
  kept: KeptPieces;
  catchUp: ReturnType<typeof createCatchingUp>;
  news: (place: FeedPlace, signal: AbortSignal) => Promise<void>;
  close: () => void;
};

function createReader({ known, ...from }: FeedCursor, { kept, catchUp, news, close }: Tail): FeedReader {
  let place: FeedPlace = from;
  let isAtEnd = false;
  return {
    read: async () => {
      if (kept.covers(place)) {
        const piece = kept.after(place);
        if (piece) place = piece.last;
        return piece;
      }
      if (isAtEnd) {
        isAtEnd = false; // if it has fallen behind again since, it reads by itself again
        return undefined;
      }
      const caughtUp = await catchUp({ ...place, ...(known && { known }) });
      place = caughtUp.place;
      isAtEnd = caughtUp.isAtEnd && caughtUp.piece !== undefined;
      return caughtUp.piece;
    },
    news: (signal) => news(place, signal),
    close,
  };
}

/** A copy is walked: one that waits again at once is not woken again. */
async function wakeAll(waiting: Set<() => void>): Promise<void> {
  const all = [...waiting];
  for (let i = 0; i < all.length; i += WOKEN_MAX) {
    const began = performance.now();
    for (const done of all.slice(i, i + WOKEN_MAX)) done();
    await nextTurn(); // by then they have written
    if (all.length > WOKEN_MAX) await pause(performance.now() - began); // half of the time is for other requests
  }
}
