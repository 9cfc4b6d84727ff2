/** Lists that come in pages: what is shown is read anew every few seconds, as far as somebody has leafed; and forms that outlive a refusal. */
import { html, useCallback, useEffect, useRef, useState } from '../vendor/preact.js';
import { ApiProblem, get } from './api.js';
import { duration, moment } from './format.js';
import { session } from './session.js';
import { Status, useNow } from './ui.js';

const PAGE = 100;
/** As many as one answer may have. */
const PAGE_MAX = 1_000;
const REFRESH_MS = 5_000;
/** What does not answer is asked half as often each time, down to this. */
const BACKOFF_MAX_MS = 30_000;
/** Older than this, what is shown is not what is. */
const STALE_MS = 20_000;

/**
 * @param {string} path with its filters
 * @param {string} name of the rows in the answer
 * @param {{ refreshMs?: number, isWhole?: boolean, limitMax?: number }} [options] 0 = only when it is asked for; `isWhole` = the answer has no pages
 */
export function usePages(path, name, { refreshMs = REFRESH_MS, isWhole = false, limitMax = PAGE_MAX } = {}) {
  const [state, setState] = useState(
    /** @type {{ path?: string, rows: any[], answer?: any, next: string | null, at?: number, problem?: Error, isLoading: boolean }} */ ({
      rows: [],
      next: null,
      isLoading: true,
    }),
  );
  const [isPaused, setPaused] = useState(false);
  const [round, setRound] = useState(0);
  const shown = useRef(0);
  shown.current = state.path === path ? state.rows.length : 0;
  const reload = useCallback(() => setRound((n) => n + 1), []);
  useEffect(() => session.onChange(reload), []);
  useEffect(() => {
    const leaving = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    let nextMs = refreshMs;
    let isReading = false;
    const read = async () => {
      clearTimeout(timer);
      // Nobody looks: it is read when somebody does.
      if (isReading || (document.hidden && shown.current > 0)) return;
      isReading = true;
      try {
        const limit = Math.min(limitMax, Math.max(PAGE, shown.current));
        const answer = await get(isWhole ? path : withQuery(path, { limit: String(limit) }), {
          signal: leaving.signal,
        });
        if (leaving.signal.aborted) return;
        if (shown.current <= PAGE_MAX)
          setState({ path, rows: answer[name], answer, next: answer.next ?? null, at: Date.now(), isLoading: false });
        nextMs = refreshMs;
      } catch (problem) {
        if (leaving.signal.aborted) return;
        const told = /** @type {Error} */ (problem);
        const waitMs = problem instanceof ApiProblem ? (problem.retryAfterS ?? 0) * 1_000 : 0;
        nextMs = Math.max(waitMs, Math.min(nextMs * 2, BACKOFF_MAX_MS));
        setState((before) => ({
          ...(before.path === path ? before : { path, rows: [], next: null }),
          problem: told,
          isLoading: false,
        }));
      }
      isReading = false;
      if (refreshMs > 0 && !isPaused) timer = setTimeout(read, nextMs);
    };
    const looked = () => refreshMs > 0 && !isPaused && !document.hidden && void read();
    document.addEventListener('visibilitychange', looked);
    if (!isPaused || shown.current === 0) void read();
    return () => {
      document.removeEventListener('visibilitychange', looked);
      leaving.abort();
      clearTimeout(timer);
    };
  }, [path, round, isPaused, refreshMs]);
  const more = async () => {
    if (state.next === null) return;
    setState((before) => ({ ...before, isLoading: true }));
    try {
      const answer = await get(withQuery(path, { limit: String(PAGE), cursor: state.next }));
      setState((before) => ({
        ...before,
        rows: [...before.rows, ...answer[name]],
        next: answer.next,
        isLoading: false,
      }));
    } catch (problem) {
      setState((before) => ({ ...before, problem: /** @type {Error} */ (problem), isLoading: false }));
    }
  };
  const isOld = state.path !== path;
  return {
    rows: isOld ? [] : state.rows,
    answer: isOld ? undefined : state.answer,
    isLoading: isOld || state.isLoading,
    at: isOld ? undefined : state.at,
    problem: state.problem,
    hasMore: !isOld && state.next !== null,
    isPaused,
    setPaused,
    more,
    reload,
  };
}

/** @param {string} path @param {Record<string, string | undefined>} query */
export function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const text = new URLSearchParams(/** @type {[string, string][]} */ (given)).toString();
  return text === '' ? path : `${path}${path.includes('?') ? '&' : '?'}${text}`;
}

/** As of when a list is; held, or read anew. @param {{ of: { at?: number, isPaused: boolean, setPaused: (isPaused: boolean) => void, reload: () => void } }} props */
export function ReadAt({ of: { at, isPaused, setPaused, reload } }) {
  const now = useNow();
  const age = at === undefined ? 0 : now - at;
  const isStale = at !== undefined && age > STALE_MS && !isPaused;
  const told =
    at === undefined
      ? 'Nothing read yet'
      : `As of ${moment(at).slice(11)}${age > 7_000 ? `, ${duration(age / 1_000)} ago` : ''}`;
  return html`<div class="as-of">
    <${Status} kind=${isPaused ? 'off' : isStale ? 'bad' : at === undefined ? 'busy' : 'good'}>${isPaused ? 'Paused. ' : isStale ? 'Stale: this is not what is now. ' : ''}${told}<//>
    <button type="button" class="quiet" onClick=${reload}>Read again</button>
    <button type="button" class="quiet" aria-pressed=${isPaused ? 'true' : 'false'} onClick=${() => setPaused(!isPaused)}>${isPaused ? 'Go on' : 'Pause'}</button>
  </div>`;
}

/**
 * A form whose act is confirmed in the dialog. What was typed, the reason as well, stays until the act is done; what the API says is wrong
 * with a field is shown at the field.
 * @param {Record<string, string>} initial
 */
export function useForm(initial) {
  const [values, setValues] = useState(initial);
  const [errors, setErrors] = useState(/** @type {Record<string, string>} */ ({}));
  const reason = useRef('');
  return {
    values,
    errors,
    setErrors,
    reason: () => ({ required: true, initial: reason.current }),
    /** @param {string} name */
    field: (name) => ({
      value: values[name] ?? '',
      error: errors[name],
      onInput: (/** @type {string} */ value) => {
        setValues((before) => ({ ...before, [name]: value }));
        setErrors(({ [name]: _gone, ...others }) => others);
      },
    }),
    reset: () => {
      reason.current = '';
      setValues(initial);
      setErrors({});
    },
    /**
     * @param {Record<string, string>} pointers field → where the API names it
     * @param {(input: { reason: string }) => Promise<any>} run
     */
    guarded: (pointers, run) => async (/** @type {{ reason: string }} */ input) => {
      reason.current = input.reason;
      try {
        return await run(input);
      } catch (problem) {
        if (problem instanceof ApiProblem) {
          const told = Object.entries(pointers).map(([name, pointer]) => [name, problem.fieldError(pointer)]);
          setErrors(Object.fromEntries(told.filter(([, error]) => error !== undefined)));
        }
        throw problem;
      }
    },
  };
}

/**
 * Which rows are chosen, by id: never more than are shown.
 * @template {{ id: string }} Row
 * @param {readonly Row[]} rows
 */
export function useSelection(rows) {
  const [ids, setIds] = useState(/** @type {ReadonlySet<string>} */ (new Set()));
  const chosen = rows.filter(({ id }) => ids.has(id));
  return {
    chosen,
    /** @param {string} id @param {boolean} isChosen */
    choose: (id, isChosen) =>
      setIds((before) => {
        const after = new Set(before);
        if (isChosen) after.add(id);
        else after.delete(id);
        return after;
      }),
    /** @param {(row: any) => boolean} [which] */
    chooseShown: (which = () => true) => setIds(new Set(rows.filter(which).map(({ id }) => id))),
    clear: () => setIds(new Set()),
    /** @param {string} id @param {string} label */
    box: (id, label) =>
      html`<input type="checkbox" aria-label=${label} checked=${ids.has(id)} onChange=${(
        /** @type {Event} */ event,
      ) => {
        const { checked } = /** @type {HTMLInputElement} */ (event.currentTarget);
        setIds((before) => new Set(checked ? [...before, id] : [...before].filter((each) => each !== id)));
      }} />`,
  };
}

/**
 * A choice of few.
 * @param {{ label: string, name: string, value: string, options: readonly (readonly [string, string])[], onInput: (value: string) => void, error?: string }} props
 */
export const Choice = ({ label, name, value, options, onInput, error }) =>
  html`<div class="field"><label for=${name}>${label}</label>
    <select id=${name} name=${name} value=${value} aria-invalid=${error ? 'true' : undefined} onChange=${(/** @type {Event} */ event) => onInput(/** @type {HTMLSelectElement} */ (event.currentTarget).value)}>${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}</select>
    ${error && html`<p class="error">✕ ${error}</p>`}</div>`;
