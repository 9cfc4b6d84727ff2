/** One operation: as a preview, what it would be about and how it is started; then how far it is, item by item. */
import { post } from '../lib/api.js';
import { confirmAct } from '../lib/confirm.js';
import { useAct, useRead } from '../lib/data.js';
import { count, number } from '../lib/format.js';
import { AsOf, useLive } from '../lib/live.js';
import {
  ITEM_STATES,
  isHarmful,
  kindOf,
  MEANS,
  nounOf,
  previewOperation,
  stateOf,
  titleOf,
} from '../lib/operations.js';
import { useSession } from '../lib/session.js';
import { Ago, Field, Loading, Moneys, Notice, Page, Panel, ProblemNotice, Status, useNow } from '../lib/ui.js';
import { html, useEffect, useState } from '../vendor/preact.js';
import { Items } from './operation-items.js';

/** @typedef {import('../lib/operations.js').Operation} Operation */

/** @param {{ params: Record<string, string> }} props */
function OperationView({ params: { id = '' } }) {
  const path = `admin/operations/${encodeURIComponent(id)}`;
  const first = useRead(path);
  const operation = /** @type {Operation | undefined} */ (first.data);
  if (!operation)
    return html`<${Page} title="Operation"><${ProblemNotice} problem=${first.problem} onRetry=${first.reload} />${first.isLoading && html`<${Loading} />`}<//>`;
  if (operation.endedAt) return html`<${Shown} operation=${operation} />`;
  return html`<${Followed} path=${path} first=${operation} />`;
}

/** Until it has ended; then nothing more is asked. @param {{ path: string, first: Operation }} props */
function Followed({ path, first }) {
  const live = /** @type {import('../lib/live.js').Live<Operation>} */ (useLive(path));
  const operation = live.data ?? first;
  useEffect(() => {
    if (operation.endedAt) live.setPaused(true);
  }, [operation.endedAt]);
  return html`<${Shown} operation=${operation} aside=${!operation.endedAt && html`<${AsOf} live=${live} />`} />`;
}

/** @param {{ operation: Operation, aside?: unknown }} props */
function Shown({ operation, aside }) {
  const canAct = useSession().roles.includes('operator');
  return html`<${Page} title=${titleOf(operation.action, operation.total)} actions=${aside}>
    ${operation.state === 'previewed' ? html`<${Preview} operation=${operation} canAct=${canAct} />` : html`<${Progress} operation=${operation} canAct=${canAct} />`}
    <${Items} operation=${operation} />
  <//>`;
}

/** @param {{ operation: Operation, canAct: boolean }} props */
function Preview({ operation, canAct }) {
  const { id, action, counts, amounts, skipped, expiresAt } = operation;
  const [canary, setCanary] = useState('1, 2, 5');
  const [rate, setRate] = useState('5');
  const waves = canary.split(/[\s,;]+/).filter((text) => text !== '');
  const badCanary = waves.every((text) => /^[1-9]\d{0,3}$/.test(text))
    ? undefined
    : 'Numbers, such as 1, 2, 5; empty = none';
  const badRate = Number(rate) > 0 && Number(rate) <= 100 ? undefined : 'A number from 0.1 to 100';
  const title = titleOf(action, counts.open);
  const start = () =>
    confirmAct({
      ...{
        title,
        act: title,
        count: counts.open,
        noun: nounOf(action),
        atStake: amounts,
        isHarmful: isHarmful(action),
      },
      children: html`<p>That is: ${MEANS[action]}. ${waves.length > 0 ? `${waves.join(', then ')} first, each only if those before went well; then ${rate} a second.` : `${rate} a second, without a canary.`}</p>`,
      reason: { required: true, maxLength: 200 },
      run: ({ reason }) =>
        post('admin/operations', {
          body: {
            ...{ preview: id, action, expectedCount: counts.open, reason },
            ...{ canary: waves.map(Number), ratePerSecond: Number(rate) },
          },
        }),
    });
  const isReady = counts.open > 0 && !badCanary && !badRate;
  return html`<${Panel} title="What it would be about">
    <${Notice}>Nothing has been decided yet. What is listed here stays what it is about, whatever matches later.<//>
    <dl>
      <dt>To be decided on</dt><dd><strong>${count(counts.open, nounOf(action))}</strong>: ${MEANS[action]}</dd>
      <dt>At stake</dt><dd><${Moneys} of=${amounts} /></dd>
      ${skipped.map(({ because, count: n }) => html`<dt>Not decided on</dt><dd>${number(n)}: ${because}</dd>`)}
      ${expiresAt && html`<dt>Can be started</dt><dd>until ${expiresAt.slice(11, 16)} UTC</dd>`}
    </dl>
    ${
      canAct &&
      html`<form onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <${Field} name="canary" label="Canary, wave by wave" value=${canary} onInput=${setCanary} error=${badCanary} hint="Each wave must go well before the next begins" />
      <${Field} name="rate" label="Then so many a second" value=${rate} onInput=${setRate} error=${badRate} inputmode="decimal" />
      <div class="actions"><button type="button" class=${isHarmful(action) ? 'harmful' : 'primary'} aria-disabled=${isReady ? undefined : 'true'} onClick=${() => isReady && start()}>${title} …</button>
        <a href="#/operations">Leave it</a></div>
    </form>`
    }
  <//>`;
}

/** @param {{ operation: Operation, canAct: boolean }} props */
function Progress({ operation, canAct }) {
  const now = useNow();
  const { total, counts, pause, startedBy, startedAt, endedAt, reason, amounts, canary, ratePerSecond } = operation;
  const concluded = total - counts.open;
  return html`<${Panel} title="How far it is" aside=${html`<${Status} kind=${kindOf(operation)}>${stateOf(operation)}<//>`}>
    ${pause && html`<${Notice} kind=${pause.by === null ? 'bad' : 'warn'}><p>${pause.by === null ? 'It has paused by itself' : `${pause.by} has paused it`}: <strong>${pause.because}</strong>.</p><p>${pause.by === null ? 'Mend the cause, then let it go on where it stands, or end it.' : 'It goes on where it stands when somebody lets it.'}</p><//>`}
    <p><progress max=${total} value=${concluded} aria-label="Concluded"></progress> ${number(concluded)} of ${number(total)} concluded</p>
    <dl class="counts">${ITEM_STATES.filter(([state]) => state === 'open' || counts[state] > 0).map(
      ([state, kind, means]) =>
        html`<dt><${Status} kind=${kind}>${state}<//></dt><dd><strong>${number(counts[state])}</strong> <span class="faint">${means}</span></dd>`,
    )}</dl>
    <dl>
      <dt>Started</dt><dd>${startedAt && html`<${Ago} at=${startedAt} now=${now} />`} by ${startedBy}: ${reason}</dd>
      <dt>At stake</dt><dd><${Moneys} of=${amounts} /></dd>
      <dt>Pace</dt><dd>${canary.length > 0 ? `canary ${canary.join(', ')}; then ` : ''}${ratePerSecond} a second</dd>
      ${operation.abortedBy && html`<dt>Aborted</dt><dd>by ${operation.abortedBy}: ${operation.abortReason}</dd>`}
      ${endedAt && html`<dt>Ended</dt><dd><${Ago} at=${endedAt} now=${now} /></dd>`}
    </dl>
    ${canAct && html`<${Acts} operation=${operation} />`}
  <//>`;
}

const WORDS = /** @type {const} */ ({
  pause: ['Pause', 'nothing more of it begins; what has begun comes to its end'],
  resume: ['Resume', 'it goes on where it stands'],
  abort: ['Abort', 'what has not begun never does'],
});

/** @param {{ operation: Operation }} props */
function Acts({ operation }) {
  const { id, state, counts, action } = operation;
  const { submit, isBusy, problem } = useAct(previewOperation);
  const tried = counts.failed + counts.refused + counts.unanswered;
  const words = state === 'running' ? ['pause', 'abort'] : state === 'paused' ? ['resume', 'abort'] : [];
  /** @param {keyof typeof WORDS} word */
  const tell = (word) =>
    confirmAct({
      title: `${WORDS[word][0]} the operation, of which ${count(counts.open, 'item')} ${counts.open === 1 ? 'is' : 'are'} open`,
      act: `${WORDS[word][0]} it`,
      ...{ count: 1, noun: 'operation' },
      children: html`<p>That is: ${WORDS[word][1]}.</p>`,
      reason: { required: true, maxLength: 200 },
      run: ({ reason }) => post(`admin/operations/${id}/${word}`, { body: { reason } }),
    });
  const again = { action, items: { operation: id, states: ['failed', 'refused', 'unanswered'] } };
  return html`<div class="actions">
    ${words.map((word) => html`<button type="button" class=${word === 'resume' ? 'primary' : ''} onClick=${() => tell(/** @type {keyof typeof WORDS} */ (word))}>${WORDS[/** @type {keyof typeof WORDS} */ (word)][0]} …</button>`)}
    ${tried > 0 && html`<button type="button" disabled=${isBusy} onClick=${() => submit(again)}>Decide on what failed: preview ${count(tried, nounOf(action))}</button>`}
  </div><${ProblemNotice} problem=${problem} />`;
}

/** @type {import('../lib/router.js').View} */
export const operation = {
  path: '/operations/:id',
  title: ({ id = '' }) => `Operation ${id.slice(0, 8)}`,
  View: OperationView,
};
