/** Findings: where the gateway's ledger and ours differ, by cause and money; closed on an operator's word, one or many, or the charge given back. */
import { get } from '../lib/api.js';
import { count, money, number, sumOf } from '../lib/format.js';
import { Choice, ReadAt, usePages, useSelection, withQuery } from '../lib/lists.js';
import { navigate } from '../lib/router.js';
import { FreshRows, useSteadyRows } from '../lib/rows.js';
import { runbookOf } from '../lib/runbook.js';
import { session, useSession } from '../lib/session.js';
import { Ago, Id, Money, Moneys, Notice, Page, Pager, Panel, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html, useState } from '../vendor/preact.js';
import { close, closeEach, refund, refundEach } from './finding-acts.js';

/** @typedef {{ id: string, kind: string, reference: string, orderId: string, amount: number, currency: string | null, action: string, detail: string | null, closableAs: string[], refundable: boolean, closedBy: string | null, reason: string | null, at: string }} Finding */
/** @typedef {{ kind: string, action: string, currency: string | null, count: number, amount: number, oldest: string }} Group */

/** As many as are closed with one word: each is a request of its own. */
const MANY_MAX = 100;

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
  const selection = useSelection(shown.filter(isOpen));
  const [told, setTold] = useState(/** @type {unknown} */ (undefined));
  const [failed, setFailed] = useState(/** @type {Error | undefined} */ (undefined));
  useSession();
  const canAct = session.canAct();
  /** @param {Record<string, string>} changed */
  const show = (changed) => navigate('/findings', { ...filter, ...changed });
  /** @param {Promise<{ id: string, action: string } | undefined>} act */
  const acted = async (act) => {
    const now = await act;
    if (!now) return;
    setTold(html`<${Notice} kind="good">Finding ${now.id}: ${SHOWN[now.action]?.[1] ?? now.action}.<//>`);
    pages.reload();
  };
  /** @param {readonly Finding[]} chosen @param {Way} way */
  const settleMany = async (chosen, way) => {
    const outcomes = await (way === 'give back' ? refundEach(chosen) : closeEach(chosen, way));
    if (!outcomes) return;
    setTold(outcomes);
    selection.clear();
    pages.reload();
  };
  /** Those of a cause, as they are now. @param {Cause} cause @param {Way} way */
  const settleCause = async ({ kind }, way) => {
    try {
      const { findings: found } = await get(
        withQuery('admin/findings', { kind, state: 'reported', orderId: filter['orderId'], limit: String(MANY_MAX) }),
      );
      setFailed(undefined);
      const those = found.filter((/** @type {Finding} */ each) => waysOf(each).includes(way));
      if (those.length > 0) await settleMany(those, way);
    } catch (problem) {
      setFailed(/** @type {Error} */ (problem));
    }
  };
  const vouched = pages.answer?.vouched ?? 0;
  return html`<${Page} title="Findings" actions=${html`<${ReadAt} of=${pages} />`}>
    <${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
    <${ProblemNotice} problem=${failed} />
    ${told}
    <${Panel} title="By cause" aside=${html`<a href=${runbookOf({ kind: 'findings' })}>Runbook</a>`}><${Groups} groups=${causesOf(pages.answer?.groups ?? [])} onShow=${show} shown=${shown} onSettle=${canAct ? settleCause : undefined} />
      ${canAct && shown.some(isOpen) && html`<p class="faint">To close moves no money: <em>as cancelled</em> it is dealt with for good, <em>as refunded</em> it is reported again should the gateway still hold the money.</p>`}
      ${vouched > 0 && html`<p class="faint">Besides, operators vouch for the money of ${count(vouched, 'order')} that the gateway knows nothing of.</p>`}
    <//>
    <${Panel} title="Each" aside=${(filter['kind'] || filter['orderId']) && html`<button type="button" onClick=${() => show({ kind: '', orderId: '' })}>Show every kind</button>`}>
      <${Choice} name="state" label="Which" value=${filter['state']} options=${STATES} onInput=${(/** @type {string} */ state) => show({ state })} />
      ${canAct && shown.some(isOpen) && html`<${Chosen} selection=${selection} shown=${shown} onSettle=${settleMany} />`}
      <div ...${hold}>
        <${FreshRows} fresh=${fresh} onShow=${showAll} />
        <${Table} label="Findings" rows=${shown} keyOf=${(/** @type {Finding} */ { id }) => id} empty="The ledgers agree." columns=${columnsOf(canAct, acted, selection)} />
      </div>
      <${Pager} hasMore=${pages.hasMore} onMore=${pages.more} isLoading=${pages.isLoading} shown=${shown.length} noun="finding" />
    <//>
  <//>`;
}

/** @typedef {'cancelled' | 'refunded' | 'give back'} Way to settle one: closed as that, or its charge given back */

/** @param {Pick<Finding, 'closableAs' | 'refundable'>} finding @returns {Way[]} */
const waysOf = ({ closableAs, refundable }) => [
  .../** @type {Way[]} */ (closableAs),
  ...(refundable ? /** @type {const} */ (['give back']) : []),
];
/** @param {Finding} finding */
const isOpen = (finding) => waysOf(finding).length > 0;
/** @param {Finding} finding */
const isRefundable = ({ refundable }) => refundable;

/** What was chosen, and what may be said of all of it; given back are those of them that offer it. @param {{ selection: ReturnType<typeof useSelection>, shown: readonly Finding[], onSettle: (chosen: readonly Finding[], way: Way) => void }} props */
function Chosen({ selection, shown, onSettle }) {
  const chosen = /** @type {readonly Finding[]} */ (/** @type {unknown} */ (selection.chosen));
  const [sums, back] = [sumOf(chosen), chosen.filter(isRefundable)];
  const n = { open: shown.filter(isOpen).length, back: shown.filter(isRefundable).length };
  const ways = /** @type {const} */ (['cancelled', 'refunded']).filter((as) =>
    chosen.every((each) => each.closableAs.includes(as)),
  );
  return html`<div class="actions" role="group" aria-label="What is chosen">
    <span role="status">${count(chosen.length, 'finding')} chosen${sums.length > 0 && html`, <${Moneys} of=${sums} />`}</span>
    <button type="button" class="quiet" onClick=${() => selection.chooseShown()}>Choose the ${number(n.open)} that can be closed</button>
    ${n.back > 0 && html`<button type="button" class="quiet" onClick=${() => selection.chooseShown(isRefundable)}>Choose the ${number(n.back)} that can be given back</button>`}
    ${chosen.length > 0 && html`<button type="button" class="quiet" onClick=${selection.clear}>Choose none</button>${ways.map((as) => html`<button type="button" onClick=${() => onSettle(chosen, as)}>Close ${count(chosen.length, 'finding')} as ${as} …</button>`)}`}
    ${back.length > 0 && html`<button type="button" onClick=${() => onSettle(back, 'give back')}>Give back <${Moneys} of=${sumOf(back)} /> of ${count(back.length, 'finding')} …</button>`}
  </div>`;
}

/** @typedef {{ kind: string, action: string, count: number, sums: { amount: number, currency: string | null }[], oldest: string }} Cause of several currencies */

/** One line for each kind and state, whatever the currencies are. @param {readonly Group[]} groups @returns {Cause[]} */
function causesOf(groups) {
  /** @type {Map<string, Cause>} */
  const causes = new Map();
  for (const { kind, action, count: n, amount, currency, oldest } of groups) {
    const key = `${kind} ${action}`;
    const known = causes.get(key) ?? { kind, action, count: 0, sums: [], oldest };
    causes.set(key, {
      ...known,
      count: known.count + n,
      sums: [...known.sums, { amount, currency }],
      oldest: oldest < known.oldest ? oldest : known.oldest,
    });
  }
  return [...causes.values()];
}

/** @param {{ groups: Cause[], shown: readonly Finding[], onShow: (changed: Record<string, string>) => void, onSettle: ((cause: Cause, way: Way) => void) | undefined }} props */
const Groups = ({ groups, shown, onShow, onSettle }) =>
  html`<${Table} label="Findings by cause" rows=${groups} keyOf=${(/** @type {Cause} */ g) => `${g.kind} ${g.action}`} empty="None." columns=${[
    { label: 'Kind', cell: (/** @type {Cause} */ { kind }) => html`<code class="word">${kind}</code>` },
    {
      label: 'State',
      cell: (/** @type {Cause} */ { action }) =>
        html`<${Status} kind=${SHOWN[action]?.[0] ?? 'info'}>${SHOWN[action]?.[1] ?? action}<//>`,
    },
    { label: 'Findings', isNumber: true, cell: (/** @type {Cause} */ group) => number(group.count) },
    { label: 'Money', isNumber: true, cell: (/** @type {Cause} */ { sums }) => html`<${Moneys} of=${sums} />` },
    { label: 'Oldest', cell: (/** @type {Cause} */ { oldest }) => html`<${Ago} at=${oldest} />` },
    {
      label: 'Acts',
      cell: (/** @type {Cause} */ group) =>
        html`<div class="actions"><button type="button" class="quiet" aria-label=${`Show ${group.kind}`} onClick=${() => onShow({ kind: group.kind })}>Show</button>${
          onSettle &&
          group.action === 'reported' &&
          waysOf(shown.find(({ kind, action }) => kind === group.kind && action === 'reported') ?? OF_ALL).map(
            (way) => {
              const n = number(Math.min(group.count, MANY_MAX));
              const act = way === 'give back' ? `Give back ${n}` : `Close ${n} as ${way}`;
              return html`<button type="button" aria-label=${`${act}: ${group.kind}`} onClick=${() => onSettle(group, way)}>${act} …</button>`;
            },
          )
        }</div>`,
    },
  ]} />`;
/** Of a kind of which none is on the page. */
const OF_ALL = { closableAs: ['cancelled'], refundable: false };

/**
 * @param {boolean} canAct
 * @param {(act: Promise<any>) => void} acted
 * @param {{ box: (id: string, label: string) => unknown }} selection
 */
const columnsOf = (canAct, acted, selection) => [
  ...(canAct
    ? [
        {
          label: 'Chosen',
          cell: (/** @type {Finding} */ finding) =>
            isOpen(finding) && selection.box(finding.id, `Choose finding ${finding.id}`),
        },
      ]
    : []),
  { label: 'Finding', cell: (/** @type {Finding} */ { id }) => id },
  { label: 'Kind', cell: (/** @type {Finding} */ { kind }) => html`<code class="word">${kind}</code>` },
  {
    label: 'State',
    cell: (/** @type {Finding} */ { action }) =>
      html`<${Status} kind=${SHOWN[action]?.[0] ?? 'info'}>${SHOWN[action]?.[1] ?? action}<//>`,
  },
  { label: 'Money', isNumber: true, cell: (/** @type {Finding} */ finding) => html`<${Money} ...${finding} />` },
  {
    label: 'Order',
    cell: (/** @type {Finding} */ { orderId }) =>
      ORDER.test(orderId)
        ? html`<${Id} id=${orderId} href=${`#/orders/${orderId}`} />`
        : orderId && html`<code>${orderId}</code>`,
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

/** @type {import('../lib/router.js').View} */
export const findings = {
  path: '/findings',
  title: 'Findings',
  nav: { label: 'Findings', order: 45, roles: ['operator', 'auditor'] },
  View: Findings,
};
