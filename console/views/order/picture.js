/** The picture of one order: a lane for each kind of thing, time from left to right. The list below it says the same to those who do not see it. */
import { count, duration, lasting, moment } from '../../lib/format.js';
import { SIGNS } from '../../lib/ui.js';
import { html } from '../../vendor/preact.js';
import { rowsOf, scaleOf, WIDTH } from './scale.js';
import { kindOf, LANES, shortOf, statusWord } from './words.js';

/** @typedef {import('./words.js').Entry} Entry */

/** A letter takes that much of the picture's width, at which it is as wide as it gets narrow. */
const LETTER = 1.15;
const SIGN = 4;
const ROWS_MAX = 8;
/** Of what comes at no time that is known, in the picture. */
const LATER_MAX = 3;

/** @param {{ entries: readonly Entry[], atMs: number, isFinal: boolean }} props `atMs` = when it was looked */
export function Picture({ entries, atMs, isFinal }) {
  const timed = entries.filter(({ at }) => at !== null);
  const moments = timed.flatMap(({ at, until }) =>
    [at, until].flatMap((each) => (each === null ? [] : [Date.parse(each)])),
  );
  const scale = scaleOf(isFinal ? moments : [...moments, atMs]);
  const from = Math.min(...moments);
  const to = Math.max(...moments, isFinal ? from : atMs);
  return html`<figure class="picture-frame">
    <div class="scroll" role="region" aria-label="Picture of the order’s time; the list below says the same" tabindex="0">
      <div class="picture" role="img" aria-label=${`From ${moment(from)} over ${lasting(to - from)}: ${count(entries.length, 'entry', 'entries')} in ${LANES.length} lanes, listed below`}>
        ${LANES.map(({ lane, label }) => html`<${Lane} key=${lane} label=${label} entries=${entries.filter((entry) => entry.lane === lane)} scale=${scale} atMs=${atMs} />`)}
        <div class="overlay">
          ${scale.cuts.map((cut) => html`<div class="cut" style=${{ left: `${cut.left}%`, width: `${cut.width}%` }}><span class="mark">${duration((cut.untilMs - cut.fromMs) / 1_000)}</span></div>`)}
          ${!isFinal && html`<div class="now" style=${{ left: `${scale.of(atMs)}%` }}><span class="mark">now</span></div>`}
        </div>
      </div>
    </div>
    <figcaption class="faint">${moment(from)} to ${moment(to)}, ${lasting(to - from)}.${scale.cuts.length > 0 && ` Idle times are cut short: ${scale.cuts.map((cut) => duration((cut.untilMs - cut.fromMs) / 1_000)).join(', ')}.`}${entries.some(({ at }) => at === null) && ' On the right: what is to come at no time that is known.'}</figcaption>
  </figure>`;
}

/** @param {{ label: string, entries: readonly Entry[], scale: import('./scale.js').Scale, atMs: number }} props */
function Lane({ label, entries, scale, atMs }) {
  const later = entries.filter(({ at }) => at === null);
  const items = [
    ...entries.filter(({ at }) => at !== null).map((entry) => placed(entry, scale, atMs)),
    ...later
      .slice(0, LATER_MAX)
      .map((entry) => ({ entry, left: WIDTH + 2, width: 100 - WIDTH - 2, bar: 0, text: shortOf(entry, atMs) })),
  ];
  const { rows, hidden } = rowsOf(
    items.toSorted((a, b) => a.left - b.left),
    ROWS_MAX,
  );
  const more = hidden + Math.max(0, later.length - LATER_MAX);
  return html`<div class="lane"><div class="lane-name">${label}${more > 0 && html`<small> +${more}</small>`}</div>
    <div class="track">${rows.length === 0 ? html`<div class="row"></div>` : rows.map((row) => html`<div class="row">${row.map((item) => html`<${Chip} ...${item} />`)}</div>`)}</div>
  </div>`;
}

/**
 * @param {Entry} entry
 * @param {import('./scale.js').Scale} scale
 * @param {number} atMs
 */
function placed(entry, scale, atMs) {
  const at = Date.parse(/** @type {string} */ (entry.at));
  const until = entry.until === null ? Math.max(at, atMs) : Date.parse(entry.until);
  const left = scale.of(at);
  // What goes on ends at the line of now, which is in the scale; what is to come is a moment.
  const bar = Math.max(0, scale.of(until) - left);
  const text = shortOf(entry, atMs);
  const width = Math.max(bar, SIGN + text.length * LETTER);
  return { entry, left: Math.min(left, Math.max(0, 100 - width)), width, bar, text };
}

/** @param {{ entry: Entry, left: number, width: number, bar: number, text: string }} props */
function Chip({ entry, left, width, bar, text }) {
  const kind = kindOf(entry.status);
  const title = `${entry.what} (${statusWord(entry.status)})${entry.at === null ? '' : `, ${moment(entry.at)}`}`;
  return html`<div class=${`chip ${kind} ${entry.until === null ? 'open' : ''}`} title=${title} style=${{ left: `${left}%`, width: `${width}%` }}>
    <div class="bar" style=${{ width: `${width > 0 ? Math.min(100, (bar / width) * 100) : 0}%` }}></div>
    <span class="text"><span class="sign">${SIGNS[kind]}</span> ${text}</span>
  </div>`;
}
