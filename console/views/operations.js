/** Operations: what was decided on many at once, by whom, and how far it is; and a new one. */
import { useAct, useRead } from '../lib/data.js';
import { count, number } from '../lib/format.js';
import { atStake, ITEM_STATES, kindOf, MEANS, nounOf, previewOperation, stateOf, titleOf } from '../lib/operations.js';
import { ReadAt, usePages } from '../lib/lists.js';
import { FreshRows, useSteadyRows } from '../lib/rows.js';
import { findSelection, ofCause } from '../lib/selection.js';
import { useSession } from '../lib/session.js';
import {
  Ago,
  Empty,
  Field,
  Loading,
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
import { html, useState } from '../vendor/preact.js';

/** @typedef {import('../lib/operations.js').Operation} Operation */

/** Of the box for ids, as the API takes them. */
const IDS_MAX = 1_000;

/** @param {{ query: URLSearchParams }} props */
function Operations({ query }) {
  const pages = usePages('admin/operations', 'operations');
  const operations = /** @type {Operation[]} */ (pages.rows);
  const { shown, fresh, showAll, hold } = useSteadyRows(operations, ({ id }) => id);
  const now = useNow();
  const canAct = useSession().roles.includes('operator');
  return html`<${Page} title="Operations" actions=${html`<${ReadAt} of=${pages} />`}>
    <p>An operation is one decision on many sagas or dead letters. The service carries it out, whoever closes which laptop; everybody sees how far it is.</p>
    ${canAct && html`<${NewOperation} key=${`${query}`} query=${query} />`}
    <${Panel} title="The newest first">
      <${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
      ${pages.isLoading && !pages.answer && html`<${Loading} />`}
      ${
        pages.answer &&
        html`<div ...${hold}><${FreshRows} fresh=${fresh} onShow=${showAll} />
        <${Table} label="List of operations" rows=${shown} columns=${columnsAt(now)} keyOf=${(/** @type {Operation} */ { id }) => id} empty="There has been no operation within 90 days." />
</div><${Pager} hasMore=${pages.hasMore} onMore=${pages.more} isLoading=${pages.isLoading} shown=${shown.length} noun="operation" />`
      }
    <//>
  <//>`;
}

/** @param {number} now @returns {import('../lib/ui.js').Column<Operation>[]} */
const columnsAt = (now) => [
  { label: 'What', cell: (one) => html`<a href=${`#/operations/${one.id}`}>${titleOf(one.action, one.total)}</a>` },
  {
    label: 'State',
    cell: (one) =>
      html`<${Status} kind=${kindOf(one)}>${stateOf(one)}<//>${one.pause && html`<br /><span class="faint">${one.pause.because}</span>`}`,
  },
  { label: 'Items', cell: (one) => tally(one) },
  { label: 'At stake', cell: (one) => html`<${Moneys} of=${one.amounts} />` },
  { label: 'Started', cell: (one) => one.startedAt && html`<${Ago} at=${one.startedAt} now=${now} />` },
  { label: 'By', cell: (one) => one.startedBy },
];

/** @param {Operation} operation */
const tally = ({ counts }) =>
  ITEM_STATES.filter(([state]) => counts[state] > 0)
    .map(([state]) => `${number(counts[state])} ${state}`)
    .join(', ');

/** Of what was chosen in another view. */
const GIVEN = 'chosen';

/** @param {string | null} asked @param {string | undefined} noun @returns {Operation['action']} */
const actionOf = (asked, noun) =>
  asked !== null && asked in MEANS
    ? /** @type {Operation['action']} */ (asked)
    : noun === undefined || noun === 'saga'
      ? 'retry'
      : 'replay';

/** @param {import('../lib/selection.js').Chosen} given */
const choiceOf = ({ selector, count: n, noun, about, atStake: amounts = [] }) => ({
  key: GIVEN,
  label: `${count(n, noun)} ${about}${amounts.length > 0 ? ` (${atStake(amounts)})` : ''}`,
  selects: selector,
});

/** @typedef {{ step: string | null, failure: string | null, count: number, amounts: { amount: number, currency: string }[] }} SagaGroup */
/** @typedef {{ destination: string, cause: string, state: string, count: number }} LetterGroup */

/** @param {{ query: URLSearchParams }} props what was chosen in another view, and perhaps an action */
function NewOperation({ query }) {
  const given = findSelection(query.get('selection'));
  const isLost = query.has('selection') && !given;
  const [action, setAction] = useState(actionOf(query.get('action'), given?.noun));
  const [which, setWhich] = useState(given ? GIVEN : '');
  const [ids, setIds] = useState('');
  const { submit, isBusy, problem } = useAct(previewOperation);
  const isOfLetters = nounOf(action) === 'dead letter';
  const groups = useRead(isOfLetters ? 'admin/dead-letters?limit=1&state=PARKED' : 'admin/sagas?limit=1');
  const choices = [
    ...(given && (given.noun === nounOf(action) || given.noun === 'letter') ? [choiceOf(given)] : []),
    ...(isOfLetters ? letterChoices(groups.data?.groups ?? []) : sagaChoices(groups.data?.groups ?? [])),
  ];
  const chosen = choices.find(({ key }) => key === which);
  const named = ids.split(/[\s,;]+/).filter((id) => id !== '');
  const asked = () => {
    if (chosen) return { action, ...chosen.selects };
    return isOfLetters ? { action, deadLetterIds: named } : { action, orderIds: named };
  };
  /** @param {Event} event */
  const preview = (event) => {
    event.preventDefault();
    if (chosen || named.length > 0) void submit(asked());
  };
  return html`<${Panel} title="A new one">
    ${isLost && html`<${Notice} kind="warn">What was chosen was known to a page that is gone: choose it again.<//>`}
    <form onSubmit=${preview}>
      <div class="field"><label for="action">What</label>
        <select id="action" value=${action} onChange=${(/** @type {any} */ { currentTarget }) => {
          setAction(currentTarget.value);
          setWhich('');
        }}>
          ${Object.entries(MEANS).map(([name, means]) => html`<option value=${name}>${name} ${nounOf(/** @type {Operation['action']} */ (name))}s: ${means}</option>`)}
        </select></div>
      <div class="field"><label for="which">Which</label>
        <select id="which" value=${which} onChange=${(/** @type {any} */ { currentTarget }) => setWhich(currentTarget.value)}>
          <option value="">Those that are named below</option>
          ${choices.map(({ key, label }) => html`<option value=${key}>${label}</option>`)}
        </select></div>
      ${!chosen && html`<${Field} name="ids" label=${isOfLetters ? 'Ids of dead letters' : 'Ids of orders'} value=${ids} onInput=${setIds} rows=${3} hint=${`At most ${number(IDS_MAX)}, one on each line or with commas between them`} error=${problem?.fieldError('/orderIds') ?? problem?.fieldError('/deadLetterIds')} />`}
      <${ProblemNotice} problem=${groups.problem ?? problem} />
      <div class="actions"><button type="submit" class="primary" aria-disabled=${(chosen || named.length > 0) && !isBusy ? undefined : 'true'}>${isBusy ? 'Looking …' : 'Preview'}</button>
        <span class="faint">Nothing is decided by a preview: it shows what it would be about.</span></div>
    </form>
    ${choices.length === 0 && groups.data && html`<${Empty}>${isOfLetters ? 'No dead letter is parked.' : 'No saga is stuck.'}<//>`}
  <//>`;
}

/** @param {SagaGroup[]} groups */
const sagaChoices = (groups) =>
  groups.map(({ step, failure, count: n, amounts }) => ({
    key: `${step}/${failure}`,
    label: `${count(n, 'saga')} at ${step ?? 'no step'}: ${failure ?? 'no failure'} (${atStake(amounts)})`,
    selects: { sagas: ofCause({ step, failure }) },
  }));

/** @param {LetterGroup[]} groups */
const letterChoices = (groups) =>
  groups
    .filter(({ state }) => state === 'PARKED')
    .map(({ destination, cause, count: n }) => ({
      key: `${destination}/${cause}`,
      label: `${count(n, 'dead letter')} of ${destination}: ${cause}`,
      selects: { deadLetters: { destination, cause } },
    }));

/** @type {import('../lib/router.js').View} */
export const operations = {
  path: '/operations',
  title: 'Operations',
  nav: { label: 'Operations', order: 20, roles: ['operator', 'auditor'] },
  View: Operations,
};
