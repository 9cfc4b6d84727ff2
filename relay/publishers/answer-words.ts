/**
 * What a receiver says of an event that it does not take: of its answer only names of codes and fields, by which its people find
 * the fault. Sentences are withheld: what others write may quote the event, or what it was sent with (runtime/errors).
 */
import type http from 'node:http';

/** A problem's document is a few hundred bytes. */
const BYTES_MAX = 8_192;
/** The status has said the most of it: nothing waits for long for the rest. */
const READ_LIMIT_MS = 1_000;
const WORDS_MAX = 4;

/** As APIs name what is wrong, and where: RFC 9457, JSON:API and those that are like them. */
const NAMES = new Set([
  'code',
  'type',
  'error',
  'errorCode',
  'reason',
  'field',
  'pointer',
  'path',
  'param',
  'parameter',
]);
/** A code or a place in a document: no blank, no address, no number that could be one of a card or a phone. */
const NAME_LIKE = /^(?!.*\d{9})[A-Za-z0-9_./#[\]:$-]{1,80}$/;
const DEPTH_MAX = 4;

/** @returns the words of an answer that is JSON, as `code UNKNOWN_FIELD, field data.items`; '' if it has none */
export async function readWords(response: http.IncomingMessage): Promise<string> {
  if (!/\bjson\b/i.test(response.headers['content-type'] ?? '')) {
    response.resume();
    return '';
  }
  const text = await readText(response);
  try {
    return wordsIn(JSON.parse(text), DEPTH_MAX).slice(0, WORDS_MAX).join(', ');
  } catch {
    return ''; // cut off, or no JSON
  }
}

function readText(response: http.IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = () => {
      clearTimeout(timer);
      response.resume();
      resolve(Buffer.concat(chunks).toString());
    };
    const timer = setTimeout(end, READ_LIMIT_MS);
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= BYTES_MAX) chunks.push(chunk);
      else end();
    });
    for (const event of ['end', 'close', 'error']) response.once(event, end);
  });
}

function wordsIn(value: unknown, depth: number): string[] {
  if (depth === 0 || typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.slice(0, WORDS_MAX).flatMap((each) => wordsIn(each, depth - 1));
  return Object.entries(value).flatMap(([name, each]) => {
    if (typeof each === 'object') return wordsIn(each, depth - 1);
    return NAMES.has(name) && typeof each === 'string' && NAME_LIKE.test(each) ? [`${name} ${each}`] : [];
  });
}
