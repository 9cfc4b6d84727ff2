/** How numbers, money, moments and ids are written. */

/** Digits behind the point of our minor units: ISO's, but for those that the gateway counts whole (contracts/currencies.ts). */
const WHOLE = new Set(['ISK', 'UGX', 'MGA']);
const numbers = new Intl.NumberFormat('en');
/** @type {Map<string, Intl.NumberFormat>} */
const formats = new Map();

/** @param {string} currency @returns {Intl.NumberFormat | undefined} undefined = it is none that can be spelled */
function formatOf(currency) {
  const known = formats.get(currency);
  if (known || !/^[A-Za-z]{3}$/.test(currency)) return known;
  const digits = WHOLE.has(currency) ? { minimumFractionDigits: 0, maximumFractionDigits: 0 } : {};
  const made = new Intl.NumberFormat('en', { style: 'currency', currency, currencyDisplay: 'code', ...digits });
  formats.set(currency, made);
  return made;
}

/**
 * @param {number} amount in the currency's minor unit
 * @param {string | null} currency
 * @returns {string} such as `EUR 1,234.50`; it never throws: what is about no money has no currency, and says so
 */
export function money(amount, currency) {
  const format = currency === null ? undefined : formatOf(currency);
  if (!format && currency?.trim()) return `${currency} ${numbers.format(amount)} (minor units)`;
  if (!format) return amount ? `${numbers.format(amount)} of no currency` : 'no money';
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(amount / 10 ** digits).replace(/\u00a0/g, ' ');
}

/**
 * @param {string} text such as `49` or `49.00`
 * @param {string} currency
 * @returns {number | undefined} in the currency's minor unit; undefined = it is no amount of it
 */
export function minorOf(text, currency) {
  const digits = formatOf(currency)?.resolvedOptions().maximumFractionDigits;
  const [, whole, rest = ''] = /^(\d{1,12})(?:\.(\d+))?$/.exec(text) ?? [];
  if (digits === undefined || whole === undefined || rest.length > digits) return undefined;
  return Number(whole + rest.padEnd(digits, '0'));
}

/** @param {number} n */
export const number = (n) => numbers.format(n);

/** @param {number} n @param {string} one @param {string} [many] @returns {string} such as `14 sagas` */
export const count = (n, one, many = `${one}s`) => `${number(n)} ${plural(n, one, many)}`;

/** @param {number} n @param {string} one @param {string} [many] @returns {string} such as `is`, `are` */
export const plural = (n, one, many = `${one}s`) => (n === 1 ? one : many);

/** Per currency; what has none is left out. @param {readonly { amount: number, currency: string | null }[]} moneys */
export function sumOf(moneys) {
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const { amount, currency } of moneys)
    if (currency?.trim()) sums.set(currency, (sums.get(currency) ?? 0) + amount);
  return [...sums].map(([currency, amount]) => ({ currency, amount }));
}

const UNITS = /** @type {const} */ ([
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
]);

/** @param {number} seconds @returns {string} in at most two units: `2 h 5 min` */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const at = UNITS.findIndex(([, size]) => whole >= size);
  if (at === -1) return '0 s';
  const [unit, size] = UNITS[at] ?? ['s', 1];
  const next = UNITS[at + 1];
  const rest = next ? Math.floor((whole % size) / next[1]) : 0;
  return `${Math.floor(whole / size)} ${unit}${next && rest > 0 ? ` ${rest} ${next[0]}` : ''}`;
}

/** @param {number} ms @returns {string} as `duration`, and to the millisecond below a second */
export const lasting = (ms) => (ms < 1_000 ? `${Math.round(ms)} ms` : duration(ms / 1_000));

/** @param {string | number | Date} moment @returns {string} to the second, in UTC, as logs have it */
export const moment = (moment) => `${new Date(moment).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/** Enough of an id to tell it from its neighbours: UUIDv7s differ in their ends. @param {string} id */
export const shortId = (id) => (id.length <= 13 ? id : `${id.slice(0, 4)}…${id.slice(-8)}`);
