/** Cursor pages: every list takes `limit` and `cursor` and answers `next`. A cursor is opaque to clients. */
import { Type } from 'typebox';
import { Problem } from './problems.js';

export const Limit = Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'Entries per page' });
export const Cursor = Type.String({ minLength: 1, maxLength: 200, description: '`next` of the page before' });
export const Next = Type.Union([Type.String(), Type.Null()], {
  description: 'Cursor of the next page; null on the last',
});

export const encodeCursor = (place: string): string => Buffer.from(place).toString('base64url');

/** @throws Problem naming `pointer` if this is not a cursor that `encodeCursor` made of a place that `pattern` describes */
export function decodeCursor(cursor: string, pattern: RegExp, pointer = 'querystring/cursor'): string {
  const place = Buffer.from(cursor, 'base64url').toString();
  if (pattern.test(place) && encodeCursor(place) === cursor) return place;
  throw badCursor(pointer);
}

export function badCursor(pointer: string): Problem {
  const detail = 'is not a cursor of this list';
  return new Problem('invalid-request', `${pointer}: ${detail}`, { errors: [{ pointer, detail }] });
}

/**
 * Cuts one entry more than was asked for into a page.
 * @param rows  up to `limit + 1` rows
 * @param place of a row, from which the next page begins
 */
export function page<T>(rows: T[], limit: number, place: (row: T) => string): { rows: T[]; next: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { rows: shown, next: rows.length > limit && last !== undefined ? encodeCursor(place(last)) : null };
}
