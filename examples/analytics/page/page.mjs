/** Asks, draws, and asks again: what is shown, and up to when it is complete, always come from the same answer. */
import uPlot from '/uPlot.mjs';

const EVERY_MS = 2_000;
/** From here on it is said in another colour. */
const LATE_MS = 10_000;
const LENGTH_S = { hour: 3_600, day: 86_400 };
const COLOURS = { blue: '#2f6fde', green: '#1f8a5b', red: '#c8453b' };

const $ = (id) => document.getElementById(id);
const charts = new Map();
let lastHeard = Date.now();

for (const name of ['grain', 'currency']) $(name).addEventListener('change', () => show().catch(silent));
addEventListener('resize', () => {
  for (const [id, chart] of charts) chart.setSize(sizeOf(id));
});
async function show() {
  const grain = $('grain').value;
  const [totals, products] = await Promise.all([ask(`/v1/totals?grain=${grain}`), ask(`/v1/products?grain=${grain}`)]);
  lastHeard = Date.now();
  sayAsOf(totals);
  const currency = offerCurrencies(totals.rows);
  const periods = fill(totals, currency);
  drawAll(periods, currency);
  list(
    'products',
    products.rows.filter((row) => row.currency === currency),
    (row) => [row.sku, row.quantity.toLocaleString('en'), money(row.net, currency)],
  );
  list('reasons', [...reasonsOf(periods)], (entry) => entry);
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10_000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  return body;
}

function sayAsOf({ asOf, behindMs, rebuilding, unreadable }) {
  const parts = [`Complete up to ${asOf.slice(0, 10)} ${asOf.slice(11, 19)} UTC`, `${duration(behindMs)} behind`];
  if (rebuilding) parts.push('being built anew');
  if (unreadable > 0) parts.push(`${unreadable} events could not be read`);
  $('as-of').textContent = parts.join(' · ');
  $('as-of').dataset.state = behindMs > LATE_MS || unreadable > 0 ? 'late' : 'fresh';
}

function silent(err) {
  $('as-of').textContent = `${err.message} No answer for ${duration(Date.now() - lastHeard)}.`;
  $('as-of').dataset.state = 'silent';
}

const duration = (ms) => (ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`);

function offerCurrencies(rows) {
  const there = [...new Set(rows.map(({ currency }) => currency))].sort();
  const shown = [...$('currency').options].map(({ value }) => value);
  if (there.join() !== shown.join()) {
    const chosen = $('currency').value;
    $('currency').replaceChildren(...there.map((name) => new Option(name, name, false, name === chosen)));
  }
  return $('currency').value;
}

/** Every period of the answer, also those in which nothing happened. */
function fill({ rows, from, to, grain }, currency) {
  const there = new Map(
    rows.filter((row) => row.currency === currency).map((row) => [Date.parse(row.start) / 1_000, row]),
  );
  const periods = [];
  for (let at = Date.parse(from) / 1_000; at < Date.parse(to) / 1_000; at += LENGTH_S[grain])
    periods.push({
      at,
      ...(there.get(at) ?? { net: 0, placed: 0, confirmed: 0, cancelled: 0, cancellationRate: null, reasons: {} }),
    });
  return periods;
}

function reasonsOf(periods) {
  const sums = new Map();
  for (const { reasons } of periods)
    for (const [reason, count] of Object.entries(reasons)) sums.set(reason, (sums.get(reason) ?? 0) + count);
  return [...sums].sort(([, a], [, b]) => b - a);
}

function drawAll(periods, currency) {
  const at = periods.map((period) => period.at);
  const of = (name) => periods.map((period) => period[name]);
  const digits = fraction(currency);
  const bars = uPlot.paths.bars({ size: [0.7, 40] });
  draw(
    'revenue',
    [at, of('net').map((amount) => amount / 10 ** digits)],
    [
      {
        label: currency || 'Revenue',
        fill: `${COLOURS.blue}99`,
        stroke: COLOURS.blue,
        paths: bars,
        points: { show: false },
        value: (_, v) => v?.toFixed(digits) ?? '–',
      },
    ],
  );
  draw(
    'orders',
    [at, of('placed'), of('confirmed'), of('cancelled')],
    [
      { label: 'Placed', stroke: COLOURS.blue, width: 2 },
      { label: 'Confirmed', stroke: COLOURS.green, width: 2 },
      { label: 'Cancelled', stroke: COLOURS.red, width: 2 },
    ],
  );
  const percent = (v) => (v === null || v === undefined ? '–' : `${(v * 100).toFixed(1)} %`);
  draw(
    'rate',
    [at, of('cancellationRate').map((rate) => (rate === null ? null : Number(rate)))],
    [{ label: 'Rate', stroke: COLOURS.red, width: 2, points: { show: true }, value: (_, v) => percent(v) }],
    { range: [0, 1], values: (_, ticks) => ticks.map((v) => `${Math.round(v * 100)} %`) },
  );
}

function draw(id, data, series, { range, values } = {}) {
  const known = charts.get(id);
  if (known && known.series[1].label === series[0].label) return known.setData(data);
  known?.destroy();
  const style = getComputedStyle(document.body);
  const axis = {
    stroke: style.getPropertyValue('color'),
    grid: { stroke: '#8884', width: 1 },
    ticks: { stroke: '#8884' },
  };
  const options = {
    ...sizeOf(id),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), 'Etc/UTC'),
    series: [
      {
        value: (_, at) => (at === null ? '–' : `${new Date(at * 1_000).toISOString().slice(0, 16).replace('T', ' ')}`),
      },
      ...series,
    ],
    axes: [
      { ...axis, values: (_, ticks) => ticks.map(label) },
      { ...axis, size: 70, ...(values && { values }) },
    ],
    scales: {
      x: { range: (_, first, last) => [first - LENGTH_S[$('grain').value] / 2, last + LENGTH_S[$('grain').value] / 2] },
      y: { range: range ?? ((_, __, most) => [0, most > 0 ? most * 1.1 : 1]) },
    },
  };
  charts.set(id, new uPlot(options, data, $(id)));
}

/** The hour; at midnight, and for whole days, the day. */
function label(seconds) {
  const at = new Date(seconds * 1_000).toISOString();
  return seconds % LENGTH_S.day === 0 ? at.slice(5, 10) : at.slice(11, 16);
}

const sizeOf = (id) => ({ width: $(id).clientWidth, height: 240 });

function list(id, rows, cells) {
  $(id).replaceChildren(
    ...rows.map((row) => {
      const line = document.createElement('tr');
      for (const text of cells(row)) line.insertCell().textContent = text;
      return line;
    }),
  );
}

function fraction(currency) {
  if (!currency) return 2;
  return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits;
}

const money = (minor, currency) =>
  new Intl.NumberFormat('en', { style: 'currency', currency }).format(minor / 10 ** fraction(currency));

for (;;) {
  await show().catch(silent);
  await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
}
