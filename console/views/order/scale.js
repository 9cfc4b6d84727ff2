/** The picture's scale: time from left to right, in which long times without anything are cut short, and say how long they were. */

/** @typedef {{ fromMs: number, untilMs: number, left: number, width: number }} Cut */
/** @typedef {{ of: (ms: number) => number, cuts: Cut[] }} Scale `of` gives the place of a moment, from 0 to `WIDTH` */

/** Per cent of the picture that times take; what comes at no time that is known stands behind. */
export const WIDTH = 78;
const CUT_WIDTH = 5;
/** Shorter than that is never cut. */
const IDLE_MIN_MS = 10_000;
/** A gap is idle time if it is more than this share of all that is not cut. */
const IDLE_SHARE = 0.2;

/**
 * @param {readonly number[]} moments in ms since 1970, in any order
 * @returns {Scale}
 */
export function scaleOf(moments) {
  const at = [...new Set(moments)].toSorted((a, b) => a - b);
  const gaps = at.slice(1).map((ms, i) => ({ fromMs: /** @type {number} */ (at[i]), untilMs: ms, isCut: false }));
  let left = gaps.reduce((sum, gap) => sum + lengthOf(gap), 0);
  for (const gap of gaps.toSorted((a, b) => lengthOf(b) - lengthOf(a))) {
    if (lengthOf(gap) < IDLE_MIN_MS || lengthOf(gap) < left * IDLE_SHARE) break;
    gap.isCut = true;
    left -= lengthOf(gap);
  }
  const cutCount = gaps.filter(({ isCut }) => isCut).length;
  const cutWidth = cutCount === 0 ? 0 : Math.min(CUT_WIDTH, WIDTH / 2 / cutCount);
  const perMs = left > 0 ? (WIDTH - cutWidth * cutCount) / left : 0;
  const places = new Map([[at[0] ?? 0, 0]]);
  /** @type {Cut[]} */
  const cuts = [];
  let place = 0;
  for (const gap of gaps) {
    const width = gap.isCut ? cutWidth : lengthOf(gap) * perMs;
    if (gap.isCut) cuts.push({ fromMs: gap.fromMs, untilMs: gap.untilMs, left: place, width });
    place += width;
    places.set(gap.untilMs, place);
  }
  return { of: (ms) => places.get(ms) ?? 0, cuts };
}

/** @param {{ fromMs: number, untilMs: number }} gap */
const lengthOf = ({ fromMs, untilMs }) => untilMs - fromMs;

/**
 * Puts what would lie on top of each other into rows.
 * @template {{ left: number, width: number }} T
 * @param {readonly T[]} items by their left ends
 * @param {number} rowsMax what fits in none of them is left out
 * @returns {{ rows: T[][], hidden: number }}
 */
export function rowsOf(items, rowsMax) {
  /** @type {T[][]} */
  const rows = [];
  let hidden = 0;
  for (const item of items) {
    const free = rows.find((row) => {
      const last = row.at(-1);
      return !last || last.left + last.width <= item.left;
    });
    if (free) free.push(item);
    else if (rows.length < rowsMax) rows.push([item]);
    else hidden++;
  }
  return { rows, hidden };
}
