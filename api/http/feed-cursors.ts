/**
 * Cursors of events, and the check that nothing has left between one and what comes after it. A reader of the feed that
 * begins at the oldest event may stand before the horizon for a while, where a destination still owes old events: its cursor
 * then says which horizon it knew when it began, so that only what leaves after that is a gap to it.
 */
import type { Database } from '../../domain/database.js';
import { type FeedHorizon, isBefore, readFeedHorizon } from '../../domain/feed-horizon.js';
import { FEED_START, type FeedPlace, readOrderEvents } from '../../domain/outbox.js';
import { encodeCursor } from './pages.js';
import { Problem } from './problems.js';

/** Eighteen digits stay within a bigint; transaction ids and positions do not live to see more. */
export const PLACE = /^\d{1,18}-\d{1,18}(-\d{1,18}-\d{1,18})?$/;
/** Of one order's events. */
export const SEQUENCE = /^\d{1,9}$/;

/** `known`: the horizon that its reader began beyond; undefined = it has read everything before its place. */
export type FeedCursor = FeedPlace & { known?: FeedPlace };

export const cursorOf = ({ feedXid, feedPosition, known }: FeedCursor): string =>
  encodeCursor(
    `${feedXid}-${feedPosition}${known && isBefore({ feedXid, feedPosition }, known) ? `-${known.feedXid}-${known.feedPosition}` : ''}`,
  );

/** @param cursor decoded, as PLACE describes it */
export function placeOf(cursor: string): FeedCursor {
  const [xid = '0', position = '0', knownXid, knownPosition] = cursor.split('-');
  const place = { feedXid: BigInt(xid), feedPosition: BigInt(position) };
  if (knownXid === undefined || knownPosition === undefined) return place;
  return { ...place, known: { feedXid: BigInt(knownXid), feedPosition: BigInt(knownPosition) } };
}

/** For a reader that has read nothing yet: what has left before it came is no gap. */
export async function beginFeed(db: Database): Promise<FeedCursor> {
  const horizon = await readFeedHorizon(db);
  return { ...FEED_START, ...(horizon && { known: { feedXid: horizon.feedXid, feedPosition: horizon.feedPosition } }) };
}

/**
 * To be asked **after** what follows the place has been read: what had not left by then has been read.
 * @throws Problem events-gone if events that came after the place have left
 */
export async function requireKept(db: Database, place: FeedCursor): Promise<void> {
  const horizon = await readFeedHorizon(db);
  if (horizon && isBefore(place, horizon) && (!place.known || isBefore(place.known, horizon)))
    throw gone(place, horizon);
}

function gone(place: FeedCursor, horizon: FeedHorizon): Problem {
  const until = horizon.occurredAt.toISOString();
  const { feedXid, feedPosition } = horizon;
  const oldest = cursorOf({ ...place, known: { feedXid, feedPosition } });
  return new Problem(
    'events-gone',
    `Events after this place have left the feed; the newest that has is of ${until}. Repeat with after=${oldest} to go on with the oldest event that is kept, without them.`,
    { oldest, gap: { after: cursorOf(place), until } },
  );
}

/**
 * The same for one order's events, whose sequence has no gaps: what follows it must be the next one.
 * @param next     sequence of the first event after it that is there; undefined = there is none
 * @throws Problem events-gone
 */
export async function requireSequenceKept(db: Database, orderId: string, after: number, next?: number): Promise<void> {
  if (next === after + 1) return;
  const order = await db.order.findUnique({ where: { id: orderId }, select: { eventCount: true } });
  if (!order || order.eventCount <= after) return;
  // The next one may have been written since.
  const [first] = await readOrderEvents(db, orderId, after, 1, 'reference'); // only its sequence is of interest
  if (first?.sequence === after + 1) return;
  const left = (first?.sequence ?? order.eventCount + 1) - 1;
  const oldest = encodeCursor(`${left}`);
  throw new Problem(
    'events-gone',
    `Events ${after + 1} to ${left} of this order have left. Repeat with cursor=${oldest} to go on with the oldest that is kept, without them.`,
    { oldest, gap: { after: encodeCursor(`${after}`) } },
  );
}
