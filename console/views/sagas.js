/** Sagas that will not end without someone: by cause, and one by one, oldest and dearest first. What is chosen here is decided on by an operation. */
import { count, number } from '../lib/format.js';
import { usePages } from '../lib/pages.js';
import { hrefOf, navigate } from '../lib/router.js';
import { operationHref } from '../lib/selection.js';
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
  useNow,
} from '../lib/ui.js';
import { FreshRows, useSteadyRows } from '../lib/rows.js';
import { html, useEffect, useMemo, useState } from '../vendor/preact.js';

/** @typedef {{ orderId: string, workflowId: string, step: string | null, failure: string | null, startedAt: string, status: string, customerId: string, total: { amount: number, currency: string }, gatewayReference: string | null }} Saga */
/** @typedef {{ step: string | null, failure: string | null, count: number, oldest: string, amounts: { amount: number, currency: string }[] }} Group */

const STATES = { NEEDS_ATTENTION: 'waiting for someone', COMPENSATING: 'unwinding' };
/** As often as the list is asked for anew while only its beginning is shown: each time Temporal is asked for all of them. */
const EVERY_MS = 15_000;
const PAGE = 200;

/** @param {{ query: URLSearchParams }} props */
function Sagas({ query }) {
  const state = query.get('state') === 'COMPENSATING' ? 'COMPENSATING' : 'NEEDS_ATTENTION';
  const filter = { step: query.get('step') ?? undefined, failure: query.get('failure') ?? undefined };
  const asked = new URLSearchParams(
    /** @type {[string, string][]} */ (Object.entries({ state, ...filter }).filter(([, value]) => value !== undefined)),
  );
  const list = usePages(`admin/sagas?${asked}`, { name: 'sagas', limit: PAGE });
  const canAct = useSession().roles.includes('operator');
  const [isPaused, setPaused] = useState(false);
  useEffect(() => {
    if (isPaused || list.rows.length > PAGE) return undefined;
    const timer = setInterval(list.reload, EVERY_MS);
    return () => clearInterval(timer);
  }, [list.reload, isPaused, list.rows.length > PAGE]);
  const groups = /** @type {readonly Group[]} */ (list.first?.groups ?? []);
  const isFiltered = filter.step !== undefined || filter.failure !== undefined;
  return html`<${Page} title="Sagas" actions=${html`<${StateChoice} state=${state} />`}>
    <${Freshness} asOf=${list.first?.asOf} at=${list.at} isPaused=${isPaused} onPause=${setPaused} onRead=${list.reload} />
    <${ProblemNotice} problem=${list.problem} onRetry=${list.reload} />
    ${!list.first && !list.problem && html`<${Loading} what="Asking Temporal" />`}
    ${list.first?.more && html`<${Notice} kind="warn"><p>There are more than can be listed: what follows is not all of them. Mend the cause first; what waits for a neighbour goes on by itself.</p><//>`}
    ${list.first && html`<${Causes} groups=${groups} state=${state} canAct=${canAct} filter=${filter} />`}
    ${list.first && html`<${List} list=${list} canAct=${canAct} title=${isFiltered ? 'Those of this cause' : 'One by one'} total=${groups.reduce((sum, group) => sum + (isOf(group, filter) ? group.count : 0), 0)} />`}
  <//>`;
}

/** @param {Group} group @param {{ step?: string, failure?: string }} filter */
const isOf = (group, { step, failure }) =>
  (step === undefined || group.step === step) && (failure === undefined || group.failure === failure);

/** @param {{ state: string }} props */
const StateChoice = ({ state }) =>
  html`<span role="group" aria-label="State">${Object.entries(STATES).map(
    ([each, words]) =>
      html`<button type="button" class="quiet" aria-pressed=${each === state ? 'true' : 'false'} onClick=${() => navigate('/sagas', { state: each })}>${words}</button>`,
  )}</span>`;

/** @param {{ asOf: string | undefined, at: number | undefined, isPaused: boolean, onPause: (isPaused: boolean) => void, onRead: () => void }} props */
function Freshness({ asOf, at, isPaused, onPause, onRead }) {
  const now = useNow(5_000);
  if (at === undefined || asOf === undefined) return null;
  const isStale = now - at > 3 * EVERY_MS;
  return html`<div class="as-of">
    <${Status} kind=${isPaused ? 'off' : isStale ? 'bad' : 'good'}>${isPaused ? 'Paused. ' : isStale ? 'Stale: this is not what is now. ' : ''}As of ${asOf.slice(11, 19)} UTC<//>
    <button type="button" class="quiet" onClick=${onRead}>Read anew</button>
    <button type="button" class="quiet" aria-pressed=${isPaused ? 'true' : 'false'} onClick=${() => onPause(!isPaused)}>${isPaused ? 'Go on' : 'Pause'}</button>
  </div>`;
}

/** @param {Group | Saga} of */
const causeOf = ({ step, failure }) => `${step ?? 'before its first step'}: ${failure ?? 'no failure is known'}`;

/** @param {{ groups: readonly Group[], state: string, canAct: boolean, filter: { step?: string, failure?: string } }} props */
function Causes({ groups, state, canAct, filter }) {
  const all = groups.reduce((sum, group) => sum + group.count, 0);
  /** @param {Group} group */
  const decide = (group) => {
    const selector = {
      sagas: {
        state,
        ...(group.step !== null && { step: group.step }),
        ...(group.failure !== null && { failure: group.failure }),
      },
    };
    location.hash = operationHref({
      selector,
      count: group.count,
      noun: 'saga',
      about: `at ${causeOf(group)}`,
      atStake: group.amounts,
    });
  };
  const columns = [
    {
      label: 'Cause',
      cell: (/** @type {Group} */ group) =>
        html`<a href=${hrefOf('/sagas', { state, step: group.step ?? undefined, failure: group.failure ?? undefined })} aria-current=${isOf(group, filter) && (filter.step || filter.failure) ? 'true' : undefined}>${causeOf(group)}</a>`,
    },
    { label: 'Sagas', cell: (/** @type {Group} */ group) => number(group.count), isNumber: true },
    { label: 'Oldest', cell: (/** @type {Group} */ group) => html`<${Ago} at=${group.oldest} />` },
    { label: 'Held up', cell: (/** @type {Group} */ group) => html`<${Moneys} of=${group.amounts} />`, isNumber: true },
    ...(canAct
      ? [
          {
            label: 'Act',
            cell: (/** @type {Group} */ group) =>
              html`<button type="button" onClick=${() => decide(group)}>Decide on ${count(group.count, 'saga')} …</button>`,
          },
        ]
      : []),
  ];
  return html`<${Panel} title=${`${count(all, 'saga')} ${STATES[/** @type {keyof typeof STATES} */ (state)]}`} aside=${(filter.step || filter.failure) && html`<a href=${hrefOf('/sagas', { state })}>Show the others, too</a>`}>
    <${Table} label="Causes" columns=${columns} rows=${groups} keyOf=${causeOf} empty=${html`<${Status} kind="good">No saga is ${STATES[/** @type {keyof typeof STATES} */ (state)]}.<//>`} />
  <//>`;
}

/** @param {{ list: ReturnType<typeof usePages>, canAct: boolean, title: string, total: number }} props */
function List({ list, canAct, title, total }) {
  const [chosen, setChosen] = useState(/** @type {ReadonlyMap<string, Saga>} */ (new Map()));
  const rows = /** @type {readonly Saga[]} */ (list.rows);
  const { shown, fresh, showAll, hold } = useSteadyRows(rows, keyOf);
  /** @param {readonly Saga[]} sagas @param {boolean} isChosen */
  const choose = (sagas, isChosen) => {
    const next = new Map(chosen);
    for (const saga of sagas) isChosen ? next.set(saga.orderId, saga) : next.delete(saga.orderId);
    setChosen(next);
  };
  const columns = [...(canAct ? [choiceOf(chosen, choose)] : []), ...COLUMNS];
  if (rows.length === 0) return null;
  return html`<${Panel} title=${`${title}, oldest and dearest first`}>
    ${canAct && html`<${Chosen} chosen=${chosen} shown=${shown} choose=${choose} onClear=${() => setChosen(new Map())} />`}
    <${FreshRows} fresh=${fresh} onShow=${showAll} />
    <div ...${hold}><${Table} label="Sagas" columns=${columns} rows=${shown} keyOf=${keyOf} /></div>
    <${Pager} hasMore=${list.hasMore} onMore=${list.more} isLoading=${list.isLoading} shown=${`${number(rows.length)} of ${number(Math.max(total, rows.length))}`} what="sagas" />
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

/** @param {{ chosen: ReadonlyMap<string, Saga>, shown: readonly Saga[], choose: (sagas: readonly Saga[], isChosen: boolean) => void, onClear: () => void }} props */
function Chosen({ chosen, shown, choose, onClear }) {
  const atStake = useMemo(() => sumOf([...chosen.values()]), [chosen]);
  const decide = () => {
    location.hash = operationHref({
      selector: { orderIds: [...chosen.keys()] },
      count: chosen.size,
      noun: 'saga',
      about: 'chosen one by one',
      atStake,
    });
  };
  return html`<div class="actions" role="group" aria-label="What is chosen">
    <span role="status">${count(chosen.size, 'saga')} chosen${chosen.size > 0 && html`, <${Moneys} of=${atStake} /> held up`}</span>
    <button type="button" class="quiet" onClick=${() => choose(shown, true)}>Choose the ${number(shown.length)} shown</button>
    ${chosen.size > 0 && html`<button type="button" class="quiet" onClick=${onClear}>Choose none</button><button type="button" class="primary" onClick=${decide}>Decide on ${count(chosen.size, 'saga')} …</button>`}
  </div>`;
}

/** @param {readonly Saga[]} sagas @returns {{ amount: number, currency: string }[]} */
function sumOf(sagas) {
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const { total } of sagas) sums.set(total.currency, (sums.get(total.currency) ?? 0) + total.amount);
  return [...sums].map(([currency, amount]) => ({ currency, amount }));
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
  nav: { label: 'Sagas', order: 10, roles: ['operator', 'auditor'] },
  View: Sagas,
};
