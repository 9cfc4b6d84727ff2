/**
 * What a neighbour's Retry-After may make us do. Its number is not ours: only plain digits are understood, and no neighbour
 * makes us wait longer than we would by ourselves. RFC 9110, section 10.2.3, also allows a date: it would have us compare
 * our clock with a foreign one, so it counts as absent.
 */

/** The longest pause between two tries of a step, of an undo, which may stay down for hours, and so of anything of ours. */
export const STEP_PAUSE_MAX_MS = 15_000;
export const UNDO_PAUSE_MAX_MS = 60_000;

/** @returns how long to wait, at most `maxMs`; undefined if the header says nothing that is understood */
export function retryAfterMs(header: unknown, maxMs: number): number | undefined {
  if (typeof header !== 'string' || !/^[0-9]{1,10}$/.test(header)) return undefined;
  const askedMs = Number(header) * 1_000;
  return askedMs > 0 ? Math.min(askedMs, maxMs) : undefined;
}
