/**
 * The feed's completeness, for readers that come to its end. Moments are noted as requests come; one is good for all who read the
 * end after everyone had ended who was writing at that moment. Each process notes its own: what it says is true of itself.
 */
import type { FeedMoment } from '../../domain/feed-moments.js';

/** Closer together than this they would tell a reader nothing. */
const EVERY_MS = 50;
/** While a writer does not end, moments wait for it: every second one goes when there are so many. */
const WAITING_MAX = 1_000;

/** @returns notes a moment, and says up to when a reader is complete who reads the feed's end after it; undefined = unknown */
export function createFeedAsOf(): (now: FeedMoment) => Date | undefined {
  let noted: FeedMoment[] = [];
  return (now) => {
    const newest = noted.at(-1);
    if (!newest || now.at.getTime() - newest.at.getTime() >= EVERY_MS) noted.push(now);
    if (noted.length > WAITING_MAX) noted = noted.filter((_, index) => index % 2 === 0);
    if (isSettled(now, now)) {
      noted = [now];
      return now.at;
    }
    const last = noted.findLastIndex((moment) => isSettled(moment, now));
    noted = noted.slice(Math.max(last, 0)); // older ones say less
    return last === -1 ? undefined : noted[0]?.at;
  };
}

/** Whoever had an id at the moment has ended. */
const isSettled = (moment: FeedMoment, now: FeedMoment): boolean => moment.nextXid <= now.settledBelow;
