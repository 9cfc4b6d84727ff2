/** How entries of a timeline are told: lanes, statuses with their signs, and the few words that fit into the picture. */
import { duration, money } from '../../lib/format.js';

/**
 * @typedef {object} Entry as GET /admin/orders/{id}/timeline has it
 * @property {string | null} at
 * @property {string | null} until
 * @property {'saga' | 'attempts' | 'money' | 'events' | 'deliveries'} lane
 * @property {string} kind
 * @property {string} status
 * @property {string} source
 * @property {string} what
 * @property {string} [step]
 * @property {{ first: number, last: number, times: number }} [attempts]
 * @property {{ failure: string, message: string | null }} [error]
 * @property {string} [by]
 * @property {string} [reason]
 * @property {{ amount: number, currency: string, reference: string | null }} [money]
 * @property {string} [destination]
 * @property {number[]} [sequences]
 */

/** @type {readonly { lane: Entry['lane'], label: string }[]} */
export const LANES = [
  { lane: 'saga', label: 'Saga' },
  { lane: 'attempts', label: 'Tries' },
  { lane: 'money', label: 'Money' },
  { lane: 'events', label: 'Events' },
  { lane: 'deliveries', label: 'Deliveries' },
];

/** @typedef {import('../../lib/ui.js').Kind} Kind */

/** @type {Record<string, Kind>} */
const KINDS = {
  done: 'good',
  delivered: 'good',
  refused: 'warn',
  failed: 'bad',
  skipped: 'info',
  undone: 'good',
  'nothing-to-undo': 'info',
  decided: 'info',
  'not-taken': 'warn',
  discarded: 'off',
  running: 'busy',
  retrying: 'warn',
  parked: 'bad',
  waiting: 'busy',
  dead: 'bad',
  disputed: 'bad',
  reported: 'bad',
  pending: 'off',
  awaited: 'off',
};
/** @param {string} status @returns {Kind} */
export const kindOf = (status) => KINDS[status] ?? 'info';

/** @type {Record<string, string>} */
const STATUSES = {
  'nothing-to-undo': 'nothing to undo',
  'not-taken': 'not taken',
  undone: 'done', // as the act itself is told: the undo was done
  dead: 'dead letter',
  pending: 'to come',
};
/** @param {string} status */
export const statusWord = (status) => STATUSES[status] ?? status;

/** @type {Record<string, string>} */
const SOURCES = {
  row: 'the order’s row',
  log: 'the saga’s log',
  saga: 'Temporal',
  event: 'the order’s events',
  gateway: 'the gateway',
  finding: 'reconciliation',
  relay: 'the relay',
};
/** @param {string} source */
export const sourceWord = (source) => SOURCES[source] ?? source;

/** @type {Record<string, Kind>} */
const SITUATIONS = {
  confirmed: 'good',
  cancelled: 'off',
  'under-way': 'busy',
  'waits-for-start': 'busy',
  unwinding: 'busy',
  'taking-back': 'busy',
  retrying: 'warn',
  paused: 'warn',
  'newer-plan': 'warn',
  'temporal-unreachable': 'warn',
};
/** @param {string} situation @returns {Kind} */
export const situationKind = (situation) => SITUATIONS[situation] ?? 'bad';
/** @param {string} situation */
export const situationWord = (situation) => situation.replaceAll('-', ' ');

/** @param {Entry} entry @param {number} nowMs @returns {string} what fits into the picture */
export function shortOf(entry, nowMs) {
  const { kind, what, step, attempts, money: moved, at, until, sequences, destination } = entry;
  switch (kind) {
    case 'step':
    case 'undo':
      return step ?? what;
    case 'attempt':
      return attempts && attempts.times > 1
        ? `tries ${attempts.first}–${attempts.last}`
        : `try ${attempts?.last ?? ''}`;
    case 'wait':
      return at === null
        ? what
        : `${step ? 'parked' : 'waited'} ${duration(((until === null ? nowMs : Date.parse(until)) - Date.parse(at)) / 1_000)}`;
    case 'charge':
    case 'refund':
    case 'dispute':
      return moved ? `${kind} ${money(moved.amount, moved.currency)}` : what;
    case 'delivery':
      return `${destination} ${sequences && sequences.length > 1 ? `${sequences[0]}–${sequences.at(-1)}` : (sequences?.[0] ?? '')}`;
    case 'begun':
      return 'begun';
    case 'next':
      if (/unwinds/.test(what)) return 'unwinds';
      return what.length > 24 ? `${what.slice(0, 23)}…` : what;
    default:
      return what.length > 28 ? `${what.slice(0, 27)}…` : what;
  }
}
