/** The parts that views are made of. Status is always told by a sign and a word, never by colour alone. */
import { html, useEffect, useErrorBoundary, useMemo, useRef, useState } from '../vendor/preact.js';
import { ApiProblem } from './api.js';
import { count, duration, moment, money, number, shortId } from './format.js';
import { session } from './session.js';

/** The first that is drawn leaves the focus where the browser begins: at the top. */
let isFirstPage = true;

/**
 * A view's whole. Its heading takes the focus when the view is shown, so that those who do not see it know where they are.
 * @param {{ title: unknown, actions?: unknown, children?: unknown }} props
 */
export function Page({ title, actions, children }) {
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!isFirstPage) heading.current?.focus({ preventScroll: true });
    isFirstPage = false;
  }, []);
  return html`<div class="page"><div class="heading"><h1 tabindex="-1" ref=${heading}>${title}</h1>${actions && html`<div class="actions">${actions}</div>`}</div>${children}</div>`;
}

/**
 * What is drawn of data that comes by itself: should it fail, it says so, and is drawn again with the next data.
 * @param {{ of: unknown, children?: unknown }} props
 */
export function Fence({ of, children }) {
  const [failure, reset] = useErrorBoundary(tellFailure);
  const failed = useRef(of);
  if (!failure) failed.current = of;
  useEffect(() => {
    if (failure && failed.current !== of) reset();
  }, [failure, of]);
  return failure
    ? html`<${Notice} kind="bad">This cannot be shown: ${failure.message}. It is tried again with what comes next.<//>`
    : children;
}

/** For whoever opens the browser's tools. @param {unknown} failure */
// biome-ignore lint/suspicious/noConsole: a browser has no other log
export const tellFailure = (failure) => console.error('A view has failed', failure);

/** @param {{ title: string, id?: string, aside?: unknown, children?: unknown, class?: string }} props */
export function Panel({ title, id = idOf(title), aside, children, class: className = '' }) {
  return html`<section class=${`panel ${className}`} aria-labelledby=${id}><div class="heading"><h2 id=${id}>${title}</h2>${aside}</div>${children}</section>`;
}

/** @param {string} text */
const idOf = (text) => `h-${text.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;

export const SIGNS = { good: '✓', bad: '✕', warn: '!', busy: '…', off: '○', info: 'i' };
/** @typedef {keyof typeof SIGNS} Kind */

/** @param {{ kind: Kind, children?: unknown }} props */
export const Status = ({ kind, children }) =>
  html`<span class=${`status ${kind}`}><span class="sign" aria-hidden="true">${SIGNS[kind]}</span>\u00a0${children}</span>`;

/** @param {{ kind?: Kind, children?: unknown, isAlert?: boolean }} props */
export const Notice = ({ kind = 'info', children, isAlert }) =>
  html`<div class=${`notice ${kind}`} role=${isAlert || kind === 'bad' ? 'alert' : 'status'}><span class="sign" aria-hidden="true">${SIGNS[kind]}</span><div>${children}</div></div>`;

/** @param {{ amount: number, currency: string | null }} props */
export const Money = ({ amount, currency }) => html`<span class="money">${money(amount, currency)}</span>`;

/** Of several currencies. @param {{ of: readonly { amount: number, currency: string | null }[] }} props */
export const Moneys = ({ of }) =>
  of.length === 0
    ? html`<span class="faint">none</span>`
    : of.map((each, i) => html`${i > 0 && ' · '}<${Money} ...${each} />`);

/** How long ago, as it grows; the moment itself is its title. @param {{ at: string, now?: number, suffix?: string }} props */
export function Ago({ at, now = Date.now(), suffix = ' ago' }) {
  return html`<time datetime=${at} title=${moment(at)}>${duration((now - Date.parse(at)) / 1000)}${suffix}</time>`;
}

/** The time, every so often. @param {number} [everyMs] @returns {number} */
export function useNow(everyMs = 1_000) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** An id, short, whole for those who copy it. @param {{ id: string, href?: string }} props */
export function Id({ id, href }) {
  const [copied, setCopied] = useState(false);
  const text = html`<code title=${id}>${shortId(id)}</code>`;
  const copy = () =>
    navigator.clipboard?.writeText(id).then(
      () => setCopied(true),
      () => undefined,
    );
  return html`<span class="id">${href ? html`<a href=${href}>${text}</a>` : text}<button type="button" class="copy" aria-label=${`Copy ${id}`} title=${copied ? 'Copied' : 'Copy'} onClick=${copy} onBlur=${() => setCopied(false)}>${copied ? 'copied' : 'copy'}</button></span>`;
}

/**
 * What went wrong, and what to do about it.
 * @param {{ problem: Error | undefined, onRetry?: () => void, what?: string }} props
 */
export function ProblemNotice({ problem, onRetry, what }) {
  if (!problem) return null;
  const told = problem instanceof ApiProblem ? problem : undefined;
  const after = told?.retryAfterS ?? 0;
  const again = onRetry
    ? html`<${RetryButton} of=${problem} after=${after} onRetry=${onRetry} />`
    : after > 0 && html`<${RetryTime} of=${problem} after=${after} />`;
  return html`<${Notice} kind="bad">
    <p>${what && html`<strong>${what}</strong> `}${told?.title && told.title !== told.detail && html`<strong>${told.title}.</strong> `}${problem.message}</p>
    ${told && told.errors.length > 0 && html`<ul>${told.errors.map(({ pointer, detail }) => html`<li><code>${pointer}</code> ${detail}</li>`)}</ul>`}
    ${told?.status === 401 && html`<p><button type="button" onClick=${() => session.signIn()}>Sign in again</button> Nothing on this page is lost.</p>`}
    ${again && html`<p>${again}</p>`}
    ${told?.correlationId && html`<p class="faint">Correlation id <code>${told.correlationId}</code></p>`}
  <//>`;
}

/** Seconds until the API takes it again. @param {Error} problem @param {number} after as it has said then */
function useSecondsLeft(problem, after) {
  const until = useMemo(() => Date.now() + after * 1_000, [problem]);
  return Math.max(0, Math.ceil((until - useNow(500)) / 1_000));
}

/** Not before the API takes it again. @param {{ of: Error, after: number, onRetry: () => void }} props */
function RetryButton({ of, after, onRetry }) {
  const left = useSecondsLeft(of, after);
  return html`<button type="button" disabled=${left > 0} onClick=${onRetry}>${left > 0 ? `Try again in ${left} s` : 'Try again'}</button>`;
}

/** For those who have a button of their own. @param {{ of: Error, after: number }} props */
function RetryTime({ of, after }) {
  const left = useSecondsLeft(of, after);
  return left > 0 ? `The API takes it again in ${left} s.` : 'The API takes it again now.';
}

/** @param {{ children?: unknown }} props */
export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** @param {{ what?: string }} props */
export const Loading = ({ what = 'Reading' }) => html`<p class="faint" role="status">${what} …</p>`;

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} label
 * @property {(row: Row) => unknown} cell
 * @property {boolean} [isNumber]
 */

/**
 * A table in a region of its own; where that is too narrow each row is a card, and each cell has its column's name before it (roles are
 * said, since what is no table to the eye would be none to a screen reader). Rows keep their place while the pointer or the focus is in
 * it (lib/rows.js says how).
 * @template Row
 * @param {{ label: string, columns: readonly Column<Row>[], rows: readonly Row[], keyOf: (row: Row) => string, empty?: unknown, classOf?: (row: Row) => string }} props
 */
export function Table({ label, columns, rows, keyOf, empty, classOf }) {
  if (rows.length === 0) return html`<${Empty}>${empty ?? 'None.'}<//>`;
  return html`<div class=${`scroll cards ${columns.length > WIDE_ABOVE ? 'wide' : ''}`} role="region" aria-label=${label} tabindex="0"><table role="table">
    <thead role="rowgroup"><tr role="row">${columns.map(({ label: name, isNumber }) => html`<th scope="col" role="columnheader" class=${isNumber ? 'number' : ''}>${name}</th>`)}</tr></thead>
    <tbody role="rowgroup">${rows.map((row) => html`<tr role="row" key=${keyOf(row)} class=${classOf?.(row) ?? ''}>${columns.map((column) => cellOf(column, row))}</tr>`)}</tbody>
  </table></div>`;
}

const NOTHING = new Set(/** @type {unknown[]} */ (['–', '', false, null, undefined]));
/** A card leaves out what is not there. @template Row @param {Column<Row>} column @param {Row} row */
function cellOf({ label, cell, isNumber }, row) {
  const content = cell(row);
  const isNone = [content].flat().every((each) => NOTHING.has(each));
  return html`<td role="cell" data-label=${label} class=${`${isNumber ? 'number' : ''} ${isNone ? 'none' : ''}`}>${content}</td>`;
}
/** A table of more columns becomes cards in a place where one of fewer still fits. */
const WIDE_ABOVE = 5;

/** @param {{ hasMore: boolean, onMore: () => void, isLoading?: boolean, shown: number, total?: number, noun: string, many?: string }} props */
export const Pager = ({ hasMore, onMore, isLoading, shown, total, noun, many }) =>
  (shown > 0 || hasMore) &&
  html`<p class="pager"><span>${total === undefined ? count(shown, noun, many) : `${number(shown)} of ${count(total, noun, many)}`} shown${hasMore ? '' : '; there are no more'}.</span> ${hasMore && html`<button type="button" disabled=${isLoading} onClick=${onMore}>Show more</button>`}</p>`;

/**
 * A labelled input. Its text is the caller's state, so that nothing typed is lost by whatever happens.
 * @param {{ label: string, value: string, onInput: (value: string) => void, hint?: string, error?: string, name: string, rows?: number, [attribute: string]: unknown }} props
 */
export function Field({ label, value, onInput, hint, error, name, rows, ...rest }) {
  const described = [hint && `${name}-hint`, error && `${name}-error`].filter(Boolean).join(' ') || undefined;
  const common = {
    id: name,
    name,
    value,
    ...rest,
    'aria-describedby': described,
    'aria-invalid': error ? 'true' : undefined,
  };
  /** @param {Event} event */
  const typed = (event) => onInput(/** @type {HTMLInputElement} */ (event.currentTarget).value);
  return html`<div class="field"><label for=${name}>${label}</label>
    ${rows ? html`<textarea ...${common} rows=${rows} onInput=${typed}></textarea>` : html`<input type="text" autocomplete="off" ...${common} onInput=${typed} />`}
    ${hint && html`<p class="faint" id=${`${name}-hint`}>${hint}</p>`}${error && html`<p class="error" id=${`${name}-error`}>${SIGNS.bad} ${error}</p>`}</div>`;
}
