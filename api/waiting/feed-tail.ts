/**
 * The feed's tail: one reader of the feed's end for all streams that have come to it, which share what it has read. A stream
 * that is behind reads by itself, a piece at a time and in turn with the others, until it has come to the end.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import type { Database } from '../../domain/database.js';
import { type FeedEvent, type FeedPlace, readFeed, readFeedEnd } from '../../domain/outbox.js';
import { isBefore } from '../../domain/feed-horizon.js';
import { startLoop } from '../../runtime/loop.js';
import type { FeedCursor } from '../http/feed-cursors.js';
import { createKeptPieces, type FeedPiece, type KeptPieces, toPiece } from './feed-pieces.js';

export type FeedReader = {
  /** @returns undefined if it has come to the feed's end */
  read(signal: AbortSignal): Promise<FeedPiece | undefined>;
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
  /** As it is sent. */
  encode: (event: FeedEvent & FeedCursor) => string;
  pollMs: number;
  logger: Logger;
  /** Bytes that are kept for streams that are a little behind. */
  keptMaxBytes?: number;
};

const EVENTS_MAX = 100;
const KEPT_MAX_BYTES = 1_048_576;
/** A burst of notifications is one read. */
const LINGER_MS = 15;
/** Streams that are behind and read at a time. */
const CATCHING_UP_MAX = 2;
/** Streams that are woken before other requests get their turn. */
const WOKEN_MAX = 50;
/** Each stream costs a write per piece: with many of them, pieces are fewer and larger. */
const REST_PER_STREAM_MS = 0.25;
const REST_MAX_MS = 250;
const BACKOFF_MAX_MS = 2_000;

export function createFeedTail(options: FeedTailOptions): FeedTail {
  const { db, encode, pollMs, logger, keptMaxBytes = KEPT_MAX_BYTES } = options;
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
    const events = await readFeed(db, from, EVENTS_MAX);
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
  const catchUp = createCatchingUp(options, kept);

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
    follow: ({ known, ...from }) => {
      followers++;
      let place: FeedPlace = from;
      let isAtEnd = false;
      return {
        read: async (signal) => {
          if (kept.covers(place)) {
            const piece = kept.after(place);
            if (piece) place = piece.last;
            return piece;
          }
          if (isAtEnd) {
            isAtEnd = false; // if it has fallen behind again since, it reads by itself again
            return undefined;
          }
          const caughtUp = await catchUp({ ...place, ...(known && { known }) }, signal);
          place = caughtUp.place;
          isAtEnd = caughtUp.isAtEnd && caughtUp.piece !== undefined;
          return caughtUp.piece;
        },
        news: (signal) => news(place, signal),
        close: () => {
          followers--;
          if (followers === 0) kept.clear();
        },
      };
    },
    noteChange: () => {
      hasNews = true;
      if (waiting.size > 0) loop.wake();
    },
    stop: () => loop.stop(),
  };
}

type CaughtUp = { piece: FeedPiece | undefined; place: FeedPlace; isAtEnd: boolean };

/** Reads for streams that are behind, in turn. */
function createCatchingUp({ db, encode }: FeedTailOptions, kept: KeptPieces) {
  const turns = pLimit(CATCHING_UP_MAX);
  const readNext = async ({ known, ...place }: FeedCursor, signal: AbortSignal): Promise<CaughtUp> => {
    if (signal.aborted) return { piece: undefined, place, isAtEnd: false };
    const began = performance.now();
    const head = kept.head();
    const events = await readFeed(db, place, EVENTS_MAX);
    const { piece, isCut } = toPiece(events, (event) => encode({ ...event, ...(known && { known }) }));
    if (turns.pendingCount > 0) await pause(performance.now() - began); // half of the time is for other requests
    const reached = piece?.last ?? place;
    if (isCut || events.length === EVENTS_MAX) return { piece, place: reached, isAtEnd: false };
    // The tail had come to its head before this was read: between what was found and the head there is nothing.
    return { piece, place: head && isBefore(reached, head) ? head : reached, isAtEnd: true };
  };
  return (place: FeedCursor, signal: AbortSignal) => turns(readNext, place, signal);
}

/** A copy is walked: one that waits again at once is not woken again. */
async function wakeAll(waiting: Set<() => void>): Promise<void> {
  const all = [...waiting];
  for (let i = 0; i < all.length; i += WOKEN_MAX) {
    for (const done of all.slice(i, i + WOKEN_MAX)) done();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
