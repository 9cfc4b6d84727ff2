/**
 * Texts that people write: names, reasons, messages. They are kept for ever, and shown on screens that believe what they print. So
 * none has control characters of either set in it (C1 moves a terminal's cursor as C0 does), what turns the direction of its line,
 * breaks lines or is not seen at all (soft hyphens, fillers and operators without a shape among them), nor half a character.
 * Joiners, selectors and tags stay: words, emoji and flags need them.
 */
const PATTERN =
  '^[^\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u115f\\u1160\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\\ud800-\\udfff]+$';
export const TEXT = new RegExp(PATTERN, 'u');
export const TEXT_RULE = 'without control characters and others that are not seen or turn the line’s direction';
