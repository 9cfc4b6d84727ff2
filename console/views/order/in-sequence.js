/**
 * An order's events are numbered in the order in which they came about. Of two steps that run side by side, the one that has waited for the
 * other is dated by its beginning: then its time is the earlier, and its number the later. The number is right.
 */

/** @typedef {import('./words.js').Entry} Entry */

const LATER = '~'; // behind every time

/** @param {readonly Entry[]} entries by time @returns {Entry[]} so that no event stands before one with a smaller number, and nothing ends before it begins */
export function inSequence(entries) {
  const first = (/** @type {Entry} */ { lane, sequences }) => (lane === 'events' ? (sequences?.[0] ?? 0) : 0);
  /** @type {Map<Entry, string>} */
  const times = new Map();
  let newest = '';
  for (const entry of entries.filter((each) => each.at && first(each) > 0).toSorted((a, b) => first(a) - first(b))) {
    if (entry.at && entry.at > newest) newest = entry.at;
    times.set(entry, newest);
  }
  const straight = entries.map((entry) => {
    const at = times.get(entry) ?? entry.at;
    return { ...entry, at, until: at !== null && entry.until !== null && entry.until < at ? at : entry.until };
  });
  return straight.toSorted((a, b) => {
    const [atA, atB] = [a.at ?? LATER, b.at ?? LATER];
    if (atA !== atB) return atA < atB ? -1 : 1;
    return first(a) > 0 && first(b) > 0 ? first(a) - first(b) : 0;
  });
}
