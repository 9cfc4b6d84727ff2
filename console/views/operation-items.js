/** The items of an operation, in their order, a page at a time. */
import { useRead } from '../lib/data.js';
import { number } from '../lib/format.js';
import { ITEM_STATES, kindOfItem } from '../lib/operations.js';
import { useSteadyRows } from '../lib/rows.js';
import { Id, Loading, Money, Panel, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html, useEffect, useState } from '../vendor/preact.js';

const PAGE = 100;

/** @typedef {import('../../clients/typescript/openapi.js').components['schemas']['OperationItem']} Item */

/** @param {{ operation: import('../lib/operations.js').Operation }} props */
export function Items({ operation: { id, counts, total } }) {
  const [state, setState] = useState('');
  // The cursors of the pages before this one; the first page has none.
  const [places, setPlaces] = useState(/** @type {string[]} */ ([]));
  const place = places.at(-1);
  const query = `limit=${PAGE}${state && `&state=${state}`}${place ? `&cursor=${encodeURIComponent(place)}` : ''}`;
  const { data, problem, reload } = useRead(`admin/operations/${id}/items?${query}`);
  useEffect(reload, [JSON.stringify(counts)]);
  const items = /** @type {Item[]} */ (data?.items ?? []);
  const { shown, hold } = useSteadyRows(items, ({ no }) => `${no}`);
  /** @param {any} event */
  const choose = ({ currentTarget }) => {
    setPlaces([]);
    setState(currentTarget.value);
  };
  return html`<${Panel} title="Items">
    <div class="field"><label for="items-state">In which state</label>
      <select id="items-state" value=${state} onChange=${choose}>
        <option value="">any: ${number(total)}</option>
        ${ITEM_STATES.filter(([name]) => counts[name] > 0).map(([name]) => html`<option value=${name}>${name}: ${number(counts[name])}</option>`)}
      </select></div>
    <${ProblemNotice} problem=${problem} onRetry=${reload} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && html`<div ...${hold}><${Table} label="List of items" rows=${shown} columns=${COLUMNS} keyOf=${(/** @type {Item} */ { no }) => `${no}`} empty="None is in this state." /></div>`}
    <div class="actions">
      <button type="button" disabled=${places.length === 0} onClick=${() => setPlaces(places.slice(0, -1))}>Page before</button>
      <button type="button" disabled=${!data?.next} onClick=${() => setPlaces([...places, data.next])}>Next page</button>
      ${items.length > 0 && html`<span class="faint">Items ${number(items[0]?.no ?? 0)} to ${number(items.at(-1)?.no ?? 0)} of ${number(total)}</span>`}
    </div>
  <//>`;
}

/** @type {import('../lib/ui.js').Column<Item>[]} */
const COLUMNS = [
  { label: 'No.', isNumber: true, cell: ({ no }) => number(no) },
  {
    label: 'Order',
    cell: ({ orderId, deadLetterId }) =>
      html`<${Id} id=${orderId} href=${`#/orders/${orderId}`} />${deadLetterId && html` letter ${deadLetterId}`}`,
  },
  {
    label: 'State',
    cell: ({ state, begunAt }) =>
      html`<${Status} kind=${state === 'open' && begunAt ? 'busy' : kindOfItem(state)}>${state === 'open' && begunAt ? 'under way' : state}<//>`,
  },
  { label: 'What came of it', cell: ({ message }) => message },
  { label: 'In the preview', cell: ({ seen }) => [seen.step, seen.failure].filter(Boolean).join(': ') },
  { label: 'Total', isNumber: true, cell: ({ total }) => total && html`<${Money} ...${total} />` },
];
