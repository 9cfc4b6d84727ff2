/** Findings: where the gateway's ledger and ours differ, by kind and money; closed on an operator's word, or the charge given back. */
import { post } from '../lib/api.js';
import { confirmAct } from '../lib/confirm.js';
import { money } from '../lib/format.js';
import { Choice, ReadAt, usePages, withQuery } from '../lib/lists.js';
import { navigate } from '../lib/router.js';
import { FreshRows, useSteadyRows } from '../lib/rows.js';
import { session, useSession } from '../lib/session.js';
import { Ago, Id, Money, Notice, Page, Pager, Panel, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html, useState } from '../vendor/preact.js';

/** @typedef {{ id: string, kind: string, reference: string, orderId: string, amount: number, currency: string, action: string, detail: string | null, closableAs: string[], refundable: boolean, closedBy: string | null, reason: string | null, at: string }} Finding */
/** @typedef {{ kind: string, action: string, currency: string, count: number, amount: number, oldest: string }} Group */

const STATES = /** @type {const} */ ([
  ['', 'Open: in hand or reported'],
  ['reported', 'Reported: they need somebody'],
  ['all', 'Settled as well'],
]);
/** @type {Record<string, [import('../lib/ui.js').Kind, string]>} */
const SHOWN = {
  reported: ['bad', 'Needs somebody'],
  waiting: ['busy', 'In hand: waits'],
  refunding: ['busy', 'In hand: refunding'],
  cancelling: ['busy', 'In hand: cancelling'],
  refunded: ['good', 'Settled: given back'],
  cancelled: ['good', 'Settled'],
};
const ORDER = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** @param {{ query: URLSearchParams }} props */
function Findings({ query }) {
  const filter = Object.fromEntries(['state', 'kind', 'orderId'].map((name) => [name, query.get(name) ?? '']));
  const pages = usePages(withQuery('admin/findings', filter), 'findings');
  const { shown, fresh, showAll, hold } = useSteadyRows(/** @type {Finding[]} */ (pages.rows), ({ id }) => id);
  const [told, setTold] = useState('');
  useSession();
  const canAct = session.canAct();
  /** @param {Record<string, string>} changed */
  const show = (changed) => navigate('/findings', { ...filter, ...changed });
  /** @param {Promise<{ id: string, action: string } | undefined>} act */
  const acted = async (act) => {
    const now = await act;
    if (!now) return;
    setTold(`Finding ${now.id}: ${SHOWN[now.action]?.[1] ?? now.action}.`);
    pages.reload();
  };
  const vouched = pages.answer?.vouched ?? 0;
  return html`<${Page} title="Findings" actions=${html`<${ReadAt} of=${pages} />`}>
    <${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
    ${told && html`<${Notice} kind="good">${told}<//>`}
    <${Panel} title="By kind"><${Groups} groups=${pages.answer?.groups ?? []} onShow=${show} />
      ${vouched > 0 && html`<p class="faint">Besides, operators vouch for the money of ${vouched} ${vouched === 1 ? 'order' : 'orders'} that the gateway knows nothing of.</p>`}
    <//>
    <${Panel} title="Each" aside=${(filter['kind'] || filter['orderId']) && html`<button type="button" onClick=${() => show({ kind: '', orderId: '' })}>Show every kind</button>`}>
      <${Choice} name="state" label="Which" value=${filter['state']} options=${STATES} onInput=${(/** @type {string} */ state) => show({ state })} />
      <div ...${hold}>
        <${FreshRows} fresh=${fresh} onShow=${showAll} />
        <${Table} label="Findings" rows=${shown} keyOf=${(/** @type {Finding} */ { id }) => id} empty="The ledgers agree." columns=${columnsOf(canAct, acted)} />
      </div>
      <${Pager} hasMore=${pages.hasMore} onMore=${pages.more} isLoading=${pages.isLoading} shown=${shown.length} what="findings" />
    <//>
  <//>`;
}

/** @param {{ groups: Group[], onShow: (changed: Record<string, string>) => void }} props */
const Groups = ({ groups, onShow }) =>
  html`<${Table} label="Findings by kind" rows=${groups} keyOf=${(/** @type {Group} */ g) => `${g.kind} ${g.action} ${g.currency}`} empty="None." columns=${[
    { label: 'Kind', cell: (/** @type {Group} */ { kind }) => html`<code>${kind}</code>` },
    {
      label: 'State',
      cell: (/** @type {Group} */ { action }) =>
        html`<${Status} kind=${SHOWN[action]?.[0] ?? 'info'}>${SHOWN[action]?.[1] ?? action}<//>`,
    },
    { label: 'Findings', isNumber: true, cell: (/** @type {Group} */ group) => group.count },
    { label: 'Money', isNumber: true, cell: (/** @type {Group} */ group) => html`<${Money} ...${group} />` },
    { label: 'Oldest', cell: (/** @type {Group} */ { oldest }) => html`<${Ago} at=${oldest} />` },
    {
      label: 'Show',
      cell: (/** @type {Group} */ { kind }) =>
        html`<button type="button" class="quiet" onClick=${() => onShow({ kind })}>Show ${kind}</button>`,
    },
  ]} />`;

/**
 * @param {boolean} canAct
 * @param {(act: Promise<any>) => void} acted
 */
const columnsOf = (canAct, acted) => [
  { label: 'Finding', cell: (/** @type {Finding} */ { id }) => id },
  { label: 'Kind', cell: (/** @type {Finding} */ { kind }) => html`<code>${kind}</code>` },
  {
    label: 'State',
    cell: (/** @type {Finding} */ { action }) =>
      html`<${Status} kind=${SHOWN[action]?.[0] ?? 'info'}>${SHOWN[action]?.[1] ?? action}<//>`,
  },
  { label: 'Money', isNumber: true, cell: (/** @type {Finding} */ finding) => html`<${Money} ...${finding} />` },
  {
    label: 'Order',
    cell: (/** @type {Finding} */ { orderId }) =>
      ORDER.test(orderId) ? html`<${Id} id=${orderId} href=${`#/orders/${orderId}`} />` : html`<code>${orderId}</code>`,
  },
  { label: 'Charge', cell: (/** @type {Finding} */ { reference }) => reference && html`<${Id} id=${reference} />` },
  {
    label: 'Said of it',
    cell: (/** @type {Finding} */ { detail, closedBy, reason }) =>
      html`${detail}${closedBy && html` <small>${closedBy}: ${reason}</small>`}`,
  },
  { label: 'Found', cell: (/** @type {Finding} */ { at }) => html`<${Ago} at=${at} />` },
  ...(canAct
    ? [
        {
          label: 'Acts',
          cell: (/** @type {Finding} */ finding) =>
            html`<div class="actions">${finding.closableAs.map((as) => html`<button type="button" aria-label=${`Close as ${as}: finding ${finding.id}`} onClick=${() => acted(close(finding, as))}>Close as ${as}</button>`)}${finding.refundable && html`<button type="button" aria-label=${`Give back ${money(finding.amount, finding.currency)}: finding ${finding.id}`} onClick=${() => acted(refund(finding))}>Give back ${money(finding.amount, finding.currency)}</button>`}</div>`,
        },
      ]
    : []),
];

/** @param {Finding} finding @param {string} as */
const close = (finding, as) =>
  confirmAct({
    ...{
      title: `Say that finding ${finding.id} is dealt with`,
      act: `Close it as ${as}`,
      count: 1,
      noun: 'finding',
      isHarmful: as === 'cancelled',
    },
    children: html`<p><code>${finding.kind}</code> of ${money(finding.amount, finding.currency)}, charge <code>${finding.reference}</code>. No money moves. ${as === 'refunded' ? 'The gateway is asked at once: should it still hold the money, this is reported again.' : 'It is not reported again unless its amount changes.'}</p>`,
    run: ({ reason }, idempotencyKey) =>
      post(`admin/findings/${finding.id}/close`, { idempotencyKey, body: { as, reason } }),
  });

/** @param {Finding} finding */
const refund = ({ id, kind, amount, currency, reference }) =>
  confirmAct({
    ...{
      title: `Give the charge of finding ${id} back`,
      act: `Give back ${money(amount, currency)}`,
      count: 1,
      noun: 'charge',
      isHarmful: true,
    },
    atStake: [{ amount, currency }],
    children: html`<p><code>${kind}</code>, charge <code>${reference}</code>. The reconciler looks at the charge and its order again before the money moves, and makes one refund.</p>`,
    run: ({ reason }, idempotencyKey) => post(`admin/findings/${id}/refund`, { idempotencyKey, body: { reason } }),
  });

/** @type {import('../lib/router.js').View} */
export const findings = {
  path: '/findings',
  title: 'Findings',
  nav: { label: 'Findings', order: 45, roles: ['operator', 'auditor'] },
  View: Findings,
};
