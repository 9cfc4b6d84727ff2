/**
 * JSON bodies, read strictly: bytes that are not UTF-8 and keys that stand twice in one object are refused rather than
 * mended, because a program before us (a proxy, a filter, a signer) may have mended them otherwise.
 */
import { isUtf8 } from 'node:buffer';
import { Problem } from './problems.js';

/** @throws Problem malformed-json */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) throw malformed('The body is empty.');
  if (!isUtf8(bytes)) throw malformed('The body is not UTF-8.');
  const text = bytes.toString('utf8').replace(/^\ufeff/, '');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('The body cannot be parsed as JSON.');
  }
  if (countKeys(value) !== countSpelledKeys(text)) throw malformed('A key stands twice in one object.');
  return value;
}

const malformed = (detail: string) => new Problem('malformed-json', detail);

/** Keys that are left after parsing, at any depth: without recursion, because depth is the sender's choice. */
function countKeys(value: unknown): number {
  let count = 0;
  const rest = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    if (typeof next !== 'object' || next === null) continue;
    const parts = Object.values(next);
    if (!Array.isArray(next)) count += parts.length;
    for (const part of parts) rest.push(part);
  }
  return count;
}

const [QUOTE, BACKSLASH, COLON] = ['"', '\\', ':'].map((sign) => sign.charCodeAt(0));

/** Keys as they stand in the text: in valid JSON, as many as there are colons outside of strings. */
function countSpelledKeys(text: string): number {
  let count = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at++) {
    const sign = text.charCodeAt(at);
    if (sign === QUOTE) isInString = !isInString;
    else if (isInString) at += sign === BACKSLASH ? 1 : 0;
    else if (sign === COLON) count++;
  }
  return count;
}
