/** Texts that people write: names, reasons, messages. They are kept for ever, and shown on screens that believe what they print. */

/**
 * What no text has in it: control characters of both sets (C1 moves a terminal's cursor as C0 does), what turns the direction of
 * the line it stands in, what breaks lines, what is not seen at all, halves of a character. Joiners stay: words and emoji need them.
 */
const FORBIDDEN =
  '\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060\\u2066-\\u2069\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff';

/** For schemas, which read it as Unicode. */
export const TEXT_PATTERN = `^[^${FORBIDDEN}]+$`;
export const TEXT = new RegExp(TEXT_PATTERN, 'u');
export const TEXT_RULE = 'without control characters and others that are not seen or turn the line’s direction';

/** @returns the text as it can be printed: old ones were let in with more in them */
export const escapeForbidden = (text: string): string =>
  text.replaceAll(ANY_FORBIDDEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

const ANY_FORBIDDEN = new RegExp(`[${FORBIDDEN}]`, 'gu');
