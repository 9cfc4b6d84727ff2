/** Pieces of the feed, written out once; and those of the feed's end, kept for all streams that are there or a little behind. */
import { isBefore } from '../../domain/feed-horizon.js';
import type { FeedEvent, FeedPlace } from '../../domain/outbox.js';

/** Events written out: what a stream sends next, and the place that it has then come to. */
export type FeedPiece = { bytes: Uint8Array; last: FeedPlace };
type DividedPiece = FeedPiece & { readAtMs: number; ends: { place: FeedPlace; byte: number }[] };

/** Events that are read at a time. */
export const EVENTS_MAX = 100;
/** What one stream holds in memory while its reader is slow, about: an event may have 10 KB. */
const PIECE_BYTES = 65_536;

/** For so long a piece is shown to others: who stands behind an event's customer may have been erased since it was written out. */
export const SHOWN_MAX_MS = 2_000;
export const isShown = ({ readAtMs }: DividedPiece): boolean => performance.now() - readAtMs < SHOWN_MAX_MS;

/** @returns as many of the events as make a piece; `isCut`: not all of them */
export function toPiece(
  events: FeedEvent[],
  encode: (event: FeedEvent) => string,
): { piece: DividedPiece | undefined; isCut: boolean } {
  const parts: Buffer[] = [];
  const ends: DividedPiece['ends'] = [];
  let byte = 0;
  for (const event of events) {
    if (byte >= PIECE_BYTES) break;
    const part = Buffer.from(encode(event));
    parts.push(part);
    byte += part.length;
    ends.push({ place: { feedXid: event.feedXid, feedPosition: event.feedPosition }, byte });
  }
  const last = ends.at(-1)?.place;
  return {
    piece: last && { bytes: Buffer.concat(parts), last, ends, readAtMs: performance.now() },
    isCut: parts.length < events.length,
  };
}

export type KeptPieces = {
  /** Up to here all is kept, or has been; undefined = nothing is. */
  head(): FeedPlace | undefined;
  /** Begins anew at a place. */
  beginAt(place: FeedPlace): void;
  clear(): void;
  add(piece: DividedPiece): void;
  /** Whether all between the place and the head is there. */
  covers(place: FeedPlace): boolean;
  /** @returns undefined if there is nothing after the place */
  after(place: FeedPlace): FeedPiece | undefined;
};

export function createKeptPieces(maxBytes: number): KeptPieces {
  let head: FeedPlace | undefined;
  let from: FeedPlace | undefined;
  let pieces: DividedPiece[] = [];
  let size = 0;
  const begin = (place?: FeedPlace) => {
    head = from = place;
    pieces = [];
    size = 0;
  };
  const dropOldest = () => {
    const dropped = pieces.shift() as DividedPiece;
    from = dropped.last;
    size -= dropped.bytes.length;
  };
  const dropOld = () => {
    while (pieces[0] && !isShown(pieces[0])) dropOldest();
  };
  return {
    head: () => head,
    beginAt: begin,
    clear: begin,
    add: (piece) => {
      pieces.push(piece);
      head = piece.last;
      size += piece.bytes.length;
      while (size > maxBytes && pieces.length > 1) dropOldest();
    },
    covers: (place) => {
      dropOld();
      return from !== undefined && !isBefore(place, from);
    },
    after: (place) => {
      // From the new end, where most streams are.
      const piece = pieces[1 + pieces.findLastIndex(({ last }) => !isBefore(place, last))];
      const seen = piece?.ends.findLast((end) => !isBefore(place, end.place));
      return piece && seen ? { bytes: piece.bytes.subarray(seen.byte), last: piece.last } : piece;
    },
  };
}
