/**
 * Scans of the gateway's lists: each is read a few pages per pass, and goes on where it was. They find what reading the
 * newest entries cannot: charges that changed later, refunds that fail after days, disputes.
 */
import type { Database } from '../domain/database.js';
import { endScan, keepScan, readScan, type ScanName } from '../domain/reconciliation-scans.js';
import { GatewayUnknown, type Page, type PageRequest } from '../gateways/payments.js';

const DAY_MS = 86_400_000;

/** How far back the lists are read again, and how often. All of them variables; here are the defaults. */
export type ScanSettings = {
  /** A young refund is looked at this often, with or without an event. */
  refundCheckEveryMs: number;
  refundYoungForMs: number;
  /** An older one this often, for as long as refunds can fail and disputes come. */
  refundRecheckEveryMs: number;
  refundFollowForMs: number;
};
export const SCAN_DEFAULTS: ScanSettings = {
  refundCheckEveryMs: 4 * 60_000,
  refundYoungForMs: DAY_MS,
  refundRecheckEveryMs: 45 * 60_000,
  refundFollowForMs: 60 * DAY_MS,
};

/** The gateway forgets idempotency keys after 24 h: what happens to a charge by accident has happened by then. */
const CHARGES_WINDOW_MS = 26 * 3_600_000;
const CHARGES_EVERY_MS = 3_600_000;
/** Per pass and scan, so that none delays another for long: 500 entries, or 90,000 an hour. */
const PAGES_MAX = 5;
/** Clocks differ by less: an entry at the edge is read once too often rather than never. */
export const CLOCK_SKEW_MS = 5 * 60_000;

export type Scanned = { name: ScanName; windowMs: number; everyMs: number };

export const scansOf = (settings: ScanSettings): Record<'charges' | 'refunds' | 'disputes', Scanned[]> => {
  const young = { windowMs: settings.refundYoungForMs, everyMs: settings.refundCheckEveryMs };
  const old = { windowMs: settings.refundFollowForMs, everyMs: settings.refundRecheckEveryMs };
  const gap = { windowMs: 0, everyMs: 0 };
  return {
    charges: [
      { name: 'charges-gap', ...gap },
      { name: 'charges-day', windowMs: CHARGES_WINDOW_MS, everyMs: CHARGES_EVERY_MS },
    ],
    refunds: [
      { name: 'refunds-gap', ...gap },
      { name: 'refunds-young', ...young },
      { name: 'refunds-old', ...old },
    ],
    disputes: [
      { name: 'disputes-young', ...young },
      { name: 'disputes-old', ...old },
    ],
  };
};

/**
 * Reads a scan on, if it is due or under way.
 * @param gatewayNow what time it is at the gateway
 * @throws what a page throws; the place is kept
 */
export async function readOn<T>(
  db: Database,
  { name, windowMs, everyMs }: Scanned,
  gatewayNow: Date,
  list: (request: PageRequest) => Promise<Page<T>>,
  examine: (items: T[]) => Promise<void>,
): Promise<void> {
  const scan = await readScan(db, name);
  if (scan.since === null && !scan.isDue) return;
  const since = scan.since ?? new Date(gatewayNow.getTime() - windowMs - CLOCK_SKEW_MS);
  let after = scan.after ?? undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page = await list({ since, ...(after !== undefined && { after }) }).catch(async (err: unknown) => {
      // A scan that can never go on would be worse than one more from the start.
      if (err instanceof GatewayUnknown && err.isPlaceGone)
        await keepScan(db, name, { since, until: null, after: null });
      throw err;
    });
    await examine(page.items);
    after = page.after;
    if (after === undefined) return endScan(db, name, everyMs);
    await keepScan(db, name, { since, until: null, after });
  }
}
