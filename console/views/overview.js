/** The first screen: what is wrong now and how much of it, how orders flow, how the neighbours are. Calm is shown as calm. */
import { Chart } from '../lib/chart.js';
import { count, duration, moment, number, plural } from '../lib/format.js';
import { AsOf, useLive } from '../lib/live.js';
import { hrefOf } from '../lib/router.js';
import { FreshRows, useSteadyRows } from '../lib/rows.js';
import { runbookOf } from '../lib/runbook.js';
import { ofCause } from '../lib/selection.js';
import { Ago, Fence, Loading, Moneys, Notice, Page, Panel, ProblemNotice, Status, Table, useNow } from '../lib/ui.js';
import { html, useMemo } from '../vendor/preact.js';
import { DemoPanel } from './demo.js';

/**
 * @typedef {import('../../clients/typescript/openapi.js').components['schemas']['Overview']} Overview
 * @typedef {Overview['causes'][number]} Cause
 * @typedef {Overview['neighbours'][number]} Neighbour
 */

function Now() {
  const live = /** @type {import('../lib/live.js').Live<Overview>} */ (useLive('admin/overview'));
  const { data, problem } = live;
  return html`<${Page} title="What is wrong now" actions=${html`<${AsOf} live=${live} />`}>
    ${problem && !live.isPaused && html`<${ProblemNotice} problem=${problem} />`}
    ${data ? html`<${Fence} of=${data}><${Overview} overview=${data} /><//>` : !problem && html`<${Loading} />`}
    <${DemoPanel} />
  <//>`;
}

/** @param {{ overview: Overview }} props */
function Overview({ overview }) {
  const now = useNow(1_000);
  return html`
    <${Verdict} overview=${overview} now=${now} />
    <${Causes} causes=${overview.causes} now=${now} />
    <div class="columns">
      <${Flow} overview=${overview} />
      <${Neighbours} neighbours=${overview.neighbours} now=${now} />
    </div>
    <${Brakes} overview=${overview} now=${now} />`;
}

/** @param {{ overview: Overview, now: number }} props */
function Verdict({ overview: { calm, causes, open, sources }, now }) {
  const waiting = open
    ? `${count(open.count, 'order')}${open.count === 1_000 ? ' or more' : ''} in hand`
    : 'How many orders are in hand is not known';
  const oldest = open && open.count > 0 ? `, the oldest for ${duration(open.oldestSeconds)}` : '';
  const partial = Object.entries(sources).filter(([name, at]) => name !== 'gateway' && at === null);
  const tail = html`<p>${waiting}${oldest}.</p>${partial.length > 0 && html`<p>Not heard of yet: ${partial.map(([name]) => name).join(', ')}.</p>`}`;
  if (calm.isCalm)
    return html`<${Notice} kind="good"><p><strong>All is calm</strong>${calm.since ? html`, for ${duration((now - Date.parse(calm.since)) / 1_000)}: nothing has been wrong since ${moment(calm.since)}` : ': nothing that was wrong is on record'}.</p>${tail}<//>`;
  if (causes.length === 0)
    return html`<${Notice} kind="info"><p>Nothing is known to be wrong, but not everything has answered.</p>${tail}<//>`;
  const roots = causes.filter(({ follows }) => follows === null);
  const bad = roots.filter(({ severity }) => severity === 'bad').length;
  const held = roots.length - bad;
  const told = [bad > 0 && `${count(bad, 'cause')} of trouble`, held > 0 && `${count(held, 'thing')} to know of`]
    .filter(Boolean)
    .join(', and ');
  return html`<${Notice} kind=${bad > 0 ? 'bad' : 'warn'}><p><strong>${told}.</strong></p>${tail}<//>`;
}

/** @param {{ causes: readonly Cause[], now: number }} props */
function Causes({ causes, now }) {
  const rows = useSteadyRows(causes, ({ id }) => id);
  if (rows.shown.length === 0 && rows.fresh === 0) return null;
  const columns = [
    { label: 'Cause', cell: (/** @type {Cause} */ cause) => html`<${Told} cause=${cause} />` },
    {
      label: 'How many',
      isNumber: true,
      cell: (/** @type {Cause} */ { count: n, noun }) => (n === null ? '–' : count(n, noun ?? 'thing')),
    },
    {
      label: 'Oldest',
      cell: (/** @type {Cause} */ { oldest }) => (oldest ? html`<${Ago} at=${oldest} now=${now} />` : '–'),
    },
    {
      label: 'At stake',
      cell: (/** @type {Cause} */ { atStake }) => (atStake.length > 0 ? html`<${Moneys} of=${atStake} />` : '–'),
    },
    { label: 'Trend', cell: (/** @type {Cause} */ cause) => trendOf(cause, now) },
    { label: 'Unwinds in', cell: (/** @type {Cause} */ { unwindsAt }) => unwindingIn(unwindsAt, now) },
  ];
  return html`<${Panel} title="By cause"><div ...${rows.hold}>
    <${FreshRows} fresh=${rows.fresh} onShow=${rows.showAll} />
    <${Table} label="What is wrong, by cause" columns=${columns} rows=${rows.shown} keyOf=${(/** @type {Cause} */ { id }) => id} classOf=${(/** @type {Cause} */ { follows }) => (follows === null ? '' : 'follows')} />
  </div><//>`;
}

/** @param {{ cause: Cause }} props */
function Told({ cause }) {
  const href = linkOf(cause);
  const title = href ? html`<a href=${href}>${cause.title}</a>` : cause.title;
  return html`<${Status} kind=${cause.severity === 'bad' ? 'bad' : 'warn'}>${cause.follows !== null && 'From that: '}${title}<//><br /><span class="faint">${cause.detail}</span> <a class="more" href=${runbookOf(cause)} aria-label=${`Runbook: ${cause.title}`}>Runbook</a>`;
}

/** Where those are listed that it concerns. @param {Cause} cause */
function linkOf({ kind, of }) {
  if (kind === 'sagas') return hrefOf('/sagas', ofCause(of));
  if (kind === 'dead-letters') return hrefOf('/dead-letters', { destination: of.destination, cause: of.cause });
  if (kind === 'findings') return hrefOf('/findings', { kind: of.kind });
  if (kind === 'brake') return hrefOf('/brakes');
  if (kind === 'destination') return hrefOf('/destinations');
  return undefined;
}

/** As far back as it is known how many there were: about ten minutes. */
const LONG_S = 600;

/** @param {Cause} cause @param {number} now */
function trendOf({ count: n, recent, before }, now) {
  if (n === null) return '–';
  // How many there were before this process looked, nobody knows; how many of these are young, it sees.
  if (!before) return recent === null ? '–' : `${number(recent)} of them new in 10 min`;
  const change = n - before.count;
  const seconds = (now - Date.parse(before.at)) / 1_000;
  const since = seconds >= LONG_S - 60 ? '10 min' : duration(seconds);
  if (change === 0) return html`<span aria-hidden="true">→ </span>as many as ${since} ago`;
  return html`<span aria-hidden="true">${change > 0 ? '↑' : '↓'} </span>${change > 0 ? '+' : '−'}${number(Math.abs(change))} in the last ${since}`;
}

/** @param {string | null} at @param {number} now */
function unwindingIn(at, now) {
  if (at === null) return '–';
  const left = (Date.parse(at) - now) / 1_000;
  return left > 0 ? html`<time datetime=${at} title=${moment(at)}>${duration(left)}</time>` : 'now';
}

/** @param {{ overview: Overview }} props */
function Flow({ overview: { minutes } }) {
  // The current minute is still being filled: in a line it would look like a fall.
  const whole = useMemo(() => minutes.slice(0, -1), [minutes]);
  const series = useMemo(
    () => [
      { label: 'accepted', colour: '--busy', values: whole.map(({ accepted }) => accepted) },
      { label: 'confirmed', colour: '--good', values: whole.map(({ confirmed }) => confirmed) },
      { label: 'cancelled', colour: '--bad', dash: [6, 4], values: whole.map(({ cancelled }) => cancelled) },
    ],
    [whole],
  );
  const times = useMemo(() => whole.map(({ minute }) => minute / 1_000), [whole]);
  const last = minutes.at(-2);
  const sum = (/** @type {'accepted' | 'confirmed' | 'cancelled'} */ what) =>
    number(minutes.reduce((all, each) => all + each[what], 0));
  return html`<${Panel} title="Orders per minute">
    ${last && html`<p>In the last whole minute: <strong>${number(last.accepted)}</strong> accepted, <strong>${number(last.confirmed)}</strong> confirmed, <strong>${number(last.cancelled)}</strong> cancelled.</p>`}
    <${Chart} label=${`Orders per minute over ${count(minutes.length, 'minute')}: ${sum('accepted')} accepted, ${sum('confirmed')} confirmed, ${sum('cancelled')} cancelled`} times=${times} series=${series} />
    <p class="faint">${count(minutes.length, 'minute')}: ${sum('accepted')} accepted, ${sum('confirmed')} confirmed, ${sum('cancelled')} cancelled.</p>
  <//>`;
}

const STATES = /** @type {const} */ ({
  up: ['good', 'up'],
  late: ['warn', 'late'],
  down: ['bad', 'down'],
  unknown: ['off', 'not known'],
});

/** @param {{ neighbours: readonly Neighbour[], now: number }} props */
function Neighbours({ neighbours, now }) {
  const columns = [
    { label: 'Neighbour', cell: (/** @type {Neighbour} */ { name }) => name },
    {
      label: 'State',
      cell: (/** @type {Neighbour} */ { state }) => html`<${Status} kind=${STATES[state][0]}>${STATES[state][1]}<//>`,
    },
    {
      label: 'Last success',
      cell: (/** @type {Neighbour} */ { lastSuccess }) =>
        lastSuccess ? html`<${Ago} at=${lastSuccess} now=${now} />` : '–',
    },
    {
      label: 'What is known',
      cell: (/** @type {Neighbour} */ { detail }) => html`<span class="faint">${detail}</span>`,
    },
  ];
  return html`<${Panel} title="Neighbours"><${Table} label="Each neighbour" columns=${columns} rows=${neighbours} keyOf=${(/** @type {Neighbour} */ { name }) => name} /><//>`;
}

/** @param {{ overview: Overview, now: number }} props */
function Brakes({ overview: { brakes, heldOrders, spending }, now }) {
  return html`<${Panel} title="Brakes" aside=${html`<a href="#/brakes">Brakes</a>`}>
    ${brakes.length === 0 && html`<p>${html`<${Status} kind="good">No brake is engaged.<//>`}</p>`}
    ${brakes.length > 0 && html`<ul>${brakes.map(({ brake, by, since, reason }) => html`<li><${Status} kind="warn"><strong>${brake}</strong><//> by ${by}, <${Ago} at=${since} now=${now} />: ${reason}</li>`)}</ul>`}
    ${heldOrders !== null && heldOrders > 0 && html`<p>${count(heldOrders, 'order')} ${plural(heldOrders, 'waits for a brake; its deadline stands', 'wait for a brake; their deadlines stand')} still.</p>`}
    ${spending.length > 0 && html`<ul>${spending.map(({ currency, spent, most }) => html`<li>Charged within the hour: <${Moneys} of=${[{ amount: spent, currency }]} /> of <${Moneys} of=${[{ amount: most, currency }]} /></li>`)}</ul>`}
  <//>`;
}

/** @type {import('../lib/router.js').View} */
export const overview = { path: '/', title: 'What is wrong now', nav: { label: 'Now', order: 10 }, View: Now };
