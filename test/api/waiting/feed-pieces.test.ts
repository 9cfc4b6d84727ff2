import { describe, expect, test } from '@jest/globals';
import { createKeptPieces, toPiece } from '../../../api/waiting/feed-pieces.js';
import type { FeedEvent } from '../../../domain/outbox.js';

const placeOf = (n: number) => ({ feedXid: BigInt(Math.floor(n / 3)), feedPosition: BigInt(n) });
const events = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => placeOf(from + i) as FeedEvent);
const encode = ({ feedPosition }: FeedEvent) => `${feedPosition};`;
const text = (piece: { bytes: Uint8Array } | undefined) => piece && Buffer.from(piece.bytes).toString();

/** Events 1 to 9 in three pieces, after place 0. */
function kept(maxBytes = 1_000) {
  const pieces = createKeptPieces(maxBytes);
  pieces.beginAt(placeOf(0));
  for (const from of [1, 4, 7]) {
    const { piece } = toPiece(events(from, from + 2), encode);
    if (piece) pieces.add(piece);
  }
  return pieces;
}

describe('what is kept of the feed', () => {
  test('goes on after any place: at the end of a piece, amid one, or before all', () => {
    const pieces = kept();
    const answers = Array.from({ length: 10 }, (_, n) => text(pieces.after(placeOf(n))));
    expect(answers).toEqual(['1;2;3;', '2;3;', '3;', '4;5;6;', '5;6;', '6;', '7;8;9;', '8;9;', '9;', undefined]);
    expect(pieces.after(placeOf(4))?.last).toEqual(placeOf(6));
    expect(pieces.after(placeOf(12))).toBeUndefined();
  });

  test('forgets the oldest beyond its size, and then no longer covers what came before', () => {
    const pieces = kept(12);
    expect([0, 2, 3, 9, 12].map((n) => pieces.covers(placeOf(n)))).toEqual([false, false, true, true, true]);
    pieces.clear();
    expect(pieces.covers(placeOf(9))).toBe(false);
  });

  test('is cut where a piece would become large', () => {
    const { piece, isCut } = toPiece(events(1, 9), () => 'x'.repeat(20_000));
    expect([piece?.last, isCut]).toEqual([placeOf(4), true]);
  });
});
