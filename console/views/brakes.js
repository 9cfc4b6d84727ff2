/** Brakes: what operators hold back on purpose, and the orders that wait for it. */
import { post } from '../lib/api.js';
import { confirmAct } from '../lib/confirm.js';
import { count, minorOf, money, number, plural } from '../lib/format.js';
import { ReadAt, useForm, usePages, withQuery } from '../lib/lists.js';
import { session, useSession } from '../lib/session.js';
import { Ago, Field, Id, Money, Moneys, Notice, Page, Pager, Panel, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html, useState } from '../vendor/preact.js';

/** @typedef {{ brake: string, engaged: boolean, since: string | null, by: string | null, reason: string | null, message?: string | null, retryAfterSeconds?: number | null, spending?: { currency: string, spent: number, most: number }[] }} Brake */
/** @typedef {{ orderId: string, failure: string | null, startedAt: string, total: { amount: number, currency: string } }} Saga */

/** @type {Record<string, { name: string, held: string, engage: string, harm: string }>} */
const WORDS = {
  accepting: {
    name: 'Accepting orders',
    held: 'No new order is accepted.',
    engage: 'Stop accepting orders',
    harm: 'Every new order is refused with 503 and a Retry-After. Orders that were accepted go on.',
  },
  charging: {
    name: 'Charging',
    held: 'Orders are accepted and reserved, and none is charged.',
    engage: 'Stop charging',
    harm: 'Accepted orders keep their stock and wait; their deadlines stand still. Refunds go on.',
  },
  spending: {
    name: 'Spending limit',
    held: 'Charges beyond the limit of an hour wait.',
    engage: 'Limit spending',
    harm: 'What would be charged beyond the limit waits; nothing is declined for it.',
  },
};
/** @param {string} brake */
const nameOf = (brake) => WORDS[brake]?.name ?? brake;
const RETRY_AFTER_MAX_S = 86_400;
/** Of a saga that a brake holds, as the list has it. */
const HELD = 'ChargingHeld';
/** It asks Temporal. */
const HELD_EVERY_MS = 10_000;

function Brakes() {
  const pages = usePages('admin/brakes', 'brakes', { isWhole: true });
  const [told, setTold] = useState('');
  useSession();
  const canAct = session.canAct();
  const held = pages.answer?.heldOrders;
  /** @param {Brake | undefined} now */
  const acted = (now) => {
    if (!now) return;
    setTold(`${WORDS[now.brake]?.name}: ${now.engaged ? 'held back' : 'released'}.`);
    pages.reload();
  };
  return html`<${Page} title="Brakes" actions=${html`<${ReadAt} of=${pages} />`}>
    <${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
    ${told && html`<${Notice} kind="good">${told}<//>`}
    <div class="columns">${/** @type {Brake[]} */ (pages.rows).map((each) => html`<${One} key=${each.brake} of=${each} all=${pages.rows} canAct=${canAct} held=${held} onActed=${acted} />`)}</div>
    ${pages.answer && html`<${Panel} title="Orders that wait for a brake">${held === null ? html`<p>How many is not known: Temporal does not say just now.</p>` : held === 0 ? html`<p>None.</p>` : html`<${Held} count=${held} />`}<//>`}
  <//>`;
}

/** @param {{ of: Brake, all: readonly Brake[], canAct: boolean, held: number | null | undefined, onActed: (now: Brake | undefined) => void }} props */
function One({ of, all, canAct, held, onActed }) {
  const words = WORDS[of.brake] ?? { name: of.brake, held: '', engage: `Engage ${of.brake}`, harm: '' };
  const release = async () => onActed(await releaseBrake(of, all, held));
  return html`<${Panel} title=${words.name} aside=${html`<${Status} kind=${of.engaged ? 'warn' : 'good'}>${of.engaged ? 'Held back' : 'Not held back'}<//>`}>
    ${
      of.engaged &&
      html`<p>${words.held}</p><dl>
      <dt>Since</dt><dd><${Ago} at=${of.since} />, by ${of.by}</dd>
      <dt>Reason</dt><dd>${of.reason}</dd>
      ${of.message && html`<dt>Who orders is told</dt><dd>${of.message}</dd>`}
      ${of.retryAfterSeconds && html`<dt>Come again after</dt><dd>${number(of.retryAfterSeconds)} s</dd>`}
      ${(of.spending ?? []).map((each) => html`<dt>${each.currency} this hour</dt><dd><${Money} amount=${each.spent} currency=${each.currency} /> of <${Money} amount=${each.most} currency=${each.currency} /></dd>`)}
    </dl>`
    }
    ${canAct && of.engaged && html`<p><button type="button" class="primary" onClick=${release}>Release ${words.name.toLowerCase()}</button></p>`}
    ${canAct && html`<${EngageForm} of=${of} words=${words} onActed=${onActed} />`}
  <//>`;
}

/** @param {{ of: Brake, words: { name: string, engage: string, harm: string }, onActed: (now: Brake | undefined) => void }} props */
function EngageForm({ of, words, onActed }) {
  const form = useForm(saidOf(of));
  const act = of.engaged ? `Change what is said of ${words.name.toLowerCase()}` : words.engage;
  /** @param {Event} event */
  const ask = async (event) => {
    event.preventDefault();
    const { errors, body, limits } = read(of.brake, form.values);
    form.setErrors(errors);
    if (Object.keys(errors).length > 0) return;
    const now = await confirmAct({
      ...{ title: act, act, count: 1, noun: 'brake', reason: form.reason() },
      children: html`<p>${words.harm} It lasts until it is released, whatever is restarted.</p>${limits.length > 0 && html`<p>At most ${limits.map(({ amount, currency }) => money(amount, currency)).join(' and ')} within an hour.</p>`}`,
      run: form.guarded(
        { message: '/message', retryAfterSeconds: '/retryAfterSeconds', limits: '/limits' },
        ({ reason }) => post(`admin/brakes/${of.brake}/engage`, { body: { ...body, reason } }),
      ),
    });
    if (now) form.reset();
    onActed(now);
  };
  const name = (/** @type {string} */ field) => `${of.brake}-${field}`;
  return html`<form onSubmit=${ask} novalidate>
    ${
      of.brake === 'accepting' &&
      html`<${Field} name=${name('message')} label="What whoever orders is told (may be left out)" maxLength="200" ...${form.field('message')} />
      <${Field} name=${name('retry')} label="When they come again, in seconds (60 if left out)" inputmode="numeric" ...${form.field('retryAfterSeconds')} />`
    }
    ${of.brake === 'spending' && html`<${Field} name=${name('limits')} label="Most within an hour" hint="Currency and amount, separated by commas: EUR 5000, USD 999.50." ...${form.field('limits')} />`}
    <button type="submit" class=${of.engaged ? '' : 'harmful'}>${act} …</button>
  </form>`;
}

/** As it stands: what is left as it is, is said again. @param {Brake} of */
const saidOf = ({ message, retryAfterSeconds, spending = [] }) => ({
  message: message ?? '',
  retryAfterSeconds: `${retryAfterSeconds ?? ''}`,
  limits: spending.map(({ most, currency }) => money(most, currency).replaceAll(',', '')).join(', '),
});

/**
 * @param {string} brake
 * @param {Record<string, string>} values
 * @returns {{ errors: Record<string, string>, body: Record<string, unknown>, limits: { currency: string, amount: number }[] }}
 */
function read(brake, { message = '', retryAfterSeconds = '', limits: text = '' }) {
  /** @type {Record<string, string>} */
  const errors = {};
  /** @type {Record<string, unknown>} */
  const body = {};
  if (brake === 'accepting' && message.trim() !== '') body['message'] = message.trim();
  if (brake === 'accepting' && retryAfterSeconds.trim() !== '') {
    const s = Number(retryAfterSeconds);
    if (!Number.isInteger(s) || s < 1 || s > RETRY_AFTER_MAX_S)
      errors['retryAfterSeconds'] = `A whole number from 1 to ${number(RETRY_AFTER_MAX_S)}.`;
    else body['retryAfterSeconds'] = s;
  }
  if (brake !== 'spending') return { errors, body, limits: [] };
  const parts = text.split(',').map((part) => part.trim().split(/\s+/));
  const limits = parts.flatMap(([code = '', typed = '', ...more]) => {
    const amount = more.length === 0 && /^[A-Z]{3}$/.test(code) ? minorOf(typed, code) : undefined;
    return amount === undefined ? [] : [{ currency: code, amount }];
  });
  const isTwice = new Set(limits.map(({ currency }) => currency)).size < limits.length;
  if (limits.length < parts.length || isTwice)
    errors['limits'] = 'Each currency once, with an amount of it: EUR 5000, USD 999.50.';
  else body['limits'] = Object.fromEntries(limits.map(({ currency, amount }) => [currency, amount]));
  return { errors, body, limits };
}

/** @param {Brake} of @param {readonly Brake[]} all @param {number | null | undefined} held */
const releaseBrake = (of, all, held) => {
  const { act = 'Release', concerns = 0, says } = letGo(of.brake, all, held ?? 0);
  return confirmAct({
    ...{ title: `Release ${nameOf(of.brake).toLowerCase()}`, act },
    ...(concerns > 0 ? { count: concerns, noun: 'held order' } : { count: 1, noun: 'brake' }),
    children: html`<p>${says}</p>`,
    run: ({ reason }) => post(`admin/brakes/${of.brake}/release`, { body: { reason } }),
  });
};

/**
 * What goes on once it is released, as far as another brake lets it.
 * @param {string} brake @param {readonly Brake[]} all @param {number} held
 * @returns {{ act?: string, concerns?: number, says: string }}
 */
function letGo(brake, all, held) {
  if (brake === 'accepting') return { says: 'New orders are accepted from then on.' };
  const other = all.find((each) => each.engaged && each.brake !== brake && each.brake !== 'accepting')?.brake;
  const waiting = count(held, 'held charge');
  const gentle = 'the oldest first: one, then more at a time as they succeed';
  if (other === 'charging')
    return { says: `${nameOf(other)} stays held back: ${waiting} ${plural(held, 'waits', 'wait')} on.` };
  if (other)
    return {
      concerns: held,
      says: `${nameOf(other)} stays: of ${waiting} it holds what it has no room for. The rest goes on, ${gentle}.`,
    };
  const act = held > 0 ? `Release, and charge ${count(held, 'order')}` : 'Release';
  return { act, concerns: held, says: `${waiting} may go on, ${gentle}.` };
}

/** @param {{ count: number }} props */
function Held({ count: n }) {
  const { rows, answer, problem, reload, hasMore, more, isLoading } = usePages(
    withQuery('admin/sagas', { failure: HELD }),
    'sagas',
    { refreshMs: HELD_EVERY_MS },
  );
  const amounts = (answer?.groups ?? [])
    .filter((/** @type {any} */ { failure }) => failure === HELD)
    .flatMap((/** @type {any} */ group) => group.amounts);
  return html`<p>${count(n, 'order')}${amounts.length > 0 && html`, worth <${Moneys} of=${amounts} />`}. Their deadlines stand still.</p>
    <${ProblemNotice} problem=${problem} onRetry=${reload} />
    <${Table} label="Held orders" rows=${rows} keyOf=${(/** @type {Saga} */ { orderId }) => orderId} empty="Not listed yet." columns=${[
      {
        label: 'Order',
        cell: (/** @type {Saga} */ { orderId }) => html`<${Id} id=${orderId} href=${`#/orders/${orderId}`} />`,
      },
      { label: 'Total', isNumber: true, cell: (/** @type {Saga} */ { total }) => html`<${Money} ...${total} />` },
      { label: 'Begun', cell: (/** @type {Saga} */ { startedAt }) => html`<${Ago} at=${startedAt} />` },
    ]} />
    <${Pager} hasMore=${hasMore} onMore=${more} isLoading=${isLoading} shown=${rows.length} total=${Math.max(n, rows.length)} noun="order" />`;
}

/** @type {import('../lib/router.js').View} */
export const brakes = {
  path: '/brakes',
  title: 'Brakes',
  nav: { label: 'Brakes', order: 30, roles: ['operator', 'auditor'] },
  View: Brakes,
};
