/** Moments in queries, as orders and the audit trail are searched by them. */
import { Type } from 'typebox';
import { parseMoment } from '../../runtime/moments.js';
import { Problem } from './problems.js';

/** UTC unless it says otherwise; a date alone is its first moment. Days that there are: of centuries every fourth has a 29th of February. */
const DAY_31 = '(0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])';
const DAY_30 = '(0[469]|11)-(0[1-9]|[12]\\d|30)';
const LEAP_YEAR = '(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)';
const DATE = `(\\d{4}-(${DAY_31}|${DAY_30}|02-(0[1-9]|1\\d|2[0-8]))|${LEAP_YEAR}-02-29)`;
const HOUR_MINUTE = '([01]\\d|2[0-3]):[0-5]\\d';
const MOMENT = `^${DATE}(T${HOUR_MINUTE}(:[0-5]\\d(\\.\\d{1,9})?)?(Z|[+-]${HOUR_MINUTE})?)?$`;
export const moment = (description: string) => Type.Optional(Type.String({ pattern: MOMENT, description }));

/** @returns ms since 1970  @throws Problem for what the pattern lets pass and no calendar has */
export function momentOf(name: string, text: string): number {
  const ms = parseMoment(text);
  if (!Number.isNaN(ms)) return ms;
  const error = { pointer: `querystring/${name}`, detail: 'must be a moment, such as 2026-11-21T09:00:00Z' };
  throw new Problem('invalid-request', `${error.pointer}: ${error.detail}`, { errors: [error] });
}
