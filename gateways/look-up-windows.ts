/**
 * Windows: the times of the gateway's list that a look-up reads for one span of attempts. A span is noted by the database's
 * clock and the list is dated by the gateway's, so each window is the span converted by one opinion of what time it is there.
 *
 * The gateway's `Date` header is such an opinion, but a proxy may rewrite it, and an uncertain charge leaves no object of
 * ours whose `created` could contradict it. So where a header and the database's clock differ beyond the margin, both are
 * taken for true and one window is read for each, not everything in between: however far off a clock is, a look-up reads
 * as many windows as there are opinions, each as long as its span and its margins.
 */
import type { AttemptSpan, LookUpPlace } from './payments.js';

/** What a clock may have drifted between the attempt and the answer that it is now compared by. */
const CLOCK_MARGIN_MS = 60_000;
/**
 * Around the database's own time, which counts where the gateway's was never heard or is in doubt: clocks that are kept by NTP
 * differ by less. Windows that lie closer together than this are read as one: a page more costs less than a list more.
 */
const UNHEARD_MARGIN_MS = 5 * 60_000;

/** The gateway's search is late by a minute: whatever landed before these times, and near no attempt, it has shown. */
const SEARCH_LATE_MS = 2 * 60_000;

export type Window = { since: Date; until: Date };

/**
 * @param spans newest first
 * @param from where an earlier attempt of this look-up was cut off
 * @returns the same, and the last minutes: a charge may arrive however long after its attempt, and be too young for the search
 */
export function withLastMinutes(spans: AttemptSpan[], dbNow: Date, from: LookUpPlace | undefined): AttemptSpan[] {
  const [newest, ...older] = spans;
  const since = new Date(dbNow.getTime() - SEARCH_LATE_MS);
  if (newest && newest.until >= since) return [{ from: newest.from, until: dbNow }, ...older];
  // One that was cut off within its own last minutes goes on there: they reach up to now, and have their beginning still.
  const isCutOffThere = from && from.since < since && (!newest || from.since > newest.from);
  return [{ from: isCutOffThere ? from.since : since, until: dbNow }, ...spans];
}

/** @param heard what time it is there, by each of the gateway's last answers; ms since 1970 @returns newest first, disjoint */
export function windowsOf(span: AttemptSpan, dbNow: Date, heard: number[]): Window[] {
  const offsets = heard.map((nowMs) => nowMs - dbNow.getTime());
  const isInDoubt = offsets.length === 0 || offsets.some((offsetMs) => Math.abs(offsetMs) > CLOCK_MARGIN_MS);
  const windows = offsets.map((offsetMs) => windowOf(span, offsetMs, CLOCK_MARGIN_MS));
  if (isInDoubt) windows.push(windowOf(span, 0, UNHEARD_MARGIN_MS));
  return joined(windows.sort((a, b) => b.until.getTime() - a.until.getTime()));
}

const windowOf = ({ from, until }: AttemptSpan, offsetMs: number, marginMs: number): Window => ({
  since: new Date(from.getTime() + offsetMs - marginMs),
  until: new Date(until.getTime() + offsetMs + marginMs),
});

/** @param windows by their ends, newest first */
function joined(windows: Window[]): Window[] {
  const whole: Window[] = [];
  for (const window of windows) {
    const last = whole.at(-1);
    if (last && last.since.getTime() - window.until.getTime() <= UNHEARD_MARGIN_MS) {
      if (window.since < last.since) last.since = window.since;
    } else whole.push({ ...window });
  }
  return whole;
}
