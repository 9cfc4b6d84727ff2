/** Places in the feed as clients keep them: `next` of a page, `id` of a stream's event. */
import type { FeedEvent, FeedPlace } from '../../domain/outbox.js';
import { encodeEvent } from './event-stream.js';
import { decodeCursor, encodeCursor } from './pages.js';

/** Eighteen digits stay within a bigint; transaction ids and positions do not live to see more. */
const PLACE = /^\d{1,18}-\d{1,18}$/;

export const encodePlace = ({ feedXid, feedPosition }: FeedPlace): string => encodeCursor(`${feedXid}-${feedPosition}`);

/** @throws Problem naming `pointer` */
export function decodePlace(cursor: string, pointer: string): FeedPlace {
  const [xid = '0', position = '0'] = decodeCursor(cursor, PLACE, pointer).split('-');
  return { feedXid: BigInt(xid), feedPosition: BigInt(position) };
}

/** As the feed's stream sends it. */
export const encodeFeedEvent = (event: FeedEvent): string => encodeEvent(encodePlace(event), event);
