/**
 * Pictures of the dashboards, where there is no Grafana: each panel's own queries, asked of a Prometheus over a span of time, drawn as
 * SVG in one page per dashboard. `node deploy/grafana/pictures.mjs <Prometheus' URL> <minutes> <folder>`; a browser makes PNGs of the pages
 * (deploy/grafana/README.md). It draws lines, axes and legends as Grafana's time series panels have them, and nothing else.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const COLUMN = 54;
const ROW = 34;
const POINTS = 240;
/** Grafana shows more; of more nobody reads the colours. */
const LEGEND_MAX = 14;
const COLOURS = [
  '#7eb26d',
  '#eab839',
  '#6ed0e0',
  '#ef843c',
  '#e24d42',
  '#1f78c1',
  '#ba43a9',
  '#705da0',
  '#508642',
  '#cca300',
  '#447ebc',
  '#c15c17',
];

const [url = 'http://127.0.0.1:9090', minutes = '60', folder = 'pictures'] = process.argv.slice(2);
const dashboards = join(dirname(fileURLToPath(import.meta.url)), 'dashboards');
const end = Math.floor(Date.now() / 1_000);
const start = end - Number(minutes) * 60;

mkdirSync(folder, { recursive: true });
for (const file of readdirSync(dashboards)) {
  const { title, panels } = JSON.parse(readFileSync(join(dashboards, file), 'utf8'));
  const drawn = await Promise.all(panels.map(async (panel) => draw(panel, await ask(panel))));
  const height = Math.max(...panels.map(({ gridPos: { y, h } }) => y + h)) * ROW + 44;
  const name = join(folder, file.replace('.json', '.svg'));
  writeFileSync(name, svg(title, height, drawn.join('\n')));
  process.stdout.write(`${name} 1296x${height}\n`);
}

async function ask({ targets }) {
  const answers = await Promise.all(
    targets.map(async ({ expr, legendFormat }) => {
      const query = new URLSearchParams({ query: expr, start, end, step: (end - start) / POINTS });
      const { data, error } = await (await fetch(`${url}/api/v1/query_range?${query}`)).json();
      if (error) throw new Error(`${expr}: ${error}`);
      return data.result.map(({ metric, values }) => ({
        name: legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? '').trim() || 'none',
        values: values.map(([at, value]) => [at, Number(value)]).filter(([, value]) => Number.isFinite(value)),
      }));
    }),
  );
  return answers.flat().filter(({ values }) => values.length > 0);
}

function draw({ title, gridPos: { x, y, w, h }, fieldConfig }, series) {
  const width = w * COLUMN - 8;
  const height = h * ROW - 8;
  const legend = legendOf(series, width - 20);
  const plot = { left: 58, top: 30, right: width - 12, bottom: height - 24 - legend.height };
  const unit = fieldConfig.defaults.unit;
  const highest = Math.max(0, ...series.flatMap(({ values }) => values.map(([, value]) => value)));
  const top = unit === 'percentunit' && highest > 0.5 ? 1 : round(highest || 1);
  const px = (at) => (plot.left + ((at - start) / (end - start)) * (plot.right - plot.left)).toFixed(1);
  const py = (value) => (plot.bottom - (Math.min(value, top) / top) * (plot.bottom - plot.top)).toFixed(1);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = py(share * top);
    return `<path d="M${plot.left} ${at}H${plot.right}" class="grid"/><text x="${plot.left - 6}" y="${Number(at) + 4}" text-anchor="end">${format(share * top, unit)}</text>`;
  });
  const times = [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => {
    const at = start + share * (end - start);
    const anchor = share === 1 ? 'end' : 'middle';
    return `<text x="${px(at)}" y="${plot.bottom + 15}" text-anchor="${anchor}">${new Date(at * 1_000).toISOString().slice(11, 16)}</text>`;
  });
  const gap = ((end - start) / POINTS) * 2.5;
  const lines = series.map(({ values }, nth) => {
    const path = values.map(
      ([at, value], i) => `${i === 0 || at - values[i - 1][0] > gap ? 'M' : 'L'}${px(at)} ${py(value)}`,
    );
    return `<path d="${path.join('')}" fill="none" stroke="${COLOURS[nth % COLOURS.length]}" stroke-width="1.5"/>`;
  });
  const empty = series.length > 0 ? '' : `<text x="${width / 2}" y="${height / 2}" text-anchor="middle">No data</text>`;
  return `<g transform="translate(${x * COLUMN + 4},${y * ROW + 44})"><rect width="${width}" height="${height}" class="panel"/>
<text x="10" y="19" class="title">${escaped(title)}</text>${grid.join('')}${times.join('')}${lines.join('')}${empty}
<g transform="translate(10,${height - legend.height})">${legend.text}</g></g>`;
}

function legendOf(series, width) {
  let x = 0;
  let row = 0;
  const shown = series.slice(0, LEGEND_MAX).map(({ name }, nth) => ({ name, colour: COLOURS[nth % COLOURS.length] }));
  if (series.length > LEGEND_MAX) shown.push({ name: `and ${series.length - LEGEND_MAX} more`, colour: '#777' });
  const text = shown.map(({ name, colour }) => {
    const needs = 26 + name.length * 6.1;
    if (x > 0 && x + needs > width) [x, row] = [0, row + 1];
    const at = `<rect x="${x}" y="${row * 15 + 3}" width="12" height="4" fill="${colour}"/><text x="${x + 17}" y="${row * 15 + 10}">${escaped(name)}</text>`;
    x += needs;
    return at;
  });
  return { height: series.length > 0 ? (row + 1) * 15 + 4 : 0, text: text.join('') };
}

function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}

function format(value, unit) {
  const short = (number) => String(Number(number.toPrecision(3)));
  if (unit === 'percentunit') return `${short(value * 100)} %`;
  if (unit === 's') return value < 1 && value > 0 ? `${short(value * 1_000)} ms` : `${short(value)} s`;
  if (unit === 'bytes') return `${short(value / 2 ** 20)} MiB`;
  if (value >= 1e6) return `${short(value / 1e6)} M`;
  return value >= 10_000 ? `${short(value / 1_000)} k` : short(value);
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

function svg(title, height, panels) {
  const span = `${new Date(start * 1_000).toISOString().slice(0, 16).replace('T', ' ')} to ${new Date(end * 1_000).toISOString().slice(11, 16)} UTC`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="1296" height="${height}" viewBox="0 0 1296 ${height}">
<style>text{font:11px "DejaVu Sans",sans-serif;fill:#c7c9d1}.title{font-size:13px;fill:#e6e7eb}.panel{fill:#181b1f;stroke:#2c3036}.grid{stroke:#2c3036}</style>
<rect width="1296" height="${height}" fill="#111217"/><text x="8" y="28" class="title">${escaped(title)}</text>
<text x="1288" y="28" text-anchor="end">${span}; drawn from Prometheus’ answers to the panels’ queries, not by Grafana</text>
${panels}
</svg>
`;
}
