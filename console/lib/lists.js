/** Lists that come in pages: what is shown is read anew every few seconds, as far as somebody has leafed; and forms that outlive a refusal. */
import { html, useCallback, useEffect, useRef, useState } from '../vendor/preact.js';
import { ApiProblem, get } from './api.js';
import { duration, moment } from './format.js';
import { session } from './session.js';
import { Status, useNow } from './ui.js';

const PAGE = 100;
/** As many as one answer may have. */
const PAGE_MAX = 1_000;
/** A page may be short, or even empty, and have a next one: so many of them are one reading at most. */
const PAGES_MAX = 20;
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
  /** Of this list: odd while somebody leafs. */
  const leafing = useRef({ path, turn: 0 });
  if (leafing.current.path !== path) leafing.current = { path, turn: 0 };
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
        const { turn } = leafing.current;
        const { signal } = leaving;
        const ask = (/** @type {any} */ query) => get(isWhole ? path : withQuery(path, query), { signal });
        const { rows, answer, next } = await readPages(ask, name, limitMax, shown);
        if (signal.aborted) return;
        // What somebody has leafed to before, or meanwhile, is not taken away.
        const isShort = next !== null && rows.length < shown.current;
        if (!isShort && turn % 2 === 0 && leafing.current.turn === turn)
          setState({ path, rows, answer, next, at: Date.now(), isLoading: false });
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
    const own = leafing.current;
    if (state.next === null || state.path !== path || own.turn % 2 === 1) return;
    /** Another list may be shown by now: what was asked of this one is not its. @param {(before: typeof state) => Partial<typeof state>} change */
    const set = (change) =>
      leafing.current === own &&
      setState((before) => (before.path === path ? { ...before, ...change(before) } : before));
    own.turn++;
    set(() => ({ isLoading: true }));
    try {
      const answer = await get(withQuery(path, { limit: String(PAGE), cursor: state.next }));
      set(({ rows }) => ({ rows: [...rows, ...answer[name]], next: answer.next, isLoading: false }));
    } catch (problem) {
      set(() => ({ problem: /** @type {Error} */ (problem), isLoading: false }));
    }
    own.turn++;
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

/**
 * As many as are shown: a page ends where it would be too long, however many it is asked for.
 * @param {(query: Record<string, string | undefined>) => Promise<any>} ask
 * @param {string} name @param {number} limitMax @param {{ current: number }} shown
 */
async function readPages(ask, name, limitMax, shown) {
  const first = await ask({ limit: String(Math.min(limitMax, Math.max(PAGE, shown.current))) });
  const rows = [...first[name]];
  let next = first.next ?? null;
  for (let page = 1; next !== null && rows.length < Math.min(shown.current, PAGE_MAX) && page < PAGES_MAX; page++) {
    const limit = String(Math.min(limitMax, Math.max(PAGE, shown.current - rows.length)));
    const answer = await ask({ limit, cursor: next });
    rows.push(...answer[name]);
    next = answer.next ?? null;
  }
  return { rows, answer: first, next };
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
 * @param {Record<string, string>} initial of fields that nobody has typed in; it may change
 */
export function useForm(initial) {
  const [typed, setTyped] = useState(/** @type {Record<string, string>} */ ({}));
  const values = { ...initial, ...typed };
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
        setTyped((before) => ({ ...before, [name]: value }));
        setErrors(({ [name]: _gone, ...others }) => others);
      },
    }),
    reset: () => {
      reason.current = '';
      setTyped({});
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
