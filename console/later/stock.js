/** Stock: what is there of each SKU, and what orders hold of it; pieces found, lost or counted anew. */
import { post } from '../lib/api.js';
import { confirmAct } from '../lib/confirm.js';
import { count, number } from '../lib/format.js';
import { ReadAt, useForm, usePages } from '../lib/lists.js';
import { hrefOf } from '../lib/router.js';
import { useSteadyRows } from '../lib/rows.js';
import { session, useSession } from '../lib/session.js';
import { Field, Money, Notice, Page, Pager, Panel, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html, useRef, useState } from '../vendor/preact.js';

/** @typedef {{ sku: string, name: string, unitPrice: number, currency: string, onHand: number, available: number, reserved: number, sold: number }} Sku */

const BY_MAX = 1_000_000_000;
const PIECES = /^[+-]?\d{1,10}$/;

export function Stock() {
  const pages = usePages('inventory', 'items');
  const { shown, hold } = useSteadyRows(/** @type {Sku[]} */ (pages.rows), ({ sku }) => sku);
  const form = useForm({ sku: '', by: '' });
  const [told, setTold] = useState('');
  const pieces = useRef(/** @type {HTMLElement | null} */ (null));
  useSession();
  const canAct = session.canAct();
  /** @param {Sku} item */
  const begin = ({ sku }) => {
    form.field('sku').onInput(sku);
    /** @type {HTMLElement | null | undefined} */ (pieces.current?.querySelector('input[name=by]'))?.focus();
  };
  /** @param {Event} event */
  const ask = async (event) => {
    event.preventDefault();
    const { sku = '', by = '' } = form.values;
    const errors = refusals(sku.trim(), by.trim(), pages.rows);
    form.setErrors(errors);
    if (Object.keys(errors).length > 0) return;
    const after = await adjust(sku.trim(), Number(by.trim()), form);
    if (!after) return;
    setTold(`${after.sku}: ${number(after.onHand)} on hand, ${number(after.available)} available.`);
    form.reset();
    pages.reload();
  };
  return html`<${Page} title="Stock" actions=${html`<${ReadAt} of=${pages} />`}>
    <${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
    ${told && html`<${Notice} kind="good">${told}<//>`}
    ${
      canAct &&
      html`<${Panel} title="Adjust"><form ref=${pieces} onSubmit=${ask} novalidate>
      <${Field} name="sku" label="SKU" ...${form.field('sku')} />
      <${Field} name="by" label="Pieces to add, with a minus to remove" inputmode="text" hint="What is reserved or sold stays so: no more is removed than is available." ...${form.field('by')} />
      ${form.errors['by'] && form.values['sku'] && html`<p>Is more gone than is available? Remove what is available, cancel the newest of <${Buyers} sku=${form.values['sku'].trim()}>the CONFIRMED orders of ${form.values['sku'].trim()}<//>, and remove at once what they give back.</p>`}
      <button type="submit" class="primary">Adjust …</button>
    </form><//>`
    }
    <${Panel} title="Every SKU"><div ...${hold}>
      <${Table} label="Stock" rows=${shown} keyOf=${(/** @type {Sku} */ { sku }) => sku} empty="The catalogue is empty." columns=${columnsOf(canAct, begin)} />
    </div>
    <${Pager} hasMore=${pages.hasMore} onMore=${pages.more} isLoading=${pages.isLoading} shown=${shown.length} noun="SKU" /><//>
  <//>`;
}

/** The orders that hold it. @param {{ sku: string, children?: unknown }} props */
const Holders = ({ sku, children }) =>
  html`<a href=${hrefOf('/search', { sku, held: 'now' })} title="The orders that hold them">${children}</a>`;

/** The orders that bought it. @param {{ sku: string, children?: unknown }} props */
const Buyers = ({ sku, children }) =>
  html`<a href=${hrefOf('/search', { sku, status: 'CONFIRMED' })} title="The CONFIRMED orders of it, newest first">${children}</a>`;

/** Where the parts do not make up the whole, it says so: that is a bug, and not to be mended by an adjustment. @param {{ item: Sku }} props */
function OnHand({ item: { sku, onHand, available, reserved, sold } }) {
  const off = onHand - available - reserved - sold;
  if (off === 0 && available >= 0) return number(onHand);
  return html`${number(onHand)}<br /><${Status} kind="bad">${off === 0 ? 'Less than none is available' : `${count(Math.abs(off), 'piece')} ${off > 0 ? 'too many' : 'too few'}`}<//>: <${Holders} sku=${sku}>the orders that hold it<//>`;
}

/** @param {boolean} canAct @param {(item: Sku) => void} begin */
const columnsOf = (canAct, begin) => [
  { label: 'SKU', cell: (/** @type {Sku} */ { sku }) => html`<code>${sku}</code>` },
  { label: 'Name', cell: (/** @type {Sku} */ { name }) => name },
  {
    label: 'Price',
    isNumber: true,
    cell: (/** @type {Sku} */ { unitPrice, currency }) => html`<${Money} amount=${unitPrice} currency=${currency} />`,
  },
  {
    label: 'Available',
    isNumber: true,
    cell: (/** @type {Sku} */ { available }) =>
      available === 0 ? html`<${Status} kind="warn">0<//>` : number(available),
  },
  {
    label: 'Reserved',
    isNumber: true,
    cell: (/** @type {Sku} */ { sku, reserved }) =>
      reserved === 0 ? '0' : html`<${Holders} sku=${sku}>${number(reserved)}<//>`,
  },
  {
    label: 'Sold',
    isNumber: true,
    cell: (/** @type {Sku} */ { sku, sold }) => (sold === 0 ? '0' : html`<${Buyers} sku=${sku}>${number(sold)}<//>`),
  },
  { label: 'On hand', isNumber: true, cell: (/** @type {Sku} */ item) => html`<${OnHand} item=${item} />` },
  ...(canAct
    ? [
        {
          label: 'Acts',
          cell: (/** @type {Sku} */ item) =>
            html`<button type="button" aria-label=${`Adjust ${item.sku}`} onClick=${() => begin(item)}>Adjust</button>`,
        },
      ]
    : []),
];

/**
 * What is wrong before anybody is asked; the API judges by what is so then.
 * @param {string} sku
 * @param {string} by
 * @param {readonly Sku[]} items
 * @returns {Record<string, string>}
 */
function refusals(sku, by, items) {
  const item = items.find((each) => each.sku === sku);
  const n = Number(by);
  if (sku === '') return { sku: 'Which SKU?' };
  if (!PIECES.test(by) || n === 0 || Math.abs(n) > BY_MAX)
    return { by: 'A whole number of pieces, not 0, such as 7 or -7.' };
  if (item && item.available + n < 0)
    return {
      by: `Only ${number(item.available)} are available (${number(item.reserved)} reserved, ${number(item.sold)} sold).`,
    };
  return {};
}

/** @param {string} sku @param {number} by @param {ReturnType<typeof useForm>} form @returns {Promise<Sku | undefined>} */
const adjust = (sku, by, form) =>
  confirmAct({
    title: `${by > 0 ? 'Add' : 'Remove'} ${count(Math.abs(by), 'piece')} ${by > 0 ? 'to' : 'of'} ${sku}`,
    ...{
      act: `${by > 0 ? 'Add' : 'Remove'} ${number(Math.abs(by))}`,
      count: Math.abs(by),
      noun: 'piece',
      isHarmful: by < 0,
      reason: form.reason(),
    },
    children: html`<p>${by > 0 ? 'They can be ordered at once.' : 'They can not be ordered any more.'} What stood before is kept in the audit trail.</p>`,
    run: form.guarded({ by: '/by', sku: 'params/sku' }, ({ reason }) =>
      post(`inventory/${encodeURIComponent(sku)}/adjust`, { body: { by, reason } }),
    ),
  });
