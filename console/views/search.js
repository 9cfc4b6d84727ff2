/** One box: whatever somebody has in hand of an order, and the orders that it is of. */
import { useRead } from '../lib/data.js';
import { count, moment, number } from '../lib/format.js';
import { hrefOf, navigate } from '../lib/router.js';
import { Ago, Field, Id, Loading, Money, Notice, Page, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html, useEffect, useState } from '../vendor/preact.js';
import { InCommon } from './search-common.js';

const TEXT_MAX = 200;
const OF_SKU = 'sku:';
const KINDS =
  'An order’s id, its saga’s or an event’s; a correlation id; the shop’s own number; the gateway’s reference (pi_…, re_…); a customer’s id or reference; sku: and a SKU, for those that are of it.';
const FOUND_BY = {
  order: 'the order',
  event: 'its event',
  correlationId: 'correlation id',
  externalOrderId: 'external order id',
  gatewayReference: 'gateway reference',
  customerId: 'customer',
  customerReference: 'customer’s reference',
};
/** @type {Record<string, 'good' | 'off' | 'busy'>} */
const STATUS = { CONFIRMED: 'good', CANCELLED: 'off', PENDING: 'busy' };

/** @typedef {{ order: any, foundBy: (keyof typeof FOUND_BY)[] }} Found */

/** @param {{ query: URLSearchParams }} props */
function Search({ query }) {
  const asked = query.get('q') ?? '';
  const [text, setText] = useState(asked);
  const [fault, setFault] = useState('');
  const [round, setRound] = useState(0);
  const again = () => setRound(round + 1);
  useEffect(() => setText(asked), [asked]);
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const wanted = text.trim();
    const wrong = faultOf(wanted);
    setFault(wrong);
    if (wrong !== '') return;
    const next = wanted.startsWith(OF_SKU) ? { sku: wanted.slice(OF_SKU.length) } : { q: wanted };
    if (!navigate('/search', next)) again();
  };
  return html`<${Page} title="Search">
    <form role="search" onSubmit=${submit}>
      <${Field} name="search" label="Find an order" value=${text} onInput=${setText} hint=${KINDS} error=${fault} maxLength=${TEXT_MAX} spellcheck="false" autocapitalize="off" />
      <p><button type="submit" class="primary">Search</button></p>
    </form>
    ${asked !== '' && faultOf(asked) === '' && html`<${Results} key=${`${round} ${asked}`} text=${asked} />`}
    <${InCommon} key=${`${round} ${query}`} query=${query} columns=${columnsOf} onAgain=${again} />
  <//>`;
}

/** @param {string} text @returns {string} '' = it can be asked for */
function faultOf(text) {
  if (text === '') return 'Write what you have of the order.';
  if (/\s/.test(text)) return 'One word at a time: nothing that leads to an order has spaces in it.';
  return /^[\x21-\x7e]+$/.test(text) ? '' : 'Nothing that leads to an order has such letters in it.';
}

/** @param {{ text: string }} props */
function Results({ text }) {
  const { data, problem, isLoading, reload } = useRead(`admin/search?${new URLSearchParams({ q: text })}`);
  /** @type {readonly Found[]} */
  const found = data?.orders ?? [];
  const isCustomers = found.some(({ foundBy }) => foundBy.includes('customerId'));
  return html`<div aria-busy=${isLoading ? 'true' : 'false'}>
    <${ProblemNotice} problem=${problem} onRetry=${reload} />
    ${!data && !problem && html`<${Loading} what="Searching" />`}
    ${data && html`<p role="status">${found.length === 0 ? 'Nothing is found.' : `${count(found.length, 'order')}${data.more ? ', the newest: there are more' : ''}, found by ${kindsOf(found)}.`}</p>`}
    ${data && found.length === 0 && html`<${Nothing} text=${text} />`}
    ${found.length > 0 && html`<${Table} label="Orders that were found" columns=${WITH_WHY} rows=${found} keyOf=${(/** @type {Found} */ { order }) => order.id} />`}
    ${data?.more && html`<${Notice}><p>${isCustomers ? 'The customer has more orders' : 'More orders have it'} than are shown: <code>ops find</code> lists up to 1,000, and pages through times with <code>--from</code> and <code>--to</code>.</p><//>`}
  </div>`;
}

/** @param {readonly Found[]} found */
const kindsOf = (found) => [...new Set(found.flatMap(({ foundBy }) => foundBy))].map((by) => FOUND_BY[by]).join(', ');

/** @param {{ text: string }} props */
const Nothing = ({ text }) => html`<${Notice}>
  <p>${
    text.startsWith('ch_')
      ? 'The gateway’s ids of the form ch_… are not kept here: open the charge in its dashboard, which shows the pi_… that is.'
      : 'It was tried as everything that the box takes, and all of it must fit: no part of an id is enough. What is personal of old orders is gone by then, and their numbers and customers lead nowhere.'
  }</p>
<//>`;

/** So many lines of an order stand in a list. */
const LINES_MAX = 3;
/** Its lines, that of the SKU which was asked for first. @param {{ sku: string, quantity: number }[]} items @param {string} sku */
function piecesOf(items, sku) {
  const sorted = items.toSorted((a, b) => Number(b.sku === sku) - Number(a.sku === sku));
  const told = sorted.slice(0, LINES_MAX).map((item) => `${number(item.quantity)} × ${item.sku}`);
  return `${told.join(', ')}${sorted.length > LINES_MAX ? ` and ${number(sorted.length - LINES_MAX)} more` : ''}`;
}

/** @param {string} [sku] which was asked for @returns {readonly import('../lib/ui.js').Column<{ order: any }>[]} */
const columnsOf = (sku = '') => [
  { label: 'Order', cell: ({ order }) => html`<${Id} id=${order.id} href=${hrefOf(`/orders/${order.id}`)} />` },
  {
    label: 'Status',
    cell: ({ order: { status, cancellation } }) =>
      html`<${Status} kind=${STATUS[status] ?? 'info'}>${status}${cancellation && ` (${cancellation.reason})`}<//>`,
  },
  { label: 'Total', cell: ({ order }) => html`<${Money} ...${order.total} />`, isNumber: true },
  { label: 'Pieces', cell: ({ order }) => piecesOf(order.items, sku) },
  {
    label: 'Accepted',
    cell: ({ order: { createdAt } }) => html`${moment(createdAt)} <small><${Ago} at=${createdAt} /></small>`,
  },
  {
    label: 'Customer',
    cell: ({ order: { customerId } }) =>
      html`<a href=${hrefOf('/search', { q: customerId })}><code>${customerId}</code></a>`,
  },
  { label: 'External number', cell: ({ order }) => order.externalOrderId ?? '–' },
];

/** @type {readonly import('../lib/ui.js').Column<Found>[]} */
const WITH_WHY = [
  ...columnsOf().slice(0, 1),
  { label: 'Found by', cell: ({ foundBy }) => foundBy.map((by) => FOUND_BY[by]).join(', ') },
  ...columnsOf().slice(1),
];

/** @type {import('../lib/router.js').View} */
export const search = {
  path: '/search',
  title: 'Search',
  nav: { label: 'Search', order: 15, roles: ['operator', 'auditor'] },
  View: Search,
};
