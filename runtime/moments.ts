/** Moments as people write them, in a query or an option: ISO 8601, in UTC unless they say otherwise; a day alone is its first moment. */

const WHOLE = /^(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?$/;
/** Beyond it, ISO 8601 has years that Postgres does not read, as it has before year 1. */
const LAST_MS = Date.UTC(9999, 11, 31);

/** @returns ms since 1970, of a time that Postgres reads; NaN for what is no moment, or on a day that the calendar does not have */
export function parseMoment(text: string): number {
  const [, day = '', time = ''] = WHOLE.exec(text) ?? [];
  if (!isDay(day)) return Number.NaN;
  const zone = time === '' || /(Z|[+-]\d\d:\d\d)$/.test(time) ? '' : 'Z';
  return Math.min(Math.max(Date.parse(`${day}${time.replace(' ', 'T')}${zone}`), 0), LAST_MS);
}

/** Date.parse takes 30 February for 2 March. */
function isDay(day: string): boolean {
  const ms = Date.parse(day);
  return Number.isFinite(ms) && new Date(ms).toISOString().startsWith(day);
}
