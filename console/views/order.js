/** One order as a picture: how it stands and why, what happened and is awaited, and what may be done about it. */
import { useConfig } from '../lib/config.js';
import { count, duration, moment, money } from '../lib/format.js';
import { AsOf } from '../lib/live.js';
import { useSession } from '../lib/session.js';
import { Id, Loading, Notice, Page, Panel, ProblemNotice, Status, useNow } from '../lib/ui.js';
import { html, useEffect, useMemo, useState } from '../vendor/preact.js';
import { Acts, Outcome } from './order/acts.js';
import { useTimeline } from './order/follow.js';
import { inSequence } from './order/in-sequence.js';
import { List } from './order/list.js';
import { Picture } from './order/picture.js';
import { situationKind, situationWord } from './order/words.js';

/** @typedef {import('./order/follow.js').Timeline} Timeline */

/** @param {{ params: Record<string, string> }} props */
function Order({ params: { id = '' } }) {
  const live = useTimeline(id);
  const canAct = useSession().roles.includes('operator');
  const [acted, setActed] = useState(/** @type {import('./order/acts.js').Acted | undefined} */ (undefined));
  useEffect(() => setActed(undefined), [id]);
  const { data, problem } = live;
  return html`<${Page} title=${html`Order <${Id} id=${id} />`} actions=${html`<${AsOf} live=${live} staleMs=${live.staleMs} />`}>
    <${ProblemNotice} problem=${problem} onRetry=${live.tryNow} what=${data ? 'What is shown is from before.' : undefined} />
    ${live.waitsSince && data && html`<${Waits} since=${live.waitsSince} gatewayAt=${live.gatewayAt} />`}
    ${acted && data && html`<${Outcome} acted=${acted} timeline=${data} />`}
    ${
      data
        ? html`<${Told} timeline=${data} canAct=${canAct} onActed=${(/** @type {any} */ done) => {
            setActed(done);
            live.tryNow();
          }} />`
        : !problem && html`<${Loading} what="Reading the order" />`
    }
  <//>`;
}

/** Says what is waited for, and what the page is good for until then. @param {{ since: number, gatewayAt?: number }} props */
function Waits({ since, gatewayAt }) {
  const now = useNow();
  return html`<${Notice}>The payment gateway is being asked for this order’s money, for ${duration((now - since) / 1_000)} now. Until it answers, ${gatewayAt ? `the money’s lane shows what it held at ${moment(gatewayAt).slice(11)}` : 'the money’s lane shows what was recorded here'}; all else is as of now.<//>`;
}

/** @param {{ timeline: Timeline, canAct: boolean, onActed: (acted: any) => void }} props */
function Told({ timeline, canAct, onActed }) {
  const { explanation, at, missing, omitted, isFinal, cancelledBy } = timeline;
  const entries = useMemo(() => inSequence(timeline.entries), [timeline]);
  const atMs = Date.parse(at);
  return html`
    <p class="standing"><${Status} kind=${situationKind(explanation.situation)}>${explanation.status}, ${situationWord(explanation.situation)}<//>${explanation.step && html` at <code>${explanation.step}</code>`}${' · '}<span class="money">${money(timeline.total.amount, timeline.total.currency)}</span> · accepted ${moment(timeline.createdAt)}${cancelledBy && ` · its end was asked for by ${CANCELLED_BY[cancelledBy.who]}${cancelledBy.who === 'customer' ? '' : ` (${cancelledBy.subject})`}`} · <${Links} timeline=${timeline} /></p>
    ${missing.map(({ source, why, lacks }) => html`<${Notice} kind="warn">${source === 'saga' ? 'Temporal' : 'The gateway'} was not read: ${why}. Not known therefore: ${lacks}.<//>`)}
    <div class="order-columns">
      <div class="order-picture">
        <${Panel} title="Picture"><${Picture} entries=${entries} atMs=${atMs} isFinal=${isFinal} /><//>
      </div>
      <div class="order-side">
        <${Panel} title="Why it stands so">${[...explanation.why, explanation.usual].map((line) => html`<p>${line}</p>`)}
          ${explanation.disagreements.map(({ between, says, sequel }) => html`<${Notice} kind="bad"><p><strong>${between.join(' and ')} do not agree.</strong> ${says} ${sequel}</p><//>`)}<//>
        <${Panel} title="What comes next by itself">${explanation.next.length === 0 ? html`<p>${isFinal ? 'Nothing: it is final.' : 'Nothing that is known.'}</p>` : html`<ul>${explanation.next.map((act) => html`<li>${act.what}${act.at && html` <span class="faint">${act.atLatest && 'at the latest '}${ahead(act.at, atMs)}</span>`}</li>`)}</ul>`}<//>
        <${Panel} title="What may be done"><${Acts} key=${timeline.orderId} timeline=${timeline} canAct=${canAct} onActed=${onActed} /><//>
        ${explanation.words.length > 0 && html`<${Panel} title="Words"><dl>${explanation.words.map(({ word, means }) => html`<dt>${word}</dt><dd class="faint">${means}</dd>`)}</dl><//>`}
      </div>
      <div class="order-list">
    <${Panel} title="List" aside=${html`<span class="faint">${count(entries.length, 'entry', 'entries')}</span>`}>
      ${omitted.map(({ lane, count: left, why }) => html`<p class="faint">${count(left, 'entry', 'entries')} of the lane ${lane} not shown: ${why}.</p>`)}
      <${List} entries=${entries} atMs=${atMs} />
    <//>
      </div>
    </div>`;
}

/** Whoever asked for its cancellation, whatever its reason's code says. */
const CANCELLED_BY = {
  operator: 'an operator',
  customer: 'its customer',
  service: 'a service for its customer',
  anybody: 'somebody who did not sign in',
};

/** @param {string} at @param {number} nowMs */
function ahead(at, nowMs) {
  const seconds = (Date.parse(at) - nowMs) / 1_000;
  return seconds > 0 ? `in ${duration(seconds)}, at ${moment(at).slice(11)}` : `since ${moment(at).slice(11)}`;
}

/** @param {{ timeline: Timeline }} props */
function Links({ timeline: { saga, traceId, missing } }) {
  const { tracesUrl } = useConfig();
  const isUnknown = missing.some(({ source }) => source === 'saga');
  const temporal =
    saga.webUrl !== null && saga.runId !== null
      ? html`<a href=${saga.webUrl}>Temporal Web UI</a>`
      : html`<span class="faint">${isUnknown ? 'Temporal does not answer' : saga.runId === null ? 'Temporal has no such saga: not begun, or removed by its retention' : 'no Temporal Web UI is configured'}</span>`;
  if (traceId === null) return temporal;
  const trace = tracesUrl
    ? html`<a href=${traceLink(tracesUrl, traceId)}>Trace</a>`
    : html`trace <${Id} id=${traceId} />`;
  return html`${temporal} · ${trace}`;
}

/** @param {string} url with `{traceId}` in it, or to the end of which it belongs @param {string} traceId */
const traceLink = (url, traceId) =>
  url.includes('{traceId}') ? url.replace('{traceId}', traceId) : `${url.replace(/\/$/, '')}/${traceId}`;

/** @type {import('../lib/router.js').View} */
export const order = {
  path: '/orders/:id',
  title: ({ id = '' }) => `Order ${id.slice(-8)}`,
  View: Order,
};
