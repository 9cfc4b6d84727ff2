/**
 * A line chart over time, as SVG in the page's own colours: lines differ by dashes as well as by colour, the figures under the pointer are
 * written out, and all of them are there as a table for those who cannot see it.
 */
import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { number } from './format.js';
import { Table } from './ui.js';

/**
 * @typedef {{ label: string, colour: string, dash?: readonly number[], values: readonly number[] }} Series `colour` = a custom property
 *   such as `--good`
 */

const MARGIN = { left: 44, right: 12, top: 8, bottom: 22 };
/** Between two of the times that are written below, in pixels, at least. */
const TIME_APART = 72;

/** @param {number} at seconds since 1970 @returns {string} such as `18:05` */
const clock = (at) => new Date(at * 1_000).toISOString().slice(11, 16);

/** The steps of the axis: 1, 2 or 5 times a power of ten, four of them at most. @param {number} most */
function stepsUpTo(most) {
  const rough = Math.max(1, most / 4);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough;
  return Array.from({ length: Math.max(1, Math.ceil(most / step)) + 1 }, (_, i) => i * step);
}

/**
 * @param {{ label: string, times: readonly number[], series: readonly Series[], height?: number }} props
 *   times: seconds since 1970, one for each value, at equal distances
 */
export function Chart({ label, times, series, height = 170 }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const [at, setAt] = useState(/** @type {number | undefined} */ (undefined));
  useEffect(() => {
    const parent = place.current;
    if (!parent) return undefined;
    const resized = new ResizeObserver(() => setWidth(parent.clientWidth));
    resized.observe(parent);
    return () => resized.disconnect();
  }, []);
  const steps = stepsUpTo(Math.max(...series.flatMap(({ values }) => values), 1));
  const inner = { width: Math.max(1, width - MARGIN.left - MARGIN.right), height: height - MARGIN.top - MARGIN.bottom };
  const x = (/** @type {number} */ i) => MARGIN.left + (times.length > 1 ? (i / (times.length - 1)) * inner.width : 0);
  const y = (/** @type {number} */ value) => MARGIN.top + inner.height * (1 - value / (steps.at(-1) ?? 1));
  /** @param {PointerEvent} event */
  const pointed = (event) => {
    const left = event.clientX - /** @type {Element} */ (event.currentTarget).getBoundingClientRect().left;
    const nearest = Math.round(((left - MARGIN.left) / inner.width) * (times.length - 1));
    setAt(Math.min(times.length - 1, Math.max(0, nearest)));
  };
  const every = Math.max(1, Math.ceil((TIME_APART * times.length) / inner.width));
  return html`<figure class="chart">
    <div ref=${place}>
      ${
        width > 0 &&
        times.length > 0 &&
        html`<svg role="img" aria-label=${label} width=${width} height=${height} onPointerMove=${pointed} onPointerLeave=${() => setAt(undefined)}>
          ${steps.map((step) => html`<line class="grid" x1=${MARGIN.left} x2=${width - MARGIN.right} y1=${y(step)} y2=${y(step)} /><text x=${MARGIN.left - 6} y=${y(step) + 4} text-anchor="end">${number(step)}</text>`)}
          ${times.map((time, i) => i % every === 0 && html`<text x=${x(i)} y=${height - 4} text-anchor=${i === 0 ? 'start' : 'middle'}>${clock(time)}</text>`)}
          ${at !== undefined && html`<line class="pointed" x1=${x(at)} x2=${x(at)} y1=${MARGIN.top} y2=${MARGIN.top + inner.height} />`}
          ${series.map(({ colour, dash, values }) => html`<polyline style=${{ stroke: `var(${colour})` }} stroke-dasharray=${dash?.join(' ')} points=${values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(' ')} />`)}
        </svg>`
      }
    </div>
    <figcaption>${series.map((each) => html`<${Legend} series=${each} value=${at === undefined ? undefined : each.values[at]} />`)}<span class="faint">${at === undefined ? 'UTC' : `${clock(times[at] ?? 0)} UTC`}</span></figcaption>
    <${Figures} label=${label} times=${times} series=${series} />
  </figure>`;
}

/** @param {{ series: Series, value: number | undefined }} props */
const Legend = ({ series: { label, colour, dash }, value }) =>
  html`<span><svg width="24" height="10" aria-hidden="true"><polyline style=${{ stroke: `var(${colour})` }} stroke-dasharray=${dash?.join(' ')} points="0,5 24,5" /></svg> ${label}${value === undefined ? '' : ` ${number(value)}`}</span>`;

/** Made only when they are asked for. @param {{ label: string, times: readonly number[], series: readonly Series[] }} props */
function Figures({ label, times, series }) {
  const [isOpen, setOpen] = useState(false);
  const rows = isOpen ? times.map((time, i) => ({ time, i })).reverse() : [];
  const columns = [
    { label: 'UTC', cell: (/** @type {{ time: number }} */ { time }) => clock(time) },
    ...series.map(({ label: name, values }) => ({
      label: name,
      isNumber: true,
      cell: (/** @type {{ i: number }} */ { i }) => number(values[i] ?? 0),
    })),
  ];
  /** @param {Event} event */
  const toggled = (event) => setOpen(/** @type {HTMLDetailsElement} */ (event.currentTarget).open);
  return html`<details onToggle=${toggled}><summary>The same in figures</summary>${isOpen && html`<${Table} label=${`Figures: ${label}`} columns=${columns} rows=${rows} keyOf=${(/** @type {{ time: number }} */ { time }) => `${time}`} />`}</details>`;
}
