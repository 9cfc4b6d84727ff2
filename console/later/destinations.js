/** Destinations: where events go, who serves each, what it is owed, and what stands in the way. */
import { count, number } from '../lib/format.js';
import { ReadAt, usePages } from '../lib/lists.js';
import { hrefOf } from '../lib/router.js';
import { Ago, Empty, Notice, Page, Panel, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html } from '../vendor/preact.js';

/** @typedef {{ partition: number, cursor: string, movedAt: string, served: boolean }} Partition */
/** @typedef {{ destination: string, state: string, relays: number, partitionsServed: number, owed: number, oldestOwedAt: string | null, lastTakenAt: string | null, failingSince: string | null, error: string | null, leftAloneUntil: string | null, configuredAt: string | null, deadLetters: { cause: string, state: string, count: number, oldest: string }[], partitions: Partition[] }} Destination */

/** @type {Record<string, [import('../lib/ui.js').Kind, string]>} */
const SHOWN = {
  current: ['good', 'Current: nothing is owed'],
  behind: ['busy', 'Behind: it takes, and more is owed'],
  troubled: ['warn', 'Troubled: it takes some orders’ events, and others’ not'],
  'left-alone': ['warn', 'Left alone: it has asked for a pause'],
  failing: ['bad', 'Failing: it takes nothing'],
  unserved: ['bad', 'Unserved: no relay delivers all of it'],
};

export function Destinations() {
  const pages = usePages('admin/destinations', 'destinations', { isWhole: true });
  const held = pages.answer?.feedHeldSeconds ?? 0;
  return html`<${Page} title="Destinations" actions=${html`<${ReadAt} of=${pages} />`}>
    <${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
    ${held > 15 && html`<${Notice} kind="warn">For ${number(Math.round(held))} s an open transaction has held all deliveries back. The runbook says how to find it.<//>`}
    ${pages.answer && pages.rows.length === 0 && html`<${Empty}>None is configured: events are read from the feed alone.<//>`}
    ${/** @type {Destination[]} */ (pages.rows).map((each) => html`<${One} key=${each.destination} of=${each} />`)}
  <//>`;
}

/** @param {{ of: Destination }} props */
function One({ of }) {
  const [kind, told] = SHOWN[of.state] ?? ['info', of.state];
  const letters = of.deadLetters.reduce((sum, each) => sum + each.count, 0);
  return html`<${Panel} title=${of.destination} aside=${html`<${Status} kind=${kind}>${told}<//>`}>
    <dl>
      <dt>Owed</dt><dd>${number(of.owed)} events${of.oldestOwedAt && html`, the oldest from <${Ago} at=${of.oldestOwedAt} />`}</dd>
      <dt>Last taken</dt><dd>${of.lastTakenAt ? html`<${Ago} at=${of.lastTakenAt} />` : 'never, as far as is known'}</dd>
      ${of.failingSince && html`<dt>Failing since</dt><dd><${Ago} at=${of.failingSince} /></dd>`}
      ${of.error && html`<dt>It says</dt><dd>${of.error}</dd>`}
      ${of.leftAloneUntil && of.state === 'left-alone' && html`<dt>Left alone until</dt><dd><time datetime=${of.leftAloneUntil}>${of.leftAloneUntil}</time></dd>`}
      <dt>Served by</dt><dd>${count(of.relays, 'relay')}, ${number(of.partitionsServed)} of ${count(of.partitions.length, 'partition')}</dd>
      <dt>Dead letters</dt><dd>${letters === 0 ? '0' : html`<a href=${hrefOf('/dead-letters', { destination: of.destination })}>${letters}</a>: ${of.deadLetters.map(({ cause, count }) => `${count} ${cause}`).join(', ')}`}</dd>
    </dl>
    <details><summary>Cursors of its ${count(of.partitions.length, 'partition')}</summary>
      <${Table} label=${`Cursors of ${of.destination}`} rows=${of.partitions} keyOf=${(/** @type {Partition} */ { partition }) => String(partition)} columns=${COLUMNS} />
    </details>
  <//>`;
}

const COLUMNS = [
  { label: 'Partition', isNumber: true, cell: (/** @type {Partition} */ { partition }) => partition },
  { label: 'Served up to', cell: (/** @type {Partition} */ { cursor }) => html`<code>${cursor}</code>` },
  { label: 'Moved', cell: (/** @type {Partition} */ { movedAt }) => html`<${Ago} at=${movedAt} />` },
  {
    label: 'Relay',
    cell: (/** @type {Partition} */ { served }) =>
      html`<${Status} kind=${served ? 'good' : 'bad'}>${served ? 'served' : 'nobody'}<//>`,
  },
];
