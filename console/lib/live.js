/**
 * What changes by itself: a stream of Server-Sent Events, read by fetch, since an EventSource carries no token. Each event's data is the
 * whole anew. It can be paused, always says as of when it is, and says so in red when it is old.
 */
import { html, useCallback, useEffect, useState } from '../vendor/preact.js';
import { ApiProblem, request } from './api.js';
import { duration, moment } from './format.js';
import { session } from './session.js';
import { Status, useNow } from './ui.js';

const BACKOFF_MS = { first: 1_000, most: 30_000 };
/** A stream says every 15 s that it is there; without a word for as long as this it is given up. */
const SILENT_MS = 40_000;
/** Older than this, what is shown is not what is. */
const STALE_MS = 15_000;

/**
 * Calls `onData` with each event's data until `signal` aborts or the stream ends.
 * @param {string} path
 * @param {{ signal: AbortSignal, onData: (data: any) => void, onAlive?: () => void }} options
 */
export async function readStream(path, { signal, onData, onAlive }) {
  const silence = new AbortController();
  const quit = () => silence.abort();
  signal.addEventListener('abort', quit);
  let timer = setTimeout(quit, SILENT_MS);
  try {
    const response = await request('GET', path, { signal: silence.signal, headers: { accept: 'text/event-stream' } });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const piece = await reader?.read();
      if (!piece || piece.done) return;
      clearTimeout(timer);
      timer = setTimeout(quit, SILENT_MS);
      onAlive?.();
      const blocks = (text + piece.value).split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const data = block
          .split('\n')
          .filter((line) => line.startsWith('data:'))
          .map((line) => line.slice(5).trimStart());
        if (data.length > 0) onData(JSON.parse(data.join('\n')));
      }
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', quit);
  }
}

/**
 * @template T
 * @param {string} path answers `text/event-stream`; each event's data is a whole
 * @returns {Live<T>}
 */
export function useLive(path) {
  const [state, setState] = useState(
    /** @type {{ data?: T, at?: number, problem?: Error, nextTryAt?: number }} */ ({}),
  );
  const [isPaused, setPaused] = useState(false);
  const [round, setRound] = useState(0);
  const tryNow = useCallback(() => setRound((n) => n + 1), []);
  useEffect(() => session.onChange(tryNow), []);
  useEffect(() => {
    if (isPaused) return undefined;
    const leaving = new AbortController();
    void follow(path, leaving.signal, setState);
    return () => leaving.abort();
  }, [path, isPaused, round]);
  return { ...state, data: state.data, isPaused, setPaused, tryNow };
}

/**
 * @template T
 * @typedef {object} Live
 * @property {T | undefined} data
 * @property {number} [at] when it came, by this machine's clock
 * @property {Error} [problem]
 * @property {number} [nextTryAt]
 * @property {boolean} isPaused
 * @property {(isPaused: boolean) => void} setPaused
 * @property {() => void} tryNow
 */

/**
 * Connects again and again, later each time, until `signal` aborts.
 * @param {string} path
 * @param {AbortSignal} signal
 * @param {(change: (before: any) => any) => void} change
 */
async function follow(path, signal, change) {
  let waitMs = BACKOFF_MS.first;
  while (!signal.aborted) {
    /** @type {Error | undefined} */
    let problem;
    try {
      await readStream(path, {
        signal,
        onData: (data) => {
          waitMs = BACKOFF_MS.first;
          change(() => ({ data, at: Date.now() }));
        },
        onAlive: () => change((before) => ({ ...before, problem: undefined, nextTryAt: undefined })),
      });
    } catch (err) {
      problem = err instanceof ApiProblem ? err : new ApiProblem(0, { detail: 'The connection to the API is lost.' });
    }
    if (signal.aborted) return;
    if (problem instanceof ApiProblem && (problem.status === 401 || problem.status === 403)) {
      change((before) => ({ ...before, problem, nextTryAt: undefined }));
      return; // until somebody signs in
    }
    const told = problem instanceof ApiProblem ? (problem.retryAfterS ?? 0) * 1_000 : 0;
    const pauseMs = Math.max(told, waitMs * (0.75 + Math.random() / 2));
    if (problem) change((before) => ({ ...before, problem, nextTryAt: Date.now() + pauseMs }));
    waitMs = Math.min(waitMs * 2, BACKOFF_MS.most);
    await pause(pauseMs, signal);
  }
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end() {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    }
    signal.addEventListener('abort', end);
  });

/**
 * As of when a live view is, and the button that holds it.
 * @param {{ live: Live<unknown>, staleMs?: number }} props
 */
export function AsOf({ live, staleMs = STALE_MS }) {
  const now = useNow();
  const { at, isPaused, problem, nextTryAt } = live;
  const age = at === undefined ? undefined : now - at;
  const isStale = age !== undefined && age > staleMs;
  const told =
    at === undefined
      ? 'Nothing read yet'
      : `As of ${moment(at).slice(11)}${(age ?? 0) > 2_000 ? `, ${duration((age ?? 0) / 1_000)} ago` : ''}`;
  const kind = isPaused ? 'off' : isStale ? 'bad' : problem ? 'warn' : at === undefined ? 'busy' : 'good';
  return html`<div class="as-of">
    <${Status} kind=${kind}>${isPaused ? 'Paused. ' : isStale ? 'Stale: this is not what is now. ' : ''}${told}${nextTryAt && !isPaused ? `; trying again in ${duration(Math.max(0, nextTryAt - now) / 1_000)}` : ''}<//>
    ${problem && !isPaused && html`<button type="button" class="quiet" onClick=${live.tryNow}>Try now</button>`}
    <button type="button" class="quiet" aria-pressed=${isPaused ? 'true' : 'false'} onClick=${() => live.setPaused(!isPaused)}>${isPaused ? 'Go on' : 'Pause'}</button>
  </div>`;
}
