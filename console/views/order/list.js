/** The same as the picture, as a table: for those who read, search and copy, and for those who do not see pictures. */
import { duration, lasting, money, moment } from '../../lib/format.js';
import { Status, Table } from '../../lib/ui.js';
import { html } from '../../vendor/preact.js';
import { kindOf, LANES, sourceWord, statusWord } from './words.js';

/** @typedef {import('./words.js').Entry} Entry */

/** @param {Entry['lane']} lane */
const labelOf = (lane) => LANES.find((each) => each.lane === lane)?.label ?? lane;

/** @param {{ entries: readonly Entry[], atMs: number }} props */
export function List({ entries, atMs }) {
  const rows = entries.map((entry, i) => ({ ...entry, nth: String(i) }));
  return html`<${Table} label="What happened and what is awaited" rows=${rows} keyOf=${(/** @type {{ nth: string }} */ row) => row.nth} columns=${[
    { label: 'When', cell: (/** @type {Entry} */ entry) => html`<${When} entry=${entry} atMs=${atMs} />` },
    { label: 'Lane', cell: (/** @type {Entry} */ entry) => labelOf(entry.lane) },
    { label: 'What', cell: (/** @type {Entry} */ entry) => html`<${What} entry=${entry} />` },
    {
      label: 'Status',
      cell: (/** @type {Entry} */ { status }) => html`<${Status} kind=${kindOf(status)}>${statusWord(status)}<//>`,
    },
    { label: 'On record in', cell: (/** @type {Entry} */ entry) => sourceWord(entry.source) },
  ]} />`;
}

/** @param {{ entry: Entry, atMs: number }} props */
function When({ entry: { at, until, status }, atMs }) {
  if (at === null) return html`<span class="faint">to come</span>`;
  const time = html`<time datetime=${at}>${moment(at).replace(' UTC', '')}</time>`;
  const ahead = (Date.parse(at) - atMs) / 1_000;
  if (ahead > 0) return html`${time} <span class="faint">in ${duration(ahead)}</span>`;
  if (until === null)
    return html`${time} <span class="faint">for ${duration(-ahead)}${status === 'awaited' ? '' : ', until now'}</span>`;
  const took = Date.parse(until) - Date.parse(at);
  return took < 1 ? time : html`${time} <span class="faint">for ${lasting(took)}</span>`;
}

/** @param {{ entry: Entry }} props */
function What({ entry: { what, error, by, reason, money: moved } }) {
  return html`${what}
    ${moved?.reference && html`<div class="faint">${money(moved.amount, moved.currency)} · <code>${moved.reference}</code></div>`}
    ${error && html`<div class="error">${error.failure}${error.message !== null && `: ${error.message}`}</div>`}
    ${by && html`<div class="faint">by <code>${by}</code>${reason && `: ${reason}`}</div>`}`;
}
