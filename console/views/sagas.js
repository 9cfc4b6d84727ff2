/** Sagas that will not end without someone: by cause, and one by one, oldest and dearest first. What is chosen here is frozen for an operation. */
import { count, number, sumOf } from '../lib/format.js';
import { ReadAt, usePages, withQuery } from '../lib/lists.js';
import { hrefOf, navigate } from '../lib/router.js';
import { FreshRows, useSteadyRows } from '../lib/rows.js';
import { NONE, ofCause, operationHref } from '../lib/selection.js';
import { useSession } from '../lib/session.js';
import {
  Ago,
  Id,
  Loading,
  Money,
  Moneys,
  Notice,
  Page,
  Pager,
  Panel,
  ProblemNotice,
  Status,
  Table,
} from '../lib/ui.js';
import { html, useMemo, useState } from '../vendor/preact.js';

/** @typedef {{ amount: number, currency: string }} Amount */
/** @typedef {{ orderId: string, workflowId: string, step: string | null, failure: string | null, startedAt: string, status: string, customerId: string, total: Amount, gatewayReference: string | null }} Saga */
/** @typedef {{ step: string | null, failure: string | null, title: string | null, detail: string | null, count: number, oldest: string, amounts: Amount[] }} Group */
/** @typedef {Omit<import('../lib/selection.js').Chosen, 'noun'>} Target what is to be decided on */
/** @typedef {{ step?: string, failure?: string }} Filter */

const STATES = { NEEDS_ATTENTION: 'waiting for someone', COMPENSATING: 'unwinding' };
/** Each time Temporal is asked for all of them, once for all who look. */
const EVERY_MS = 15_000;
/** As many ids as one preview takes; more are chosen by their cause. */
const CHOSEN_MAX = 1_000;

/** Where an operation on them is previewed, which freezes which they are. @param {Target} target */
const decideOn = (target) => {
  location.hash = operationHref({ ...target, noun: 'saga' });
};

/** @param {{ query: URLSearchParams }} props */
function Sagas({ query }) {
  const state = query.get('state') === 'COMPENSATING' ? 'COMPENSATING' : 'NEEDS_ATTENTION';
  const filter = { step: query.get('step') ?? undefined, failure: query.get('failure') ?? undefined };
  const list = usePages(withQuery('admin/sagas', { state, ...filter }), 'sagas', { refreshMs: EVERY_MS });
  const canAct = useSession().roles.includes('operator');
  const groups = /** @type {readonly Group[]} */ (list.answer?.groups ?? []);
  const isFiltered = filter.step !== undefined || filter.failure !== undefined;
  const total = groups.reduce((sum, group) => sum + (isOf(group, filter) ? group.count : 0), 0);
  const onDecide = canAct ? decideOn : undefined;
  return html`<${Page} title="Sagas" actions=${html`<${StateChoice} state=${state} />`}>
    <${ReadAt} of=${list} />
    <${ProblemNotice} problem=${list.problem} onRetry=${list.reload} />
    ${!list.answer && !list.problem && html`<${Loading} what="Asking Temporal" />`}
    ${list.answer?.more && html`<${Notice} kind="warn"><p>There are more than can be listed: what follows is not all of them. Mend the cause first; what waits for a neighbour goes on by itself.</p><//>`}
    ${list.answer && html`<${Causes} groups=${groups} state=${state} filter=${filter} onDecide=${onDecide} />`}
    ${list.rows.length > 0 && html`<${List} list=${list} title=${isFiltered ? 'Those of this cause' : 'One by one'} total=${total} onDecide=${onDecide} />`}
  <//>`;
}

/** @param {Group} group @param {Filter} filter */
const isOf = (group, { step, failure }) =>
  (step === undefined || (group.step ?? NONE) === step) &&
  (failure === undefined || (group.failure ?? NONE) === failure);

/** @param {{ state: string }} props */
const StateChoice = ({ state }) =>
  html`<span class="actions" role="group" aria-label="State">${Object.entries(STATES).map(
    ([each, words]) =>
      html`<button type="button" class="quiet" aria-pressed=${each === state ? 'true' : 'false'} onClick=${() => navigate('/sagas', { state: each })}>${words}</button>`,
  )}</span>`;

/** @param {{ step: string | null, failure: string | null }} of */
const causeOf = ({ step, failure }) => `${step ?? 'before its first step'}: ${failure ?? 'no failure is known'}`;

/** @param {Filter} filter */
const isAny = ({ step, failure }) => step === undefined && failure === undefined;

/** @param {{ groups: readonly Group[], state: 'NEEDS_ATTENTION' | 'COMPENSATING', filter: Filter, onDecide: ((target: Target) => void) | undefined }} props */
function Causes({ groups, state, filter, onDecide }) {
  const all = groups.reduce((sum, group) => sum + group.count, 0);
  /** @param {Group} group */
  const decide = ({ step, failure, count: n, amounts }) => {
    const about = `at ${causeOf({ step, failure })}`;
    onDecide?.({ selector: { sagas: { state, ...ofCause({ step, failure }) } }, count: n, about, atStake: amounts });
  };
  /** @param {Group} group */
  const link = (group) => {
    const href = hrefOf('/sagas', { state, ...ofCause(group) });
    const isCurrent = !isAny(filter) && isOf(group, filter);
    return html`<a href=${href} aria-current=${isCurrent ? 'true' : undefined}>${group.title ?? causeOf(group)}</a>${group.title && html`<br /><span class="faint">${group.detail} <code>${causeOf(group)}</code></span>`}`;
  };
  const act = (/** @type {Group} */ group) =>
    html`<button type="button" onClick=${() => decide(group)}>Decide on ${count(group.count, 'saga')} …</button>`;
  const columns = [
    { label: 'Cause', cell: link },
    { label: 'Sagas', cell: (/** @type {Group} */ group) => number(group.count), isNumber: true },
    { label: 'Oldest', cell: (/** @type {Group} */ group) => html`<${Ago} at=${group.oldest} />` },
    { label: 'Held up', cell: (/** @type {Group} */ group) => html`<${Moneys} of=${group.amounts} />`, isNumber: true },
    ...(onDecide ? [{ label: 'Act', cell: act }] : []),
  ];
  const others = !isAny(filter) && html`<a href=${hrefOf('/sagas', { state })}>Show the others, too</a>`;
  return html`<${Panel} title=${`${count(all, 'saga')} ${STATES[state]}`} aside=${others}>
    <${Table} label="Causes" columns=${columns} rows=${groups} keyOf=${causeOf} empty=${html`<${Status} kind="good">No saga is ${STATES[state]}.<//>`} />
  <//>`;
}

/** @param {{ list: ReturnType<typeof usePages>, title: string, total: number, onDecide: ((target: Target) => void) | undefined }} props */
function List({ list, title, total, onDecide }) {
  const [chosen, setChosen] = useState(/** @type {ReadonlyMap<string, Saga>} */ (new Map()));
  const rows = /** @type {readonly Saga[]} */ (list.rows);
  const { shown, fresh, showAll, hold } = useSteadyRows(rows, keyOf);
  /** @param {readonly Saga[]} sagas @param {boolean} isChosen */
  const choose = (sagas, isChosen) => {
    const next = new Map(chosen);
    for (const saga of sagas) {
      if (!isChosen) next.delete(saga.orderId);
      else if (next.size < CHOSEN_MAX) next.set(saga.orderId, saga);
    }
    setChosen(next);
  };
  const columns = [...(onDecide ? [choiceOf(chosen, choose)] : []), ...COLUMNS];
  return html`<${Panel} title=${`${title}, oldest and dearest first`}>
    ${onDecide && html`<${Chosen} chosen=${chosen} shown=${shown} choose=${choose} onDecide=${onDecide} />`}
    <${FreshRows} fresh=${fresh} onShow=${showAll} />
    <div ...${hold}><${Table} label="Sagas one by one" columns=${columns} rows=${shown} keyOf=${keyOf} /></div>
    <${Pager} hasMore=${list.hasMore} onMore=${list.more} isLoading=${list.isLoading} shown=${rows.length} total=${Math.max(total, rows.length)} noun="saga" />
  <//>`;
}

/** @param {Saga} saga */
const keyOf = ({ workflowId }) => workflowId;

/**
 * @param {ReadonlyMap<string, Saga>} chosen
 * @param {(sagas: readonly Saga[], isChosen: boolean) => void} choose
 */
const choiceOf = (chosen, choose) => ({
  label: 'Chosen',
  cell: (/** @type {Saga} */ saga) =>
    html`<input type="checkbox" aria-label=${`Choose order ${saga.orderId}`} checked=${chosen.has(saga.orderId)} onChange=${(/** @type {Event} */ event) => choose([saga], /** @type {HTMLInputElement} */ (event.currentTarget).checked)} />`,
});

/** @param {{ chosen: ReadonlyMap<string, Saga>, shown: readonly Saga[], choose: (sagas: readonly Saga[], isChosen: boolean) => void, onDecide: (target: Target) => void }} props */
function Chosen({ chosen, shown, choose, onDecide }) {
  const atStake = useMemo(() => sumOf([...chosen.values()].map(({ total }) => total)), [chosen]);
  const first = shown.slice(0, CHOSEN_MAX);
  const decide = () =>
    onDecide({ selector: { orderIds: [...chosen.keys()] }, count: chosen.size, about: 'chosen one by one', atStake });
  return html`<div class="actions" role="group" aria-label="What is chosen">
    <span role="status">${count(chosen.size, 'saga')} chosen${chosen.size > 0 && html`, <${Moneys} of=${atStake} /> held up`}</span>
    <button type="button" class="quiet" onClick=${() => choose(first, true)}>Choose the ${first.length < shown.length ? 'first ' : ''}${number(first.length)} shown</button>
    ${chosen.size > 0 && html`<button type="button" class="quiet" onClick=${() => choose([...chosen.values()], false)}>Choose none</button><button type="button" onClick=${decide}>Decide on ${count(chosen.size, 'saga')} …</button>`}
  </div>`;
}

/** @type {readonly import('../lib/ui.js').Column<Saga>[]} */
const COLUMNS = [
  { label: 'Order', cell: ({ orderId }) => html`<${Id} id=${orderId} href=${hrefOf(`/orders/${orderId}`)} />` },
  { label: 'Stands at', cell: causeOf },
  { label: 'Since', cell: ({ startedAt }) => html`<${Ago} at=${startedAt} />` },
  { label: 'Total', cell: ({ total }) => html`<${Money} ...${total} />`, isNumber: true },
  { label: 'Customer', cell: ({ customerId }) => html`<code>${customerId}</code>` },
  {
    label: 'Charge',
    cell: ({ gatewayReference }) => (gatewayReference ? html`<code>${gatewayReference}</code>` : '–'),
  },
];

/** @type {import('../lib/router.js').View} */
export const sagas = {
  path: '/sagas',
  title: 'Sagas',
  nav: { label: 'Sagas', order: 20, roles: ['operator', 'auditor'] },
  View: Sagas,
};
