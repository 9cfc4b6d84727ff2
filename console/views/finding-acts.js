/** What operators say of findings: that one, or each of many, is dealt with; or that its charge, or each of many, is to be given back. */
import { post } from '../lib/api.js';
import { confirmAct } from '../lib/confirm.js';
import { count, money, number, sumOf } from '../lib/format.js';
import { createMany } from '../lib/many.js';
import { html } from '../vendor/preact.js';

/** @typedef {import('./findings.js').Finding} Finding */

/** @param {Finding} finding @param {string} as */
export const close = (finding, as) =>
  confirmAct({
    ...{
      title: `Close finding ${finding.id} as ${as}`,
      act: `Close it as ${as}`,
      count: 1,
      noun: 'finding',
      isHarmful: as === 'cancelled',
    },
    children: html`<p><code>${finding.kind}</code> of ${money(finding.amount, finding.currency)}, charge <code>${finding.reference}</code>. No money moves: it only says that this is dealt with. ${as === 'refunded' ? 'The gateway is asked at once: should it still hold the money, this is reported again.' : 'It is not reported again unless its amount changes.'}</p>`,
    run: ({ reason }) =>
      post(`admin/findings/${finding.id}/close`, { body: { as, reason, expectedAmount: finding.amount } }),
  });

/** How many of each kind. @param {readonly Finding[]} chosen */
const kindsOf = (chosen) =>
  [...new Set(chosen.map(({ kind }) => kind))].map(
    (kind, i) =>
      html`${i > 0 && ', '}${number(chosen.filter((each) => each.kind === kind).length)} <code>${kind}</code>`,
  );

/**
 * Many are closed with one reason, each by itself: what is not reported any more is told, and stops nothing.
 * @param {readonly Finding[]} chosen
 * @param {string} as
 */
export async function closeEach(chosen, as) {
  const n = chosen.length;
  const many = createMany(chosen, { word: 'closed', noun: 'finding' }, async ({ id, amount }, reason) => {
    const now = await post(`admin/findings/${id}/close`, { body: { as, reason, expectedAmount: amount } });
    return now.reason === reason
      ? undefined
      : { kind: 'off', word: 'already closed', says: `by ${now.closedBy}: ${now.reason}` };
  });
  const noMoney = chosen.filter(({ currency }) => !currency?.trim()).length;
  return confirmAct({
    title: `Close ${count(n, 'finding')} as ${as}`,
    act: `Close ${count(n, 'finding')} as ${as}`,
    ...{ count: n, noun: 'finding', atStake: sumOf(chosen), isHarmful: as === 'cancelled' },
    children: html`<p>${kindsOf(chosen)}. No money moves: it only says that they are dealt with.${noMoney > 0 && ` Of ${number(noMoney)} no currency is known.`} ${as === 'refunded' ? 'The gateway is asked at once: what it still holds is reported again.' : 'They are not reported again unless their amounts change.'}</p>`,
    ...many,
  });
}

/** @param {Finding} finding */
export const refund = ({ id, kind, amount, currency, reference }) =>
  confirmAct({
    ...{
      title: `Give the charge of finding ${id} back`,
      act: `Give back ${money(amount, currency)}`,
      count: 1,
      noun: 'charge',
      isHarmful: true,
    },
    ...{ atStake: sumOf([{ amount, currency }]), typed: money(amount, currency) },
    children: html`<p><code>${kind}</code>, charge <code>${reference}</code>. The reconciler looks at the charge and its order again before the money moves, and makes one refund.</p>`,
    run: ({ reason }) => post(`admin/findings/${id}/refund`, { body: { reason, expectedAmount: amount } }),
  });

/**
 * Many charges are given back with one reason, each by a request of its own: what is refused is told, and stops nothing.
 * @param {readonly Finding[]} chosen those that offer it
 */
export async function refundEach(chosen) {
  const n = chosen.length;
  const sums = sumOf(chosen);
  const sum = sums.map((each) => money(each.amount, each.currency)).join(' and ');
  const many = createMany(
    chosen,
    { word: 'to be given back', noun: 'finding' },
    async ({ id, amount, currency }, reason) => {
      const now = await post(`admin/findings/${id}/refund`, { body: { reason, expectedAmount: amount } });
      return now.reason === reason
        ? { says: money(amount, currency) }
        : { kind: 'off', word: 'already ordered', says: `by ${now.closedBy}: ${now.reason}` };
    },
  );
  return confirmAct({
    title: `Give back ${count(n, 'charge')}`,
    act: `Give back ${sum}`,
    ...{ count: n, noun: 'charge', atStake: sums, typed: sum, isHarmful: true },
    children: html`<p>${kindsOf(chosen)}. The reconciler looks at each charge and its order again before its money moves, and makes one refund of each.</p>`,
    ...many,
  });
}
