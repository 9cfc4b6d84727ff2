/**
 * Texts that people write: names, reasons, messages. They are kept for ever, and shown on screens that believe what they print. So
 * none has control characters of either set in it (C1 moves a terminal's cursor as C0 does), what turns the direction of its line,
 * breaks lines or is not seen at all, nor half a character. Joiners stay: words and emoji need them.
 */
const PATTERN =
  '^[^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060\\u2066-\\u2069\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff]+$';
export const TEXT = new RegExp(PATTERN, 'u');
export const TEXT_RULE = 'without control characters and others that are not seen or turn the line’s direction';
