/**
 * Pages: every list takes `limit` and a cursor, and answers `next`. A page is bounded in rows and in bytes, whatever stands in
 * its rows; the first row is given however large it is. It is read, and written as JSON, in pieces of some 64 KiB, so that no
 * page holds up the process or its memory, and no more is read from Postgres than a piece too much. A cursor is opaque to
 * clients.
 */
import type { FastifyReply } from 'fastify';
import pLimit from 'p-limit';
import { type TSchema, Type } from 'typebox';
import { Problem } from './problems.js';

export const Limit = Type.Integer({
  minimum: 1,
  maximum: 1000,
  default: 100,
  description: 'Entries per page, at most: a page is bounded in bytes too, and may hold fewer',
});
export const Cursor = Type.String({ minLength: 1, maxLength: 200, description: '`next` of the page before' });
export const Next = Type.Union([Type.String(), Type.Null()], {
  description: 'Cursor of the next page; null on the last, and only there: a page may hold fewer entries than `limit`',
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

/** As PAGE_BYTES_MAX says unless it is set: a thousand ordinary orders, or some 55 of a hundred lines. */
export const PAGE_BYTES_MAX = 512 * 1024;

/** How a page is asked for, and how its rows are come by. */
export type Listing<T> = {
  /** Rows at most, as the client has asked. */
  limit: number;
  /** Bytes at most, the first row excepted; undefined = the default. */
  bytesMax?: number | undefined;
  /** @param last row before them; undefined = as the request says. @returns rows in order; fewer than `rows` = the end */
  read: (last: T | undefined, rows: number) => Promise<T[]>;
};

/** `last`: the row that the page ends with. `more`: it is not the list's last. */
export type Page<T> = { texts: string[]; bytes: number; last: T | undefined; more: boolean };

/** What is read, and written as JSON, in one go: some 4 ms of the process. */
const PIECE_BYTES = 64 * 1024;
const PIECE_ROWS_MAX = 200;
/** Of rows whose size is not known yet. */
const FIRST_ROWS = 8;
/** Pieces in work at a time, beside the small first ones: of however many pages, others wait for two pieces at most. */
const inTurn = pLimit(2);

/** @param write one row as JSON */
export async function readPage<T>(listing: Listing<T>, write: (row: T) => string): Promise<Page<T>> {
  const { limit, bytesMax = PAGE_BYTES_MAX, read } = listing;
  const texts: string[] = [];
  let bytes = 0;
  let last: T | undefined;
  for (;;) {
    // One row more than is shown tells whether there is a next page.
    const wanted = Math.min(limit + 1 - texts.length, piece(texts.length, bytes, bytesMax));
    const rows = await (last === undefined ? read(last, wanted) : inTurn(read, last, wanted));
    for (const row of rows) {
      if (texts.length === limit) return { texts, bytes, last, more: true };
      const text = write(row);
      const size = Buffer.byteLength(text) + 1;
      if (texts.length > 0 && bytes + size > bytesMax) return { texts, bytes, last, more: true };
      texts.push(text);
      bytes += size;
      last = row;
    }
    if (rows.length < wanted) return { texts, bytes, last, more: false };
  }
}

/** @returns how many rows to read next: about as many as there is room for */
function piece(rows: number, bytes: number, bytesMax: number): number {
  if (rows === 0) return FIRST_ROWS;
  const fitting = Math.min(PIECE_BYTES, bytesMax - bytes) / (bytes / rows);
  return Math.min(PIECE_ROWS_MAX, Math.floor(fitting) + 1);
}

/** How a page is answered: its rows under a name, and `next`. */
export type Answered<T> = Listing<T> & {
  name: string;
  /** Of a row, as in the document. */
  schema: TSchema;
  /** What is written of a row; undefined = the row. */
  show?: (row: T) => unknown;
  /** @returns `next` */
  next: (page: Page<T>) => string | null;
  /** Whether the page, once it is read, may be answered; throws if not. */
  check?: () => Promise<void>;
  /** What the answer has beside them. */
  also?: Record<string, unknown>;
  /** What is said of the page in headers. */
  headers?: (page: Page<T>) => Record<string, string>;
};

/** Reads a page and answers it. */
export async function sendPage<T>(reply: FastifyReply, answered: Answered<T>): Promise<FastifyReply> {
  const { name, schema, show = (row) => row, next, also = {}, check } = answered;
  const compiled = reply.compileSerializationSchema(schema as { [key: string]: unknown }) as (row: unknown) => string;
  const page = await readPage(answered, (row) => compiled(show(row)));
  await check?.();
  reply.request.payForBytes(page.bytes);
  const rest = JSON.stringify({ ...also, next: next(page) }).slice(1);
  return reply
    .code(200)
    .headers(answered.headers?.(page) ?? {})
    .type('application/json; charset=utf-8')
    .send(`{${JSON.stringify(name)}:[${page.texts.join(',')}],${rest}`);
}

/** `next` of a list that has an end. @param place of a row, from which the next page begins */
export const nextBy =
  <T>(place: (row: T) => string) =>
  ({ more, last }: Page<T>): string | null =>
    more && last !== undefined ? encodeCursor(place(last)) : null;
