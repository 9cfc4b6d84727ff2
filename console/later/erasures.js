/** Erasures: persons who asked to be forgotten, what each erasure waits for, and what it has erased. */
import { post } from '../lib/api.js';
import { confirmAct } from '../lib/confirm.js';
import { useRead } from '../lib/data.js';
import { count, moment } from '../lib/format.js';
import { Choice, ReadAt, useForm, usePages, withQuery } from '../lib/lists.js';
import { navigate } from '../lib/router.js';
import { useSteadyRows } from '../lib/rows.js';
import { session, useSession } from '../lib/session.js';
import { Ago, Field, Id, Loading, Notice, Page, Pager, Panel, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html, useState } from '../vendor/preact.js';

/** @typedef {{ orderId: string, why: string, operationId?: string }} Held */
/** @typedef {{ id: string, state: string, requestedAt: string, requestedBy: string, reason: string, dueAt: string, finishedAt: string | null, found: boolean, customerReference: string | null, waitingFor: Held[], waitingForCount: number, stalledBy: string | null, report: { erased: Record<string, number>, kept: { where: string, what: string, why: string }[] } | null, certificate: Record<string, unknown> | null }} Erasure */

const STATES = /** @type {const} */ ([
  ['', 'Every one'],
  ['waiting', 'Waiting'],
  ['erasing', 'Under way'],
  ['done', 'Done'],
]);
/** @type {Record<string, [import('../lib/ui.js').Kind, string]>} */
const SHOWN = { waiting: ['warn', 'Waits'], erasing: ['busy', 'Under way'], done: ['good', 'Done'] };
/** @param {{ of: Erasure }} props */
const State = ({ of }) =>
  html`<${Status} kind=${SHOWN[of.state]?.[0] ?? 'info'}>${SHOWN[of.state]?.[1] ?? of.state}<//>${of.state !== 'done' && Date.parse(of.dueAt) < Date.now() && html` <${Status} kind="bad">past its deadline<//>`}`;

/** @param {{ query: URLSearchParams }} props */
export function Erasures({ query }) {
  const state = query.get('state') ?? '';
  const pages = usePages(withQuery('admin/erasures', { state }), 'erasures');
  const { shown, hold } = useSteadyRows(/** @type {Erasure[]} */ (pages.rows), ({ id }) => id);
  useSession();
  return html`<${Page} title="Erasures" actions=${html`<${ReadAt} of=${pages} />`}>
    <${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
    ${session.canAct() && html`<${Panel} title="Erase a customer"><${AskForm} onAsked=${pages.reload} /><//>`}
    <${Panel} title="Asked for, newest first">
      <${Choice} name="state" label="Which" value=${state} options=${STATES} onInput=${(/** @type {string} */ chosen) => navigate('/erasures', { state: chosen })} />
      <div ...${hold}><${Table} label="Erasures" rows=${shown} keyOf=${(/** @type {Erasure} */ { id }) => id} empty="None." columns=${COLUMNS} /></div>
      <${Pager} hasMore=${pages.hasMore} onMore=${pages.more} isLoading=${pages.isLoading} shown=${shown.length} noun="erasure" />
    <//>
  <//>`;
}

const COLUMNS = [
  { label: 'Erasure', cell: (/** @type {Erasure} */ { id }) => html`<${Id} id=${id} href=${`#/erasures/${id}`} />` },
  { label: 'State', cell: (/** @type {Erasure} */ erasure) => html`<${State} of=${erasure} />` },
  {
    label: 'Waits for',
    cell: (/** @type {Erasure} */ { waitingForCount, stalledBy }) =>
      [waitingForCount > 0 && count(waitingForCount, 'order'), stalledBy && `${stalledBy} to be back`]
        .filter(Boolean)
        .join(', '),
  },
  { label: 'Asked for', cell: (/** @type {Erasure} */ { requestedAt }) => html`<${Ago} at=${requestedAt} />` },
  { label: 'By', cell: (/** @type {Erasure} */ { requestedBy }) => requestedBy },
  { label: 'Reason', cell: (/** @type {Erasure} */ { reason }) => reason },
  {
    label: 'Due',
    cell: (/** @type {Erasure} */ { dueAt }) => html`<time datetime=${dueAt}>${moment(dueAt).slice(0, 10)}</time>`,
  },
];

/** @param {{ onAsked: () => void }} props */
function AskForm({ onAsked }) {
  const form = useForm({ customer: '' });
  const [asked, setAsked] = useState(/** @type {Erasure | undefined} */ (undefined));
  /** @param {Event} event */
  const ask = async (event) => {
    event.preventDefault();
    const customer = (form.values['customer'] ?? '').trim();
    if (customer === '' || customer.length > 128)
      return form.setErrors({ customer: 'The id that their orders were placed with, of at most 128 characters.' });
    const erasure = await confirmAct({
      ...{
        title: 'Erase a customer',
        act: 'Erase 1 customer',
        count: 1,
        noun: 'customer',
        isHarmful: true,
        reason: { ...form.reason(), hint: 'Kept for ever. Not who it is: the number of the request.' },
      },
      children: html`<p>What is personal of their orders goes, with the keys that protect it. It waits for orders, refunds and events in hand. Nobody is found by <code>${customer}</code> afterwards.</p>`,
      run: form.guarded({ customer: 'params/id' }, ({ reason }) =>
        post(`admin/customers/${encodeURIComponent(customer)}/erase`, { body: { reason } }),
      ),
    });
    if (!erasure) return;
    form.reset();
    setAsked(erasure);
    onAsked();
  };
  return html`${asked && html`<${Notice} kind=${asked.found ? 'good' : 'warn'}>${asked.found ? 'It is asked for' : 'Nobody is known by that id, or nobody any more'}: <a href=${`#/erasures/${asked.id}`}>erasure ${asked.id}</a>.<//>`}
    <form onSubmit=${ask} novalidate><${Field} name="customer" label="Id of the customer, as orders were placed with it" ...${form.field('customer')} /><button type="submit" class="harmful">Erase …</button></form>`;
}

/** @param {{ params: Record<string, string> }} props */
export function OneErasure({ params }) {
  const { data, problem, reload } = useRead(`admin/erasures/${encodeURIComponent(params['id'] ?? '')}`);
  const erasure = /** @type {Erasure | undefined} */ (data);
  return html`<${Page} title="Erasure" actions=${html`<button type="button" class="quiet" onClick=${reload}>Read again</button>`}>
    <p><a href="#/erasures">Every erasure</a></p>
    <${ProblemNotice} problem=${problem} onRetry=${reload} />
    ${erasure ? html`<${Told} of=${erasure} />` : !problem && html`<${Loading} />`}
  <//>`;
}

/** @param {{ of: Erasure }} props */
const Told = ({ of }) => html`
  <${Panel} title="How it stands" aside=${html`<${State} of=${of} />`}><dl>
    <dt>Id</dt><dd><${Id} id=${of.id} /></dd>
    <dt>Asked for</dt><dd>${moment(of.requestedAt)}, by ${of.requestedBy}: ${of.reason}</dd>
    <dt>Due</dt><dd>${moment(of.dueAt)}</dd>
    ${of.finishedAt && html`<dt>Done</dt><dd>${moment(of.finishedAt)}</dd>`}
    <dt>Found</dt><dd>${of.found ? html`a customer${of.customerReference && html`, whose reference is <code>${of.customerReference}</code>`}` : 'nobody by the id that was given'}</dd>
    ${of.stalledBy && html`<dt>Stalled by</dt><dd>${of.stalledBy}; it goes on by itself when that is back</dd>`}
  </dl><//>
  ${of.waitingForCount > 0 && html`<${Panel} title="What it waits for"><p>${count(of.waitingForCount, 'order')}.</p><${Table} label="Orders that hold it" rows=${of.waitingFor} keyOf=${(/** @type {{ orderId: string }} */ { orderId }) => orderId} columns=${HELD} /><//>`}
  ${of.report && html`<${Panel} title="What was erased, and what stays"><dl>${Object.entries(of.report.erased).map(([part, n]) => html`<dt>${part}</dt><dd>${n}</dd>`)}</dl><${Table} label="What stays" rows=${of.report.kept} keyOf=${(/** @type {{ where: string, what: string }} */ { where, what }) => `${where} ${what}`} columns=${KEPT} /><//>`}
  ${of.certificate && html`<${Panel} title="Certificate"><pre class="scroll" tabindex="0" aria-label="Certificate">${JSON.stringify(of.certificate, null, 2)}</pre><//>`}`;

const HELD = [
  {
    label: 'Order',
    cell: (/** @type {{ orderId: string }} */ { orderId }) =>
      html`<${Id} id=${orderId} href=${`#/orders/${orderId}`} />`,
  },
  {
    label: 'Why',
    cell: (/** @type {Held} */ { why, operationId }) =>
      operationId === undefined ? why : html`${why}: <${Id} id=${operationId} href=${`#/operations/${operationId}`} />`,
  },
];
const KEPT = /** @type {const} */ (['where', 'what', 'why']).map((name) => ({
  label: name.charAt(0).toUpperCase() + name.slice(1),
  cell: (/** @type {Record<string, string>} */ row) => row[name],
}));
