/** Orders by what many have in common: what they are of, the stock that they hold, what they cost, when they were accepted. All that is given must fit. */
import { minorOf, sumOf } from '../lib/format.js';
import { Choice, usePages, withQuery } from '../lib/lists.js';
import { navigate } from '../lib/router.js';
import { Field, Loading, Moneys, Notice, Pager, Panel, ProblemNotice, Table } from '../lib/ui.js';
import { html, useState } from '../vendor/preact.js';

const STATUSES = /** @type {const} */ ([
  ['', 'Any'],
  ['PENDING', 'PENDING'],
  ['CONFIRMED', 'CONFIRMED'],
  ['CANCELLED', 'CANCELLED'],
]);
const BOUGHT = /** @type {const} */ ([
  ['', 'Ordered, whatever came of it'],
  ['now', 'Reserved now: neither sold nor given back'],
]);
const FIELDS = ['sku', 'held', 'currency', 'least', 'most', 'status', 'from', 'to'];
const MOMENT = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?$/;

/** @param {string} text in UTC */
const isoOf = (text) => (text.length === 10 ? `${text}T00:00:00Z` : `${text.replace(' ', 'T')}Z`);

/** @param {{ query: URLSearchParams, columns: (sku: string) => readonly import('../lib/ui.js').Column<any>[], onAgain: () => void }} props `onAgain` = the same is asked for */
export function InCommon({ query, columns, onAgain }) {
  const given = Object.fromEntries(FIELDS.map((name) => [name, query.get(name) ?? '']));
  const [values, setValues] = useState(given);
  const [errors, setErrors] = useState(/** @type {Record<string, string>} */ ({}));
  const isAsked = FIELDS.some((name) => name !== 'held' && given[name] !== '');
  const field = (/** @type {string} */ name) => ({
    ...{ name: `by-${name}`, value: values[name] ?? '', error: errors[name] },
    onInput: (/** @type {string} */ value) => setValues((before) => ({ ...before, [name]: value })),
  });
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const wanted = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.trim()]));
    const wrong = faultsOf(wanted);
    setErrors(wrong);
    if (Object.keys(wrong).length === 0 && !navigate('/search', wanted)) onAgain();
  };
  return html`<${Panel} title="By stock, amount or time">
    <form onSubmit=${submit} novalidate>
      <div class="fields">
        <${Field} label="Of the SKU" hint="As SKU-LAMP" ...${field('sku')} />
        <${Choice} label="Of it they have" options=${BOUGHT} ...${field('held')} />
        <${Choice} label="Status" options=${STATUSES} ...${field('status')} />
        <${Field} label="Currency" hint="As EUR; with an amount" maxLength="3" ...${field('currency')} />
        <${Field} label="Total, at least" hint="As 49.00" ...${field('least')} />
        <${Field} label="Total, at most" ...${field('most')} />
        <${Field} label="Accepted from (UTC)" hint="As 2026-11-29 or 2026-11-29 14:30" ...${field('from')} />
        <${Field} label="Accepted before (UTC)" ...${field('to')} />
      </div>
      <p><button type="submit">Find orders</button></p>
    </form>
    ${isAsked && Object.keys(faultsOf(given)).length === 0 && html`<${Results} of=${given} columns=${columns} />`}
  <//>`;
}

/** @param {Record<string, string>} wanted @returns {Record<string, string>} */
function faultsOf({ held: _how, currency = '', least = '', most = '', from = '', to = '', ...rest }) {
  /** @type {Record<string, string>} */
  const wrong = {};
  if (Object.values({ currency, least, most, from, to, ...rest }).every((value) => value === ''))
    wrong['sku'] = 'Give something that the orders have in common.';
  const code = currency.toUpperCase();
  if ((least || most) && !/^[A-Z]{3}$/.test(code)) wrong['currency'] = 'An amount needs its currency, such as EUR.';
  else
    for (const [name, text] of [
      ['least', least],
      ['most', most],
    ])
      if (name && text && minorOf(text, code) === undefined) wrong[name] = `An amount of ${code}, such as 49.`;
  for (const [name, text] of [
    ['from', from],
    ['to', to],
  ])
    if (name && text && !(MOMENT.test(text) && Number.isFinite(Date.parse(isoOf(text)))))
      wrong[name] = 'A moment as 2026-11-29 or 2026-11-29 14:30.';
  return wrong;
}

/** @param {Record<string, string>} wanted */
function pathOf({ sku, held, currency = '', least = '', most = '', status, from, to }) {
  const code = currency.toUpperCase();
  const minor = (/** @type {string} */ text) => (text ? String(minorOf(text, code)) : '');
  return withQuery('admin/orders', {
    ...{ [held ? 'heldSku' : 'sku']: sku, status, currency: code, amountFrom: minor(least), amountTo: minor(most) },
    createdFrom: from && isoOf(from),
    createdTo: to && isoOf(to),
  });
}

/** @param {{ of: Record<string, string>, columns: (sku: string) => readonly import('../lib/ui.js').Column<any>[] }} props */
function Results({ of, columns }) {
  const pages = usePages(pathOf(of), 'orders', { refreshMs: 0, limitMax: 100 });
  const rows = pages.rows.map((order) => ({ order }));
  const sums = sumOf(rows.map(({ order: { total } }) => total));
  return html`<${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
    ${pages.isLoading && rows.length === 0 && html`<${Loading} what="Searching" />`}
    ${pages.answer && rows.length === 0 && (pages.hasMore ? html`<${Notice}>None among the newest that were looked through: <em>Show more</em> looks further back.<//>` : html`<p role="status">Nothing is found.</p>`)}
    ${rows.length > 0 && html`<p role="status">Newest first. Worth <${Moneys} of=${sums} />, of those shown.</p><${Table} label="Orders that have it in common" columns=${columns(of['sku'] ?? '')} rows=${rows} keyOf=${(/** @type {any} */ { order }) => order.id} />`}
    ${pages.answer && html`<${Pager} hasMore=${pages.hasMore} onMore=${pages.more} isLoading=${pages.isLoading} shown=${rows.length} noun="order" />`}`;
}
