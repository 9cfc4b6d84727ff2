/** Request headers with a grammar of their own. */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Type } from 'typebox';
import { v7 as uuidv7 } from 'uuid';
import { personalFormInId } from '../../contracts/personal-data.js';
import { Problem } from './problems.js';

/** Of the schema of a route that takes an Idempotency-Key. Its grammar is checked where it is read. */
export const IdempotencyKeyHeader = {
  'idempotency-key': Type.Optional(Type.String({ description: '1 to 255 visible ASCII characters; kept 7 days' })),
};

/**
 * `Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header-07: a string in double quotes; the bare spelling that most
 * clients send is taken as well and means the same key.
 * @returns the key, or undefined if the header is absent
 * @throws Problem invalid-idempotency-key
 */
export function parseIdempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const text = Array.isArray(header) ? header.join(',') : header;
  const quoted = text.startsWith('"') || text.endsWith('"');
  const key = quoted ? unquote(text) : text;
  if (key === undefined || !/^[\x21-\x7e]{1,255}$/.test(key) || (!quoted && key.includes('"'))) {
    throw new Problem(
      'invalid-idempotency-key',
      'Idempotency-Key must be 1 to 255 visible ASCII characters, bare or in double quotes.',
    );
  }
  return key;
}

/** sf-string of RFC 8941: \" and \\ are the only escapes. @returns undefined if it is badly quoted */
function unquote(text: string): string | undefined {
  if (!/^"(?:[^"\\]|\\["\\])*"$/.test(text)) return undefined;
  return text.slice(1, -1).replace(/\\(["\\])/g, '$1');
}

/** SHA-256 over the request; object keys in one order, so that the spelling of the JSON does not matter. */
export function fingerprint(...parts: unknown[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(JSON.stringify(parts, sortedKeys)).digest());
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const WAIT_MAX_S = 30;

/** `Prefer: wait=N` (RFC 7240). @returns seconds, at most 30; undefined if absent or not understood, as the RFC asks */
export function parsePreferWait(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  for (const preference of text.split(/[,;]/)) {
    const match = /^\s*wait\s*=\s*"?(\d{1,6})"?\s*$/i.exec(preference);
    if (match) return Math.min(WAIT_MAX_S, Number(match[1]));
  }
  return undefined;
}

/**
 * A client's correlation id is kept only if it is harmless in a log line and in a header, and looks like nothing of a person (it is
 * in every line, event and at the gateway); otherwise one is made.
 */
export const CORRELATION_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** @returns the client's own, or one that is made */
export function correlationIdOf(headers: IncomingHttpHeaders): string {
  const given = headers['x-correlation-id'];
  return typeof given === 'string' && isHarmlessId(given) ? given : uuidv7();
}

/** W3C Trace Context, version 00. @returns the header if it is well-formed */
export function parseTraceparent(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(header) ? header : undefined;
}

export const isHarmlessId = (id: string): boolean => CORRELATION_ID.test(id) && personalFormInId(id) === undefined;
