/**
 * Orders accepted, confirmed and cancelled in each minute of the last hour, kept in memory: what a process has counted of a minute that is over
 * it never counts again. It goes forward with the feed, and back from where it began, a page at a time, until it has an hour.
 */
import type { Database } from '../../domain/database.js';
import { type FlowOfMinute, type FlowPage, readFlowAfter, readFlowUpTo } from '../../domain/flow.js';
import { type FeedPlace, readFeedEnd } from '../../domain/outbox.js';

const MINUTE_MS = 60_000;
const MINUTES = 60;
/** Of one look: 100,000 events. A process that slept through more begins anew. */
const PAGES_MAX = 5;

export type Rates = {
  /** From the first minute that is counted as a whole on; the last one is still being filled. */
  minutes: FlowOfMinute[];
};

export function createRates(db: Database, now: () => number = Date.now) {
  let counted = new Map<number, FlowOfMinute>();
  /** The feed has been counted after `begun` up to `end`, and back to before `back`; undefined = nothing is yet, or all of the hour is. */
  let end: FeedPlace | undefined;
  let back: FeedPlace | undefined;
  /** The first minute that is counted as a whole. */
  let wholeFrom = 0;

  const add = ({ minutes }: FlowPage) => {
    for (const each of minutes) {
      const known = counted.get(each.minute) ?? { minute: each.minute, accepted: 0, confirmed: 0, cancelled: 0 };
      known.accepted += each.accepted;
      known.confirmed += each.confirmed;
      known.cancelled += each.cancelled;
      counted.set(each.minute, known);
    }
  };
  const begin = async () => {
    const newest = await readFeedEnd(db);
    counted = new Map();
    end = newest;
    back = newest;
    wholeFrom = Number.POSITIVE_INFINITY;
  };
  const goForward = async () => {
    for (let pages = 0; pages < PAGES_MAX; pages++) {
      const page = await readFlowAfter(db, end as FeedPlace);
      add(page);
      end = page.end ?? end;
      if (page.isLast) return;
    }
    end = undefined;
  };
  const goBack = async (from: number) => {
    const page = await readFlowUpTo(db, back as FeedPlace);
    add(page);
    const oldest = Math.min(...page.minutes.map(({ minute }) => minute));
    if (page.isLast || page.end === null || oldest < from) {
      back = undefined;
      wholeFrom = 0;
    } else {
      back = { ...page.end, feedPosition: page.end.feedPosition - 1n };
      wholeFrom = oldest + MINUTE_MS;
    }
  };
  return async (): Promise<Rates> => {
    const current = Math.floor(now() / MINUTE_MS) * MINUTE_MS;
    const from = current - (MINUTES - 1) * MINUTE_MS;
    if (end === undefined) await begin();
    await goForward();
    if (back !== undefined) await goBack(from);
    for (const minute of counted.keys()) if (minute < from) counted.delete(minute);
    const minutes: FlowOfMinute[] = [];
    for (let minute = Math.max(from, Math.min(wholeFrom, current)); minute <= current; minute += MINUTE_MS)
      minutes.push(counted.get(minute) ?? { minute, accepted: 0, confirmed: 0, cancelled: 0 });
    return { minutes };
  };
}
