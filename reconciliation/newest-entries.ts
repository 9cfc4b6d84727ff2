/** Reading a list's newest entries, back to where the last pass began; what one pass cannot read to the end becomes a gap. */
import type { Position } from '../domain/reconciliation-cursor.js';
import { openGap } from '../domain/reconciliation-scans.js';
import type { Page, PageRequest } from '../gateways/payments.js';
import { advance, gatewayNow, type Pass } from './pass-state.js';
import { CLOCK_SKEW_MS } from './scans.js';

/**
 * How far each pass reads behind the newest charge of the one before: for a list that is late, or whose entries change
 * while it is read. A minute is what Stripe grants its search; at 10 orders/s it is 6 pages per pass.
 */
export const OVERLAP_MS = 60_000;
/** Of the newest entries, per pass; what is more becomes a gap, which is read on beside the next passes. */
const PAGES_MAX = 50;

/**
 * Reads a list from its newest entry back to where the last pass began. What it cannot read to the end becomes a gap, and
 * the next pass begins at its own newest all the same.
 */
export async function readNewest<T extends { createdAt: Date }>(
  pass: Pass,
  name: 'charges' | 'refunds',
  list: (request: PageRequest) => Promise<Page<T>>,
  examinePage: (items: T[], next: Position) => Promise<void>,
): Promise<void> {
  const position = pass.cursor[name];
  let next = position;
  let after: string | undefined;
  const breakOff = async (at: string) => {
    await openGap(pass.deps.db, `${name}-gap`, position.from, at);
    await advance(pass, { [name]: next });
  };
  for (let pages = 0; ; pages++) {
    if (after !== undefined && pages >= PAGES_MAX) return breakOff(after);
    let page: Page<T>;
    try {
      page = await list({ since: position.from, ...(after !== undefined && { after }) });
    } catch (err) {
      if (after !== undefined) await breakOff(after);
      throw err;
    }
    // Newest first, so the first page says where the next pass will begin.
    if (after === undefined) next = nextPosition(position, page.items[0], pass.cursor.now, gatewayNow(pass));
    await examinePage(page.items, next);
    after = page.after;
    if (after === undefined) return advance(pass, { [name]: next });
    await advance(pass);
  }
}

/**
 * The next pass begins an overlap behind the newest. While nothing new comes, the overlap is used up as time goes by, so
 * that a quiet hour does not read its last busy minutes again and again; only the time between two looks of ours is
 * measured, so no two clocks are compared.
 */
function nextPosition(last: Position, first: { createdAt: Date } | undefined, now: Date, there: Date): Position {
  // An entry from the future, as a test clock dates it, must not have the next passes begin after all others.
  const latest = new Date(there.getTime() + CLOCK_SKEW_MS);
  const seen = first && (first.createdAt > latest ? latest : first.createdAt);
  const hasMoved = seen !== undefined && seen > last.newest;
  const newest = hasMoved ? seen : last.newest;
  const movedAt = hasMoved ? now : last.movedAt;
  const quietMs = Math.max(0, now.getTime() - movedAt.getTime());
  const from = new Date(newest.getTime() - Math.max(0, OVERLAP_MS - quietMs));
  return { newest, movedAt, from: from > last.from ? from : last.from };
}
