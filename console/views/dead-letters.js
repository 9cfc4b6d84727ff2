/** Dead letters: events that a destination does not take, by what is wrong with them; replayed or discarded, one or many. */
import { get } from '../lib/api.js';
import { count, number } from '../lib/format.js';
import { Choice, ReadAt, usePages, useSelection, withQuery } from '../lib/lists.js';
import { navigate } from '../lib/router.js';
import { FreshRows, useSteadyRows } from '../lib/rows.js';
import { runbookOf } from '../lib/runbook.js';
import { operationHref } from '../lib/selection.js';
import { session, useSession } from '../lib/session.js';
import { Ago, Id, Page, Pager, Panel, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html, useState } from '../vendor/preact.js';
import { discard, replay } from './dead-letter-acts.js';

/** @typedef {{ id: string, destination: string, orderId: string, sequence: number, type: string, cause: string, error: string, sku: string | null, attempts: number, state: string, behind: number, parkedAt: string, decidedBy: string | null, reason: string | null }} Letter */
/** @typedef {{ destination: string, cause: string, state: string, count: number, oldest: string }} Group */

const STATES = /** @type {const} */ ([
  ['', 'Open: waiting or being sent'],
  ['PARKED', 'Waiting for a decision'],
  ['REPLAYING', 'Being sent again'],
  ['DELIVERED', 'Delivered'],
  ['DISCARDED', 'Discarded'],
]);
/** @type {Record<string, [import('../lib/ui.js').Kind, string]>} */
const SHOWN = {
  PARKED: ['bad', 'Waits'],
  REPLAYING: ['busy', 'Being sent'],
  DELIVERED: ['good', 'Delivered'],
  DISCARDED: ['off', 'Discarded'],
};
/** As many as one replay takes. */
const MANY_MAX = 1_000;

/** More than so many are discarded by the service, as an operation: that goes on when this page is closed. */
const HERE_MAX = 100;

/** @param {Letter} letter */
const isOpen = ({ state }) => state === 'PARKED' || state === 'REPLAYING';

/** @param {{ query: URLSearchParams }} props */
function DeadLetters({ query }) {
  const filter = Object.fromEntries(
    ['destination', 'cause', 'state', 'type', 'orderId'].map((name) => [name, query.get(name) ?? '']),
  );
  const pages = usePages(withQuery('admin/dead-letters', filter), 'deadLetters');
  const { shown, fresh, showAll, hold } = useSteadyRows(/** @type {Letter[]} */ (pages.rows), ({ id }) => id);
  const selection = useSelection(shown.filter(isOpen));
  const [failed, setFailed] = useState(/** @type {Error | undefined} */ (undefined));
  const [told, setTold] = useState(/** @type {unknown} */ (undefined));
  useSession();
  const canAct = session.canAct();
  /** @param {Record<string, string>} changed */
  const show = (changed) => navigate('/dead-letters', { ...filter, ...changed });
  /** @param {readonly Letter[]} letters @param {'replay' | 'discard'} act */
  const decide = async (letters, act) => {
    if (act === 'discard' && letters.length > HERE_MAX) {
      location.hash = discardElsewhere(letters);
      return;
    }
    const results = await (act === 'replay' ? replay(letters) : discard(letters));
    if (results === undefined) return;
    setTold(results);
    selection.clear();
    pages.reload();
  };
  /** Those of a cause, as they are now. @param {Group} group @param {'replay' | 'discard'} act */
  const decideOnGroup = async (group, act) => {
    const { destination, cause } = group;
    try {
      const { deadLetters } = await get(
        withQuery('admin/dead-letters', {
          ...{ destination, cause, orderId: filter['orderId'], state: 'PARKED' },
          limit: String(MANY_MAX),
        }),
      );
      setFailed(undefined);
      if (deadLetters.length > 0) await decide(deadLetters, act);
    } catch (problem) {
      setFailed(/** @type {Error} */ (problem));
    }
  };
  return html`<${Page} title="Dead letters" actions=${html`<${ReadAt} of=${pages} />`}>
    <${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
    <${ProblemNotice} problem=${failed} />
    ${told}
    <${Panel} title="By cause" aside=${html`<a href=${runbookOf({ kind: 'dead-letters' })}>Runbook</a>`}><${Groups} groups=${pages.answer?.groups ?? []} canAct=${canAct} onShow=${show} onDecide=${decideOnGroup} /><//>
    <${Panel} title="Letters" aside=${filter['destination'] || filter['cause'] || filter['orderId'] ? html`${filter['orderId'] && html`Of one order: <${Id} id=${filter['orderId']} href=${`#/orders/${filter['orderId']}`} /> `}<button type="button" onClick=${() => show({ destination: '', cause: '', orderId: '' })}>Show ${filter['orderId'] ? 'all' : 'every cause'}</button>` : undefined}>
      <${Choice} name="state" label="Which" value=${filter['state']} options=${STATES} onInput=${(/** @type {string} */ state) => show({ state })} />
      ${
        canAct &&
        html`<div class="actions">
        <button type="button" onClick=${() => selection.chooseShown()}>Choose the ${number(shown.filter(isOpen).length)} shown</button>
        ${selection.chosen.length > 0 && html`<button type="button" class="quiet" onClick=${selection.clear}>Choose none</button>`}
        <button type="button" class="primary" disabled=${selection.chosen.length === 0} onClick=${() => decide(selection.chosen, 'replay')}>Replay ${count(selection.chosen.length, 'letter')}</button>
        <button type="button" class="harmful" disabled=${selection.chosen.length === 0} onClick=${() => decide(selection.chosen, 'discard')}>Discard ${count(selection.chosen.length, 'letter')}</button>
      </div>`
      }
      <div ...${hold}>
        <${FreshRows} fresh=${fresh} onShow=${showAll} />
        <${Table} label="Dead letters" rows=${shown} keyOf=${(/** @type {Letter} */ { id }) => id} empty="Every event has been taken." columns=${columnsOf(selection, canAct, decide)} />
      </div>
      <${Pager} hasMore=${pages.hasMore} onMore=${pages.more} isLoading=${pages.isLoading} shown=${shown.length} noun="letter" />
    <//>
  <//>`;
}

/** @param {{ groups: Group[], canAct: boolean, onShow: (changed: Record<string, string>) => void, onDecide: (group: Group, act: 'replay' | 'discard') => void }} props */
function Groups({ groups, canAct, onShow, onDecide }) {
  const columns = [
    { label: 'Destination', cell: (/** @type {Group} */ { destination }) => destination },
    { label: 'Cause', cell: (/** @type {Group} */ { cause }) => cause },
    {
      label: 'State',
      cell: (/** @type {Group} */ { state }) =>
        html`<${Status} kind=${SHOWN[state]?.[0] ?? 'info'}>${SHOWN[state]?.[1] ?? state}<//>`,
    },
    { label: 'Letters', isNumber: true, cell: (/** @type {Group} */ group) => group.count },
    { label: 'Oldest', cell: (/** @type {Group} */ { oldest }) => html`<${Ago} at=${oldest} />` },
    {
      label: 'Acts',
      cell: (/** @type {Group} */ group) =>
        html`<div class="actions"><button type="button" class="quiet" onClick=${() => onShow({ destination: group.destination, cause: group.cause })}>Show</button>${canAct && group.state === 'PARKED' && html`<button type="button" onClick=${() => onDecide(group, 'replay')}>Replay ${number(Math.min(group.count, MANY_MAX))}</button><button type="button" aria-label=${`Discard ${number(Math.min(group.count, MANY_MAX))}: ${group.destination}, ${group.cause}`} onClick=${() => onDecide(group, 'discard')}>Discard ${number(Math.min(group.count, MANY_MAX))}</button>`}</div>`,
    },
  ];
  return html`<${Table} label="Dead letters by cause" rows=${groups} keyOf=${(/** @type {Group} */ g) => `${g.destination} ${g.cause} ${g.state}`} empty="None: every destination takes what it is sent." columns=${columns} />`;
}

/**
 * @param {{ box: (id: string, label: string) => unknown }} selection
 * @param {boolean} canAct
 * @param {(letters: Letter[], act: 'replay' | 'discard') => void} decide
 */
function columnsOf(selection, canAct, decide) {
  return [
    ...(canAct
      ? [
          {
            label: 'Chosen',
            cell: (/** @type {Letter} */ letter) =>
              isOpen(letter) && selection.box(letter.id, `Choose letter ${letter.id}`),
          },
        ]
      : []),
    { label: 'Letter', cell: (/** @type {Letter} */ { id }) => id },
    {
      label: 'State',
      cell: (/** @type {Letter} */ { state, decidedBy }) =>
        html`<${Status} kind=${SHOWN[state]?.[0] ?? 'info'}>${SHOWN[state]?.[1] ?? state}<//>${decidedBy && html` <small>by ${decidedBy}</small>`}`,
    },
    {
      label: 'Order',
      cell: (/** @type {Letter} */ { orderId }) => html`<${Id} id=${orderId} href=${`#/orders/${orderId}`} />`,
    },
    { label: 'Event', cell: (/** @type {Letter} */ { sequence, type }) => `${sequence} ${type}` },
    { label: 'To', cell: (/** @type {Letter} */ { destination }) => destination },
    {
      label: 'Why',
      cell: (/** @type {Letter} */ { cause, error, sku, attempts }) =>
        html`${cause}: ${error}${sku && html`, that is <code>${sku}</code>`} <small>after ${count(attempts, 'try', 'tries')}</small>`,
    },
    { label: 'Behind it', isNumber: true, cell: (/** @type {Letter} */ { behind }) => behind },
    { label: 'Since', cell: (/** @type {Letter} */ { parkedAt }) => html`<${Ago} at=${parkedAt} suffix="" />` },
    ...(canAct
      ? [
          {
            label: 'Acts',
            cell: (/** @type {Letter} */ letter) =>
              isOpen(letter) &&
              html`<div class="actions">${letter.state === 'PARKED' && html`<button type="button" aria-label=${`Replay letter ${letter.id}`} onClick=${() => decide([letter], 'replay')}>Replay</button>`}<button type="button" aria-label=${`Discard letter ${letter.id}`} onClick=${() => decide([letter], 'discard')}>Discard</button></div>`,
          },
        ]
      : []),
  ];
}

/** @param {readonly Letter[]} letters */
const discardElsewhere = (letters) =>
  operationHref(
    {
      selector: { deadLetterIds: letters.map(({ id }) => id) },
      ...{ count: letters.length, noun: 'dead letter', about: 'chosen among the dead letters' },
    },
    'discard',
  );

/** @type {import('../lib/router.js').View} */
export const deadLetters = {
  path: '/dead-letters',
  title: 'Dead letters',
  nav: { label: 'Dead letters', order: 40, roles: ['operator', 'auditor'] },
  View: DeadLetters,
};
