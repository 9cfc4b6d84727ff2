/**
 * What an operator may do about this one order, as its explanation offers it: each with what it costs, and afterwards with what has come
 * of it. That a request was accepted is no success: the order's own state says what became of it.
 */
import { ApiProblem, post } from '../../lib/api.js';
import { confirmAct } from '../../lib/confirm.js';
import { moment } from '../../lib/format.js';
import { Notice, ProblemNotice } from '../../lib/ui.js';
import { html, useState } from '../../vendor/preact.js';
import { elsewhereOf } from './elsewhere.js';
import { situationWord } from './words.js';

/** @typedef {import('./follow.js').Timeline} Timeline */
/** @typedef {import('./follow.js').Choice} Choice */
/** @typedef {NonNullable<Choice['action']>} Action */

/**
 * @typedef {object} Acted
 * @property {Action} action
 * @property {string | null} step at which the order was
 * @property {string} at by the API's clock: when the order had last been looked at before
 * @property {number} answeredAt by the page's own clock
 * @property {'CONFIRMED' | 'CANCELLED'} expects where it leads if all goes well
 */

/** What the API keeps of a reason. */
const REASON_MAX = 200;

/** @param {Action} action @param {string | null} step */
export function nameOf(action, step) {
  const at = step ?? 'its saga';
  if (action === 'retry') return `Retry ${at}`;
  if (action === 'skip') return `Skip ${at}`;
  return action === 'compensate' ? 'Give up now' : 'Cancel the order';
}

/** @param {{ timeline: Timeline, onActed: (acted: Acted | undefined) => void, canAct: boolean }} props */
export function Acts({ timeline, onActed, canAct }) {
  const { choices, step } = timeline.explanation;
  const [told, setTold] = useState(/** @type {unknown} */ (undefined));
  if (choices.length === 0) return html`${told}<p class="faint">Nothing is to be decided.</p>`;
  /** @param {import('./elsewhere.js').Elsewhere} elsewhere */
  const decide = async ({ run }) => {
    const came = await run().catch((problem) => html`<${ProblemNotice} problem=${problem} />`);
    if (came === undefined) return;
    setTold(came);
    onActed(undefined);
  };
  return html`${told}<ul class="choices">${choices.map((choice) => {
    const elsewhere = choice.action === null ? elsewhereOf(choice.command, timeline.orderId) : undefined;
    const name = elsewhere?.name ?? (choice.action === null ? undefined : nameOf(choice.action, step));
    const begin = () => (elsewhere ? decide(elsewhere) : act(timeline, choice, onActed));
    return html`<li>
      ${name && canAct && html`<button type="button" class=${choice.usual ? 'primary' : ''} onClick=${begin}>${name} …</button> `}
      <span>${!name || !canAct ? html`<code>${choice.command}</code>: ` : ''}${choice.does}${choice.usual ? ': the usual choice' : ''}.${elsewhere && html` <a href=${elsewhere.href}>${elsewhere.list} of this order</a>.`}</span> <span>Use it when: ${choice.useWhen}.</span>
      <span class="faint">Money: ${choice.money}. Stock: ${choice.stock}. Customer: ${choice.customer}.${choice.follows !== null && ` Then by itself: ${choice.follows}.`} Can it be taken back? ${choice.reversible}.</span>
    </li>`;
  })}</ul>`;
}

/**
 * @param {Timeline} timeline
 * @param {Choice} choice
 * @param {(acted: Acted) => void} onActed
 */
async function act(timeline, choice, onActed) {
  const { orderId, at, explanation } = timeline;
  const { step, status } = explanation;
  const action = /** @type {Action} */ (choice.action);
  const name = nameOf(action, step);
  const answer = await confirmAct({
    title: name,
    act: name,
    count: 1,
    noun: 'order',
    atStake: choice.moves && action !== 'retry' ? [choice.moves] : [],
    isHarmful: action !== 'retry',
    children: html`<p>It ${choice.does}.</p><dl>
      <dt>Order</dt><dd><code>${orderId}</code>, ${status}, ${situationWord(explanation.situation)}</dd>
      <dt>Money</dt><dd>${choice.money}</dd><dt>Stock</dt><dd>${choice.stock}</dd><dt>Customer</dt><dd>${choice.customer}</dd>
      ${choice.follows !== null && html`<dt>Then by itself</dt><dd>${choice.follows}</dd>`}
      <dt>Use it when</dt><dd>${choice.useWhen}</dd><dt>Taken back?</dt><dd>${choice.reversible}</dd>
    </dl>`,
    reason: { required: true, maxLength: REASON_MAX },
    run: ({ reason }) => {
      if (action === 'cancel') return post(`orders/${orderId}/cancel`, { body: { reason } });
      // It is decided of what is on the screen: the saga refuses it should it be at another step by now.
      const seen = step === null ? {} : { expectedStep: step };
      const body = { action, reason, ...seen };
      return post(`admin/sagas/${orderId}/resolve`, { body }).catch((problem) => {
        throw movedOn(problem, explanation);
      });
    },
  });
  if (answer === undefined) return;
  const answeredAt = performance.now();
  const isGoingBack = isUndo(timeline, step) || action === 'compensate' || action === 'cancel';
  onActed({ action, step, at, answeredAt, expects: isGoingBack ? 'CANCELLED' : 'CONFIRMED' });
}

/**
 * What has changed since the page was looked at, where that is why nothing was decided.
 * @param {unknown} problem
 * @param {Timeline['explanation']} seen
 */
function movedOn(problem, { situation, step }) {
  if (!(problem instanceof ApiProblem) || problem.code !== 'saga-moved') return problem;
  const now = /** @type {{ state: string, step: string | null, failure: string | null } | undefined} */ (
    problem.body['saga']
  );
  const where = now
    ? `It is ${now.state} at ${now.step ?? 'no step'}${now.failure ? ` (${now.failure})` : ''} by now.`
    : problem.detail;
  const detail = `Nothing was decided. You saw it ${situationWord(situation)} at ${step ?? 'no step'}. ${where} Leave this, and decide on what the page shows then.`;
  return new ApiProblem(problem.status, { ...problem.body, detail });
}

/** @param {Timeline} timeline @param {string | null} step */
const isUndo = ({ entries }, step) => entries.some((entry) => entry.kind === 'undo' && entry.step === step);

/**
 * @param {Acted} acted
 * @param {Timeline} timeline
 * @returns {{ kind: import('../../lib/ui.js').Kind, says: string }}
 */
export function outcomeOf({ action, step, at, answeredAt, expects }, timeline) {
  // What it was before tells nothing of what came of it.
  if (timeline.askedAt < answeredAt) return { kind: 'busy', says: 'Accepted, and not looked at yet.' };
  const { explanation, isFinal, entries } = timeline;
  const { status, situation } = explanation;
  const stands = `The order is ${status}, ${situationWord(situation)}.`;
  if (isFinal && status === expects) return { kind: 'good', says: `It worked: the order is ${status}.` };
  if (isFinal) return { kind: 'bad', says: `It came to something else: the order is ${status}.` };
  const since = entries.filter((entry) => (entry.until ?? entry.at ?? '') > at);
  const failed = since.find((entry) => entry.kind === 'attempt' && entry.status === 'failed' && entry.step === step);
  if (failed && action === 'retry')
    return {
      kind: situation === 'retrying' ? 'warn' : 'bad',
      says: `It was tried again, and failed: ${failed.error?.message ?? failed.error?.failure}. ${stands}`,
    };
  const notTaken = since.find((entry) => entry.status === 'not-taken');
  if (notTaken) return { kind: 'bad', says: `It was not taken: ${notTaken.reason ?? notTaken.what}. ${stands}` };
  return { kind: 'busy', says: `Accepted, and not there yet. ${stands}` };
}

/** @param {{ acted: Acted, timeline: Timeline }} props */
export function Outcome({ acted, timeline }) {
  const { kind, says } = outcomeOf(acted, timeline);
  return html`<${Notice} kind=${kind}><p class="outcome"><strong>${nameOf(acted.action, acted.step)}.</strong> ${says} <span class="faint">As of ${moment(timeline.at).slice(11)}.</span></p><//>`;
}
