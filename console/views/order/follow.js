/**
 * An order's timeline, as it changes: asked for every few seconds, and at once when the order's own stream of events says something. The
 * gateway may take its time: until it has answered, what is known without it is shown, and goes on changing.
 */
import { ApiProblem, get } from '../../lib/api.js';
import { readStream } from '../../lib/live.js';
import { session } from '../../lib/session.js';
import { useCallback, useEffect, useRef, useState } from '../../vendor/preact.js';

/** While something goes on; a final order changes only if somebody takes it back, which its stream says. */
const EVERY_MS = { open: 2_500, final: 20_000 };
const AGAIN_MS = { first: 2_000, most: 30_000 };
/** A gateway that answers within this is waited for: nothing is drawn twice then. */
const PATIENT_MS = 700;

/**
 * @typedef {object} Timeline as GET /admin/orders/{id}/timeline answers
 * @property {string} orderId
 * @property {string} at
 * @property {number} askedAt when the page asked for it, by its own clock: what has happened since need not be in it
 * @property {{ amount: number, currency: string }} total
 * @property {string} createdAt
 * @property {boolean} isFinal
 * @property {{ who: 'operator' | 'customer' | 'service' | 'anybody', subject: string } | null} cancelledBy
 * @property {{ workflowId: string | null, runId: string | null, webUrl: string | null }} saga
 * @property {string | null} traceId
 * @property {import('./words.js').Entry[]} entries
 * @property {{ lane: string, count: number, why: string }[]} omitted
 * @property {{ source: string, why: string, lacks: string }[]} missing
 * @property {Explanation} explanation
 */
/**
 * @typedef {object} Explanation
 * @property {string} situation
 * @property {string} status
 * @property {string | null} step
 * @property {string[]} why
 * @property {string} usual
 * @property {{ what: string, at: string | null, atLatest?: true }[]} next
 * @property {Choice[]} choices
 * @property {{ between: string[], says: string, sequel: string }[]} disagreements
 * @property {{ word: string, means: string }[]} words
 * @property {Record<string, string>} sources
 */
/**
 * @typedef {object} Choice
 * @property {'retry' | 'skip' | 'compensate' | 'cancel' | null} action
 * @property {string} command
 * @property {string} does
 * @property {string} useWhen
 * @property {boolean} usual
 * @property {string | null} follows
 * @property {string} money
 * @property {{ amount: number, currency: string } | null} moves
 * @property {string} stock
 * @property {string} customer
 * @property {string} reversible
 */

/**
 * @param {string} id
 * @returns {import('../../lib/live.js').Live<Timeline> & { staleMs: number, waitsSince?: number, gatewayAt?: number }} `waitsSince` = the
 *   gateway is being asked since then, and `data` was made without it; `gatewayAt` = what it holds in `data` is as of then
 */
export function useTimeline(id) {
  const [state, setState] = useState(
    /** @type {{ data?: Timeline, at?: number, problem?: Error, nextTryAt?: number, waitsSince?: number, gatewayAt?: number }} */ ({}),
  );
  const [isPaused, setPaused] = useState(false);
  const [round, setRound] = useState(0);
  const wake = useRef(() => {});
  const tryNow = useCallback(() => setRound((n) => n + 1), []);
  useEffect(() => session.onChange(tryNow), []);
  useEffect(() => setState({}), [id]);
  useEffect(() => {
    if (isPaused) return undefined;
    const leaving = new AbortController();
    void ask(id, leaving.signal, wake, setState);
    void listen(id, leaving.signal, () => wake.current());
    return () => leaving.abort();
  }, [id, isPaused, round]);
  const staleMs = state.data?.isFinal ? EVERY_MS.final * 2 : EVERY_MS.open * 6;
  return { ...state, data: state.data, isPaused, setPaused, tryNow, staleMs };
}

/**
 * @param {string} id
 * @param {AbortSignal} signal
 * @param {{ current: () => void }} wake
 * @param {(change: (before: any) => any) => void} change
 */
async function ask(id, signal, wake, change) {
  let againMs = AGAIN_MS.first;
  /** @type {{ data: Timeline, at: number } | undefined} */
  let before;
  while (!signal.aborted) {
    let pauseMs;
    try {
      const looked = await look(id, signal, wake, change, before);
      before = { data: looked.whole, at: Date.now() };
      change(() => ({ data: looked.data, at: Date.now() }));
      againMs = AGAIN_MS.first;
      pauseMs = looked.data !== looked.whole ? 0 : looked.data.isFinal ? EVERY_MS.final : EVERY_MS.open;
    } catch (err) {
      if (signal.aborted) return;
      const problem = err instanceof Error ? err : new Error(String(err));
      const told = err instanceof ApiProblem ? err : undefined;
      // Wrong today, and wrong tomorrow: there is no such order, or it is not to be seen by whoever asks.
      if (told && !told.isPassing) return change((before) => ({ ...before, problem, nextTryAt: undefined }));
      if (told?.status === 401) return change((before) => ({ ...before, problem, nextTryAt: undefined }));
      pauseMs = Math.max(againMs, (told?.retryAfterS ?? 0) * 1_000);
      againMs = Math.min(againMs * 2, AGAIN_MS.most);
      const nextTryAt = Date.now() + pauseMs;
      change((before) => ({ ...before, problem, nextTryAt }));
    }
    await until(pauseMs, signal, wake);
  }
}

/**
 * The whole; and for as long as the gateway keeps that waiting, again and again what is known without it.
 * @param {string} id
 * @param {AbortSignal} signal
 * @param {{ current: () => void }} wake
 * @param {(change: (before: any) => any) => void} change
 * @param {{ data: Timeline, at: number } | undefined} before the last whole
 * @returns {Promise<{ data: Timeline, whole: Timeline }>} `data` is to be shown: where the order has changed meanwhile it is not the whole
 */
async function look(id, signal, wake, change, before) {
  const path = `admin/orders/${encodeURIComponent(id)}/timeline`;
  const waitsSince = Date.now();
  let isOver = false;
  const end = { current: () => {} };
  const settled = read(path, signal).finally(() => {
    isOver = true;
    end.current();
    wake.current();
  });
  settled.catch(() => undefined); // told by whoever awaits it
  await until(PATIENT_MS, signal, end);
  /** @type {Timeline | undefined} */
  let newest;
  while (!isOver && !signal.aborted) {
    const data = await read(`${path}?without=gateway`, signal).catch(() => undefined);
    if (data && !isOver) change(() => ({ ...withMoneyOf(data, before), at: Date.now(), waitsSince }));
    newest = data ?? newest;
    if (!isOver) await until(EVERY_MS.open, signal, wake);
  }
  const whole = /** @type {Timeline} */ (await settled);
  // It was begun long ago: what has changed since then is not taken back.
  return { data: newest && standing(newest) !== standing(whole) ? newest : whole, whole };
}

/** @param {string} path @param {AbortSignal} signal @returns {Promise<Timeline>} */
async function read(path, signal) {
  const askedAt = performance.now();
  return { ...(await get(path, { signal })), askedAt };
}

/** @param {Timeline} timeline */
const standing = ({ explanation: { status, situation, step } }) => `${status} ${situation} ${step}`;

/**
 * While the order stands as it did, what the gateway last said of its money still holds, and is shown with its time.
 * @param {Timeline} now without the gateway
 * @param {{ data: Timeline, at: number } | undefined} whole
 * @returns {{ data: Timeline, gatewayAt?: number }}
 */
function withMoneyOf(now, whole) {
  const missing = now.missing.filter(({ source }) => source !== 'gateway');
  const isKnown = whole && !whole.data.missing.some(({ source }) => source === 'gateway');
  if (!isKnown || standing(whole.data) !== standing(now)) return { data: { ...now, missing } };
  const entries = [
    ...now.entries.filter(({ lane }) => lane !== 'money'),
    ...whole.data.entries.filter(({ lane }) => lane === 'money'),
  ];
  const later = '~'; // behind every time
  entries.sort((a, b) => ((a.at ?? later) < (b.at ?? later) ? -1 : Number(a.at !== b.at)));
  return { data: { ...now, missing, entries }, gatewayAt: whole.at };
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @param {{ current: () => void }} wake ends it sooner
 * @returns {Promise<void>}
 */
const until = (ms, signal, wake) =>
  new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end() {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      wake.current = () => {};
      resolve();
    }
    signal.addEventListener('abort', end);
    wake.current = end;
  });

/**
 * The stream is a hint: without it the order is asked for all the same.
 * @param {string} id
 * @param {AbortSignal} signal
 * @param {() => void} onHint
 */
async function listen(id, signal, onHint) {
  let againMs = AGAIN_MS.first;
  while (!signal.aborted) {
    await readStream(`orders/${encodeURIComponent(id)}/events`, { signal, onData: onHint }).catch(() => undefined);
    await until(againMs, signal, { current: () => {} });
    againMs = Math.min(againMs * 2, AGAIN_MS.most);
  }
}
