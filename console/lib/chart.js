/** A line chart by uPlot, drawn in the page's own colours, with the same figures as a table for those who cannot see it. */
import { html, useEffect, useRef } from '../vendor/preact.js';

/** @typedef {{ label: string, colour: string, dash?: number[], values: readonly (number | null)[] }} Series `colour` = a custom property such as `--good` */

/** @param {string} name */
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * @param {{ label: string, times: readonly number[], series: readonly Series[], height?: number }} props
 *   times: seconds since 1970
 */
export function Chart({ label, times, series, height = 160 }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const chart = useRef(/** @type {import('uplot') | undefined} */ (undefined));
  const shape = series.map((each) => each.label).join('|');
  useEffect(() => {
    const parent = place.current;
    if (!parent) return undefined;
    const draw = () => {
      chart.current?.destroy();
      chart.current = new uPlot(optionsOf(series, parent.clientWidth, height), dataOf(times, series), parent);
    };
    draw();
    const resized = new ResizeObserver(() => chart.current?.setSize({ width: parent.clientWidth, height }));
    resized.observe(parent);
    const theme = matchMedia('(prefers-color-scheme: dark)');
    theme.addEventListener('change', draw);
    return () => {
      resized.disconnect();
      theme.removeEventListener('change', draw);
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [shape, height]);
  useEffect(() => chart.current?.setData(dataOf(times, series)), [times, series]);
  return html`<figure class="chart" role="img" aria-label=${label}><div ref=${place}></div></figure>`;
}

/**
 * @param {readonly number[]} times
 * @param {readonly Series[]} series
 */
const dataOf = (times, series) =>
  /** @type {import('uplot').AlignedData} */ ([[...times], ...series.map(({ values }) => [...values])]);

/**
 * @param {readonly Series[]} series
 * @param {number} width
 * @param {number} height
 * @returns {import('uplot').Options}
 */
function optionsOf(series, width, height) {
  const time = (/** @type {number} */ at) => new Date(at * 1_000).toISOString().slice(11, 16);
  const axis = { stroke: colourOf('--faint'), grid: { stroke: colourOf('--line'), width: 1 }, ticks: { show: false } };
  return {
    width,
    height,
    cursor: { drag: { x: false, y: false } },
    legend: { live: true },
    scales: { y: { range: (_chart, _least, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [
      { ...axis, values: (_chart, splits) => splits.map(time) },
      { ...axis, size: 48 },
    ],
    series: [
      { label: 'UTC', value: (_chart, at) => (at === null || at === undefined ? '–' : time(at)) },
      ...series.map(({ label, colour, dash }) => ({
        label,
        ...(dash && { dash }),
        stroke: colourOf(colour),
        width: 2,
        points: { show: false },
      })),
    ],
  };
}
