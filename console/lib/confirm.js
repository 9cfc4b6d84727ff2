/**
 * One dialog for every act: what, on how many, with what money at stake, and why. It asks more the more harm is possible: one click after
 * the reason for a single harmless thing; the number itself, typed, for more than ten, or where money is at stake.
 */
import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { useAct } from './data.js';
import { count, money, number } from './format.js';
import { letRowsGo } from './rows.js';
import { Field, ProblemNotice } from './ui.js';

/** Beyond so many the number is typed. */
const TYPED_ABOVE = 10;

/**
 * @typedef {object} Asked
 * @property {string} title what is done, as a sentence without a full stop: `Refund and cancel 14 orders`
 * @property {string} act on the button: `Cancel 14 orders`
 * @property {number} count of how many things
 * @property {string} noun `order`
 * @property {readonly { amount: number, currency: string }[]} [atStake] money that moves, or may be lost
 * @property {boolean} [isHarmful] it cannot be taken back
 * @property {string} [typed] what is typed instead of the number: the money that moves, `USD 1,234.00`
 * @property {unknown} [children] what else is to be known before
 * @property {{ required: boolean, maxLength?: number, hint?: string, initial?: string }} [reason] `initial` = what was typed before; undefined = required, of at most 500 characters
 * @property {(input: { reason: string }, leaving: AbortSignal) => Promise<unknown>} run `leaving` = somebody leaves: nothing more is begun
 * @property {() => unknown} [told] of an act that has parts: what has come of them until now, undefined = none was begun
 */

/** @type {((asked: Asked, settle: (answer: any) => void) => void) | undefined} */
let show;

/**
 * Shows the dialog and carries the act out. What was typed stays through everything that goes wrong.
 * @param {Asked} asked
 * @returns {Promise<any>} what `run` answered, or what is `told`; undefined = it was given up, or the view that asked was left
 */
export const confirmAct = (asked) =>
  new Promise((resolve) => {
    if (show) show(asked, resolve);
    else resolve(undefined);
  });

/** @param {Asked} asked */
const mustType = ({ count: n, atStake = [], typed }) =>
  typed !== undefined || n > TYPED_ABOVE || atStake.some(({ amount }) => amount > 0);

/** However its thousands are grouped. @param {Asked} asked @param {string} text */
const isWhatIsAsked = ({ count: n, typed }, text) =>
  typed === undefined
    ? text.replace(/[\s,.]/g, '') === String(n)
    : text.replace(/[\s,]/g, '').toUpperCase() === typed.replace(/[\s,]/g, '').toUpperCase();

/** Stands once, in the frame. */
export function ConfirmHost() {
  const [open, setOpen] = useState(
    /** @type {{ asked: Asked, settle: (answer: any) => void } | undefined} */ (undefined),
  );
  useEffect(() => {
    show = (asked, settle) => setOpen({ asked, settle });
    return () => {
      show = undefined;
    };
  }, []);
  if (!open) return null;
  /** @param {any} answer */
  const close = (answer) => {
    setOpen((now) => (now === open ? undefined : now)); // an act that ends late leaves the next one's dialog alone
    open.settle(answer);
  };
  return html`<${Confirm} asked=${open.asked} onClose=${close} />`;
}

/** How long an act may take to redraw its page. */
const REDRAWN_WITHIN_MS = 1_500;

/** The button that began an act is often gone after it: what came of it takes the focus then, or the page's heading. */
function keepFocus() {
  const until = performance.now() + REDRAWN_WITHIN_MS;
  const look = () => {
    if (document.activeElement === null || document.activeElement === document.body) {
      const outcome = /** @type {HTMLElement | null} */ (
        document.querySelector('#main .notice') ?? document.querySelector('#main h1')
      );
      if (outcome && !outcome.hasAttribute('tabindex')) outcome.tabIndex = -1;
      outcome?.focus({ preventScroll: true });
    }
    if (performance.now() < until) setTimeout(look, 100);
  };
  setTimeout(look);
}

/**
 * An act from its click to its end, also past its view: whoever leaves stops it, and what is under way is awaited, since before its end
 * nobody can say what has come of it.
 * @param {Asked} asked
 * @param {(answer: any) => void} onClose
 */
function useWay(asked, onClose) {
  const [isLeft, setLeft] = useState(false);
  const [came, setCame] = useState(/** @type {unknown} */ (undefined));
  const isElsewhere = useRef(false);
  const underWay = useRef(/** @type {AbortController | undefined} */ (undefined));
  const { submit, isBusy, problem } = useAct(
    (/** @type {{ input: { reason: string }, leaving: AbortSignal }} */ { input, leaving }) =>
      asked.run(input, leaving),
  );
  // The view that asked tells what came of it; where that is gone, nobody else does.
  const end = (/** @type {unknown} */ answer) => {
    const told = asked.told?.();
    if (told && isElsewhere.current) setCame(told);
    else onClose(isElsewhere.current ? undefined : asked.told ? told : answer);
  };
  const leave = () => {
    if (!underWay.current) return end(undefined);
    underWay.current.abort();
    setLeft(true);
  };
  useEffect(() => {
    const [view] = location.hash.split('?', 1);
    const changed = () => {
      if (location.hash.split('?', 1)[0] !== view) isElsewhere.current = true;
      leave();
    };
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  /** @param {{ reason: string }} input */
  const begin = async (input) => {
    if (underWay.current) return;
    underWay.current = new AbortController();
    const { signal: leaving } = underWay.current;
    const answer = await submit({ input, leaving });
    underWay.current = undefined;
    setLeft(false);
    if (answer === undefined && !(leaving.aborted && asked.told?.())) return;
    letRowsGo();
    end(answer);
  };
  /** Esc, and the button of what is told. */
  const close = () => {
    if (!underWay.current) came ? onClose(undefined) : end(undefined);
  };
  return { begin, leave, close, came, isLeft, isBusy, problem };
}

/** @param {{ asked: Asked, onClose: (answer: any) => void }} props */
function Confirm({ asked, onClose }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [reason, setReason] = useState(asked.reason?.initial ?? '');
  const [typed, setTyped] = useState('');
  const { begin, leave, close, came, isLeft, isBusy, problem } = useWay(asked, onClose);
  useEffect(() => {
    const opener = document.activeElement;
    const shown = dialog.current;
    shown?.showModal();
    return () => {
      shown?.close(); // while it is open, nothing outside of it can take the focus
      const was = /** @type {HTMLElement | null} */ (opener);
      if (was?.isConnected) was.focus();
      keepFocus();
    };
  }, []);
  useEffect(() => {
    if (came) dialog.current?.querySelector('button')?.focus();
  }, [came]);
  const { required = true, maxLength = 500, hint } = asked.reason ?? {};
  const isTyped = !mustType(asked) || isWhatIsAsked(asked, typed);
  const isReady = isTyped && (!required || reason.trim() !== '');
  /** @param {Event} event */
  const act = (event) => {
    event.preventDefault();
    if (isReady) void begin({ reason: reason.trim() });
  };
  /** @param {Event} event */
  const cancelled = (event) => {
    event.preventDefault();
    close();
  };
  const shell = (/** @type {unknown} */ inside) =>
    html`<dialog ref=${dialog} class=${asked.isHarmful ? 'harmful' : ''} aria-labelledby="confirm-title" onCancel=${cancelled}>${inside}</dialog>`;
  if (came)
    return shell(html`<h2 id="confirm-title">${asked.title}: stopped</h2>${came}
      <div class="actions"><button type="button" class="primary" onClick=${close}>Close</button></div>`);
  return shell(html`<form onSubmit=${act}>
      <h2 id="confirm-title">${asked.title}</h2>
      <p>This concerns <strong>${count(asked.count, asked.noun)}</strong>${(asked.atStake ?? []).length > 0 && html`, with <strong>${(asked.atStake ?? []).map((each) => money(each.amount, each.currency)).join(' and ')}</strong> at stake`}.${asked.isHarmful && ' It cannot be taken back.'}</p>
      ${asked.children}
      ${required !== undefined && html`<${Field} name="confirm-reason" label=${required ? 'Reason' : 'Reason (may be left out)'} value=${reason} onInput=${setReason} hint=${hint ?? 'Kept for ever in the audit trail, with your name. No personal data.'} maxLength=${maxLength} error=${problem?.fieldError('/reason')} required=${required} />`}
      ${mustType(asked) && html`<${Field} name="confirm-number" label=${`Type ${asked.typed ?? number(asked.count)} to confirm`} value=${typed} onInput=${setTyped} inputmode=${asked.typed === undefined ? 'numeric' : 'text'} />`}
      <${ProblemNotice} problem=${problem} />
      ${isLeft && html`<p role="status">${asked.told ? 'It stops: what is under way is awaited, and nothing more is begun.' : 'What is under way is awaited.'}</p>`}
      <div class="actions">
        <button type="submit" class=${asked.isHarmful ? 'harmful' : 'primary'} aria-disabled=${isReady && !isBusy ? undefined : 'true'}>${isBusy ? 'Under way …' : problem?.isPassing ? `Try again: ${asked.act}` : asked.act}</button>
        <button type="button" disabled=${isBusy && (isLeft || !asked.told)} onClick=${leave}>${isBusy && asked.told ? 'Stop' : 'Leave it'}</button>
      </div>
    </form>`);
}
